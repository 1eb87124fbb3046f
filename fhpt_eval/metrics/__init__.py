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
    from fhpt_eval.metrics.stream import Stream

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
    "Stream",
]

#: Where they are, but for those in ``base``.
_HOMES = {
    "BRISQUE": "brisque",
    "FID": "fid",
    "FIDInfinity": "fid_infinity",
    "FaceIdentity": "face_identity",
    "FeatureMetric": "on_features",
    "FeaturePairMetric": "on_features",
    "FeatureRows": "on_features",
    "FeatureSetMetric": "on_features",
    "InceptionScore": "inception_score",
    "Joints": "joints",
    "KID": "kid",
    "L1": "l1",
    "LPIPS": "lpips",
    "Option": "options",
    "PSNR": "psnr",
    "Retrieval": "retrieval",
    "SSIM": "ssim",
    "Stream": "stream",
}


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'base')}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
