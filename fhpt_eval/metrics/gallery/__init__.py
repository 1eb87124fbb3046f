"""What looking for images in a gallery takes."""
