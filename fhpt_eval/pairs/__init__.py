"""Pairs: a generated image and what it should equal, found by names."""
