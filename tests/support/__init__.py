"""What tests share: images, weights, the command line."""
