"""From what chunks have yielded to scores."""
