"""Metrics: one file each, and the base classes for metrics of your own.

Names are imported when they are first used, so that a command that needs none waits for none.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fhpt_eval.metrics.base import (
        Batch,
        Columns,
        ImageMetric,
        Metric,
        PairMetric,
        Part,
        SetMetric,
        Shown,
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
    from fhpt_eval.metrics.options import Option
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
    "Columns",
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
    "Option",
    "PairMetric",
    "Part",
    "Retrieval",
    "SetMetric",
    "Shown",
    "State",
    "StateMetric",
]

_HOMES = {
    "BRISQUE": "fhpt_eval.metrics.brisque",
    "Batch": "fhpt_eval.metrics.base",
    "Columns": "fhpt_eval.metrics.base",
    "FID": "fhpt_eval.metrics.fid",
    "FIDInfinity": "fhpt_eval.metrics.fid_infinity",
    "FaceIdentity": "fhpt_eval.metrics.face_identity",
    "FeatureMetric": "fhpt_eval.metrics.on_features",
    "FeaturePairMetric": "fhpt_eval.metrics.on_features",
    "FeatureRows": "fhpt_eval.metrics.on_features",
    "FeatureSetMetric": "fhpt_eval.metrics.on_features",
    "ImageMetric": "fhpt_eval.metrics.base",
    "InceptionScore": "fhpt_eval.metrics.inception_score",
    "Joints": "fhpt_eval.metrics.joints",
    "KID": "fhpt_eval.metrics.kid",
    "L1": "fhpt_eval.metrics.l1",
    "LPIPS": "fhpt_eval.metrics.lpips",
    "Metric": "fhpt_eval.metrics.base",
    "Option": "fhpt_eval.metrics.options",
    "PSNR": "fhpt_eval.metrics.psnr",
    "PairMetric": "fhpt_eval.metrics.base",
    "Part": "fhpt_eval.metrics.base",
    "Retrieval": "fhpt_eval.metrics.retrieval",
    "SSIM": "fhpt_eval.metrics.ssim",
    "SetMetric": "fhpt_eval.metrics.base",
    "Shown": "fhpt_eval.metrics.base",
    "State": "fhpt_eval.metrics.base",
    "StateMetric": "fhpt_eval.metrics.base",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'fhpt_eval.metrics' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
