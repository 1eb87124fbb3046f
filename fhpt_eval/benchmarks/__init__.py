"""Benchmarks that the package makes itself. May import: images, keypoints, naming, storage."""
