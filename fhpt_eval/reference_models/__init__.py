"""Models that are trained, run and cited as baselines.

They make folders of images, as any method does, and know nothing of metrics or evaluation.
"""
