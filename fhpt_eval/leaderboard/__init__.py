"""Leaderboards: results that share a protocol and a test set, side by side.

May import: errors, result, storage, statistics. Never evaluation or metrics.
"""
