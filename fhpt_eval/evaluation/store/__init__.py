"""What chunks have yielded, kept by content address."""
