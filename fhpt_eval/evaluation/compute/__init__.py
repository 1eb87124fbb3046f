"""From a chunk of images and pairs to what its tasks yield."""
