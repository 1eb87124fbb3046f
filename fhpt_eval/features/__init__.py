"""Features: arrays computed from one image by a named network; one file or folder each.

What they share: ``base`` and ``network_feature`` (what a feature is), ``levels`` (the images it
takes), ``loading`` (weights), ``batches`` and ``exact`` (running a network). Never metrics.
"""
