"""Features: arrays computed from one image by a named network; one file or folder each.

May import: errors, images, weights, torch. Never metrics.
"""
