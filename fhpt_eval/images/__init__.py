"""Images: which files are images, how they are decoded, how they are prepared."""
