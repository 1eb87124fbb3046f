"""Benchmarks that the package makes itself."""
