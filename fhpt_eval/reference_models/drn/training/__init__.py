"""How a model is trained, coarse to fine, and what a training leaves behind."""
