"""Models that are trained, run and cited as baselines. Imports nothing.

They make folders of images, as any method does, and know nothing of metrics or evaluation.
"""
