"""What metrics over sets share: moments, distances, reference sets."""
