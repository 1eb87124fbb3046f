"""Face identity: does the generated image still show the same person?

King, "Dlib-ml: A Machine Learning Toolkit", JMLR 10, 2009, for the detector and the network; the
comparison is that of the package ``face_recognition`` 1.3.0 (Geitgey): Euclidean distance of two
descriptors, one person if it is at most 0.6. In the network's training the descriptors of a person
were pulled into a ball of that size (README of davisking/dlib-models). Another network states its
own size of it (``same_person``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from fhpt_eval.errors import ArgumentError
from fhpt_eval.features.base import Feature
from fhpt_eval.features.networks import Gift
from fhpt_eval.metrics.base import Columns, Direction, Need, Part
from fhpt_eval.metrics.networks import NetworkMetric, Text
from fhpt_eval.metrics.on_features import FeaturePairMetric, FeatureRows

Floats = NDArray[np.float64]

_NO_TARGET = "no face is found in the image that the generated one is compared with"
_NO_FACE = "no face is found in the generated image, or in the one that it is compared with"
_NO_SOURCE = (
    "no face is found in the source image, or in the one that the generated one is compared with"
)
_UNKNOWN_SOURCE = "some pairs of the run have no source image (--source)"


class FaceIdentity(NetworkMetric, FeaturePairMetric):
    """Whether the face of the generated image is the target's.

    Parameters:
        against: the target: ``"ground_truth"``, or the ``"source"`` image.
        network, network_weights: see :class:`NetworkMetric`; the network finds and describes faces.
        threshold: the largest distance of two descriptors of one person; where it is not given, the
            network's (0.6 for dlib).
        upsample: how often dlib doubles an image at most to find a face; see
            :class:`fhpt_eval.features.faces.Faces`.

    dlib's descriptors are those of ``face_recognition`` 1.3.0 with its defaults, of the first face
    that it finds, in images of up to 2^22 pixels; where it finds none, more doublings may.
    """

    name: ClassVar[str] = "face_identity"
    title: ClassVar[str] = "Face identity"
    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    needs: ClassVar[frozenset[Need]] = frozenset({"ground_truth"})
    instead: ClassVar[Mapping[Need, str]] = {
        "ground_truth": "--source with --set NAME.against=source"
    }
    undefined_when: ClassVar[str] = _NO_TARGET
    wants: ClassVar[Gift] = "face"
    of_network: ClassVar[tuple[str, ...]] = ("upsample",)

    network: Text = "dlib"

    against: Literal["ground_truth", "source"] = "ground_truth"
    threshold: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    upsample: int | None = None

    @model_validator(mode="after")
    def _has_a_threshold(self) -> Self:
        if not self.same_person:
            raise ValueError(
                f"network '{self.network}' does not say how far apart one person's faces may lie; "
                "set threshold"
            )
        return self

    @property
    def same_person(self) -> float:
        """The largest distance of two descriptors of one person."""
        largest = self.chosen().same_person if self.threshold is None else self.threshold
        return largest or 0.0

    def canonical(self) -> Mapping[str, Any]:
        """See :meth:`Metric.canonical`: a threshold counts, whoever states it."""
        return {**super().canonical(), "threshold": self.same_person}

    @classmethod
    def parts(cls) -> Mapping[str, Part]:
        share = (0.0, 1.0)
        return {
            "rate": Part("Faces that stay the same person's", "higher", share),
            "rate_seen": Part(
                "Faces that stay the same person's, of those that the source shows",
                "higher",
                share,
                undefined_when=_NO_SOURCE,
            ),
            "distance": Part(
                "Distance of the faces' descriptors",
                "lower",
                (0.0, math.inf),
                undefined_when=_NO_FACE,
            ),
            "cosine": Part(
                "Cosine of the faces' descriptors", "higher", (-1.0, 1.0), undefined_when=_NO_FACE
            ),
            "lost": Part("Faces that are lost", "lower", share),
            # They say what the rest rests on.
            "detected": Part("Generated images with a face", "none", share, detail=True),
            "detected_target": Part("Targets with a face", "none", share, detail=True),
            "detected_source": Part(
                "Sources with a face", "none", share, detail=True, undefined_when=_UNKNOWN_SOURCE
            ),
        }

    def uses(self) -> frozenset[Need]:
        return frozenset({self.against})

    def may_use(self) -> frozenset[Need]:
        """See :meth:`Metric.may_use`: whose face a source hides, no method can know."""
        return frozenset({"source"})

    def features(self) -> Mapping[str, Feature]:
        return {"faces": self.chosen()}

    def measure(self, rows: FeatureRows) -> Mapping[str, Floats]:
        """Return the parts of each pair.

        ``rate`` is 1 where both faces are at most :attr:`same_person` apart, ``lost`` 1 where the
        generated image has no face, else both are 0; NaN where the target has no face. A face that
        is lost is none that is the same. ``rate_seen`` is ``rate`` where the source has a face, and
        NaN elsewhere, and where source images are not known.
        """
        sides = {"ground_truth": rows.ground_truth, "source": rows.source}
        generated, target = rows.generated["faces"], sides[self.against]["faces"]
        shown, wanted = generated["found"] > 0, target["found"] > 0
        distance = distances(generated["descriptor"], target["descriptor"])
        rate = np.where(wanted, distance <= self.same_person, math.nan)
        source = np.full(len(rate), math.nan)
        if "faces" in rows.source:
            source = (rows.source["faces"]["found"] > 0).astype(np.float64)
        return {
            "rate": rate,
            "rate_seen": np.where(source == 1, rate, math.nan),
            "distance": distance,
            "cosine": cosines(generated["descriptor"], target["descriptor"]),
            "lost": np.where(wanted, ~shown, math.nan),
            "detected": shown.astype(np.float64),
            "detected_target": wanted.astype(np.float64),
            "detected_source": source,
        }

    def remarks(self, columns: Columns) -> Mapping[str, str]:
        """See :meth:`Metric.remarks`: why nothing is said of pairs whose source shows a face."""
        known = ~np.isnan(np.asarray(columns["detected_source"]))
        return {} if known.any() else {"rate_seen": _UNKNOWN_SOURCE}


def distances(first: Floats, second: Floats) -> Floats:
    """Return the Euclidean distance of each of N pairs of descriptors, ``(N,)``.

    Both are ``(N, 128)`` float64, as ``fhpt_eval.features.faces.descriptors`` gives them; where one
    is NaN the distance is.

    Raises:
        ArgumentError: they are not of one such shape.
    """
    first, second = _in_rows(first, second)
    lengths: Floats = np.sqrt(np.square(first - second).sum(axis=1))
    return lengths


def cosines(first: Floats, second: Floats) -> Floats:
    """Return the cosine of the angle between each of N pairs of descriptors, ``(N,)`` in [-1, 1].

    As for :func:`distances`; NaN also where a descriptor is zero, which has no direction.

    Raises:
        ArgumentError: they are not of one such shape.
    """
    first, second = _in_rows(first, second)
    lengths = np.sqrt(np.square(first).sum(axis=1) * np.square(second).sum(axis=1))
    products = (first * second).sum(axis=1)
    cosine = np.full(len(first), math.nan)
    np.divide(products, lengths, out=cosine, where=lengths > 0)
    clipped: Floats = np.clip(cosine, -1, 1)
    return clipped


def _in_rows(first: Floats, second: Floats) -> tuple[Floats, Floats]:
    """Return descriptors whose sums have one order whatever their number: row after row.

    Raises:
        ArgumentError: they are not of one shape (N, D).
    """
    if first.ndim != 2 or first.shape != second.shape:
        raise ArgumentError(
            f"'first' and 'second' must both be (N, 128), not {first.shape} and {second.shape}"
        )
    return np.ascontiguousarray(first), np.ascontiguousarray(second)
