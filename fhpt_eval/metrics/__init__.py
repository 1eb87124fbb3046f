"""Metrics: one file each, and the base classes for metrics of your own.

May import: errors, images, weights, features, torch. Never evaluation.
"""

from fhpt_eval.metrics.base import (
    Batch,
    ImageMetric,
    Metric,
    PairMetric,
    Part,
    SetMetric,
    State,
)
from fhpt_eval.metrics.brisque import BRISQUE
from fhpt_eval.metrics.l1 import L1
from fhpt_eval.metrics.psnr import PSNR
from fhpt_eval.metrics.ssim import SSIM

__all__ = [
    "BRISQUE",
    "L1",
    "PSNR",
    "SSIM",
    "Batch",
    "ImageMetric",
    "Metric",
    "PairMetric",
    "Part",
    "SetMetric",
    "State",
]
