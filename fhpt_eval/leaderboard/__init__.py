"""Leaderboards: results that share a protocol and a test set, side by side.

Never evaluation or metrics.
"""
