"""Metrics: one file each, and the base classes for metrics of your own. Never evaluation."""

from fhpt_eval.metrics.base import (
    Batch,
    ImageMetric,
    Metric,
    PairMetric,
    Part,
    SetMetric,
    State,
    StateMetric,
)
from fhpt_eval.metrics.brisque import BRISQUE
from fhpt_eval.metrics.face_identity import FaceIdentity
from fhpt_eval.metrics.fid import FID
from fhpt_eval.metrics.fid_infinity import FIDInfinity
from fhpt_eval.metrics.inception_score import InceptionScore
from fhpt_eval.metrics.joints import Joints
from fhpt_eval.metrics.kid import KID
from fhpt_eval.metrics.l1 import L1
from fhpt_eval.metrics.lpips import LPIPS
from fhpt_eval.metrics.on_features import (
    FeatureMetric,
    FeaturePairMetric,
    FeatureRows,
    FeatureSetMetric,
)
from fhpt_eval.metrics.psnr import PSNR
from fhpt_eval.metrics.retrieval import Retrieval
from fhpt_eval.metrics.ssim import SSIM

__all__ = [
    "BRISQUE",
    "FID",
    "KID",
    "L1",
    "LPIPS",
    "PSNR",
    "SSIM",
    "Batch",
    "FIDInfinity",
    "FaceIdentity",
    "FeatureMetric",
    "FeaturePairMetric",
    "FeatureRows",
    "FeatureSetMetric",
    "ImageMetric",
    "InceptionScore",
    "Joints",
    "Metric",
    "PairMetric",
    "Part",
    "Retrieval",
    "SetMetric",
    "State",
    "StateMetric",
]
