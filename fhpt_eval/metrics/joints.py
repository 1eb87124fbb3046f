"""Joints of the generated person against the target's.

The formulas are in pck and oks; what annotated key points are, in place of estimated ones, in
keypoints.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from fhpt_eval.errors import ArgumentError, InputError
from fhpt_eval.features.base import Feature
from fhpt_eval.features.networks import Gift
from fhpt_eval.keypoints import JOINTS, REGIONS, Box, Frame, Outside, read_keypoints
from fhpt_eval.metrics import pck
from fhpt_eval.metrics.base import Columns, Direction, Need, Part, Shown
from fhpt_eval.metrics.networks import NetworkMetric, Text
from fhpt_eval.metrics.oks import oks
from fhpt_eval.metrics.on_features import Arrays, FeaturePairMetric, FeatureRows

Floats = NDArray[np.float64]
Alpha = Annotated[float, Field(gt=0, le=10)]

#: Steps of a preparation after which a pixel has another place.
_MOVING = frozenset({"crop", "pad", "resize"})

_NO_JOINT = "the target shows no joint"
_NO_HEAD = "the target shows fewer than 2 of nose, neck, eyes and ears, so it has no head box"
_NO_TORSO = "the target does not show both the left shoulder and the right hip"
_ALONE = "no joint is found on both sides"
_NO_AREA = "the target shows none of COCO's joints, or they span no area"
_ANNOTATED = "the target's key points are annotated, of one person an image"


def _moved_beneath(metric: Joints, shown: Shown) -> None:
    """Refuse to compare annotated positions with images that were moved beneath them.

    Raises:
        InputError: the preparation moves the pixels of the ground truth, and ``annotation_box``
            does not say where to.
    """
    if metric.keypoints is None or metric.annotation_box is not None:
        return
    moving = [
        step["step"]
        for step in shown.steps
        if step["step"] in _MOVING and "ground_truth" in step["of"]
    ]
    if moving:
        raise InputError(
            f"joints: {metric.keypoints} is in pixels of the ground truth as it is, and the "
            f"protocol changes these ({', '.join(moving)}). Say which part of the annotated "
            "frame the prepared images show (annotation_box: left, top, right, bottom), or "
            "prepare nothing for this metric."
        )


def _not_annotated(metric: Joints, shown: Shown) -> None:
    """Refuse targets without annotation, or with joints outside of their image.

    Raises:
        InputError: lists them.
    """
    if metric.keypoints is not None:
        metric.annotated(shown.names, shown.sizes)


class Joints(NetworkMetric, FeaturePairMetric):
    """Are the generated person's joints where the target's are?

    Estimated by one network on both sides, so that its habits count on both; or the target's are
    annotated ones from a file.

    Parameters:
        network, network_weights: see :class:`NetworkMetric`; the network gives 18 joints.
        estimation: ``"openpose"`` sees the image at one size; ``"pose-transfer"`` at four, with the
            settings of the field's script; for OpenPose's networks.
        keypoints: the target's key points: an annotation CSV or a folder of OpenPose's JSON, by the
            names of the ground-truth images. ``None``: they are estimated.
        annotation_box: left, top, right, bottom: the part of the frame of ``keypoints`` that the
            prepared images show, in pixels of that frame. ``None``: the frame is the ground-truth
            image as it is, which the protocol then must not crop, pad or resize.
        outside: joints of ``keypoints`` outside of their image are refused, count as absent, or are
            kept as they are (``"keep"``, as the published script has it).
        head_alpha, torso_alpha, image_alpha: shares of the head box, of the torso's length and of
            the image's longer side within which a joint is right.
    """

    name: ClassVar[str] = "joints"
    title: ClassVar[str] = "Joints"
    direction: ClassVar[Direction] = "higher"
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    needs: ClassVar[frozenset[Need]] = frozenset({"ground_truth"})
    instead: ClassVar[Mapping[Need, str]] = {"ground_truth": "--keypoints"}
    undefined_when: ClassVar[str] = _NO_JOINT
    version: ClassVar[int] = 2
    same_size: ClassVar[bool] = True
    wants: ClassVar[Gift] = "joints"
    of_network: ClassVar[tuple[str, ...]] = ("estimation",)
    checks: ClassVar = (_moved_beneath, _not_annotated)
    by_content: ClassVar[frozenset[str]] = frozenset({"network_weights", "keypoints"})

    network: Text = "openpose-coco18"
    estimation: Text | None = None
    keypoints: Annotated[str, Field(min_length=1)] | None = None
    annotation_box: Annotated[Box, Field(strict=False)] | None = None
    outside: Outside = "refuse"
    head_alpha: Alpha = 0.5
    torso_alpha: Alpha = 0.2
    image_alpha: Alpha = 0.05

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.annotation_box is not None:
            left, top, right, bottom = self.annotation_box
            if left >= right or top >= bottom:
                raise ValueError(
                    "annotation_box is left, top, right, bottom: an empty one is given"
                )
        return self

    @classmethod
    def parts(cls) -> Mapping[str, Part]:
        """See :meth:`Metric.parts`: PCKh first; the numbers of joints that weigh, last."""
        parts = {
            "pckh": _share_part("PCKh", _NO_HEAD),
            "pck_torso": _share_part("PCK by torso", _NO_TORSO),
            "pck_image": _share_part("PCK by image", _NO_JOINT),
            "distance": Part(
                "Distance of joints in pixels", "lower", (0.0, math.inf),
                undefined_when=_ALONE, weight="in_both",
            ),
            "missed": _share_part("Joints missed", _NO_JOINT, "lower"),
            "invented": Part("Joints invented", "lower", (0.0, len(JOINTS))),
            "oks": Part("OKS", "higher", (0.0, 1.0), undefined_when=_NO_AREA),
            "akd": Part(
                "Average key point distance (AKD) in pixels", "lower", (0.0, math.inf),
                undefined_when=_ALONE,
            ),
            "missing_rate": Part(
                "Missing rate (MKR)", "lower", (0.0, 1.0), undefined_when=_NO_JOINT
            ),
            "several": Part(
                "Generated images with several persons", "none", (0.0, 1.0), detail=True
            ),
            "several_target": Part(
                "Targets with several persons", "none", (0.0, 1.0), undefined_when=_ANNOTATED,
                detail=True,
            ),
        }  # fmt: skip
        for region in REGIONS:
            absent = f"the target has no head box or none of these joints ({region})"
            parts[region] = replace(
                _share_part(f"PCKh, {region}", absent), weight=f"{region}_in_target"
            )
        for joint in JOINTS:
            words = joint.replace("_", " ")
            absent = f"the target has no head box or no {words}"
            parts[joint] = replace(_share_part(f"PCKh, {words}", absent), weight="", detail=True)
        return parts | _numbers()

    def uses(self) -> frozenset[Need]:
        """See :meth:`Metric.uses`: annotated key points take the place of ground-truth images."""
        return self.needs if self.keypoints is None else frozenset()

    def features(self) -> Mapping[str, Feature]:
        return {"pose": self.chosen()}

    def canonical(self) -> Mapping[str, Any]:
        """See :meth:`Metric.canonical`: of annotated key points the content counts.

        Raises:
            InputError: the key points cannot be read.
        """
        settings = dict(super().canonical())
        if self.keypoints is None:  # nothing is annotated, whatever is said of its frame
            return settings | {"keypoints": None, "annotation_box": None, "outside": None}
        return settings | {"keypoints": read_keypoints(self.keypoints).digest}

    def annotated(self, names: Sequence[str], size: NDArray[Any]) -> Floats:
        """Return annotated positions of N ground-truth images, ``(N, 18, 2)``, in their pixels.

        ``size``, ``(N, 2)``, is the height and width of the images as they are compared.

        Raises:
            ArgumentError: the parameter ``keypoints`` is not set.
            InputError: the key points cannot be read, lack an image, or have joints outside of one.
        """
        if self.keypoints is None:
            raise ArgumentError("joints has no annotation; set its parameter 'keypoints'")
        frame = Frame(self.annotation_box, self.outside)
        return frame.positions(read_keypoints(self.keypoints), names, size)

    def measure(self, rows: FeatureRows) -> Mapping[str, Floats]:
        """See :meth:`FeaturePairMetric.measure`.

        Raises:
            InputError: annotated key points do not fit; see :meth:`annotated`.
        """
        pose = rows.generated["pose"]
        generated, size = _positions(pose["keypoints"]), pose["size"]
        several = {"several": _several(pose), "several_target": np.full(len(size), math.nan)}
        if self.keypoints is None:
            target = _positions(rows.ground_truth["pose"]["keypoints"])
            several["several_target"] = _several(rows.ground_truth["pose"])
        else:
            target = self.annotated(rows.targets, size)
        shares = self._accuracies(generated, target, size)
        return {**shares, **_unscaled(generated, target), **several}

    def remarks(self, columns: Columns) -> Mapping[str, str]:
        """See :meth:`Metric.remarks`: in how many images there were several persons."""
        counts = []
        for part, images in (("several", "generated images"), ("several_target", "targets")):
            column = np.asarray(columns[part])
            number, known = int(np.nansum(column)), int((~np.isnan(column)).sum())
            if number:
                counts.append(f"{number:,} of {known:,} {images}")
        if not counts or np.isnan(np.asarray(columns["pckh"])).all():
            return {}
        text = f"several persons in {' and '.join(counts)}; the largest counts"
        return {"pckh": text}

    def _accuracies(
        self, generated: Floats, target: Floats, size: NDArray[Any]
    ) -> dict[str, Floats]:
        """Return shares of right joints: by each scale, region and joint."""
        by_head = pck.pckh_counts(generated, target, self.head_alpha)
        shares = {
            "pckh": _share(by_head),
            "pck_torso": _share(pck.pck_torso_counts(generated, target, self.torso_alpha)),
            "pck_image": _share(pck.pck_image_counts(generated, target, size, self.image_alpha)),
        }
        shares |= {region: _share(by_head, joints) for region, joints in REGIONS.items()}
        return shares | {joint: _share(by_head, (number,)) for number, joint in enumerate(JOINTS)}


def _share_part(title: str, undefined_when: str, direction: Direction = "higher") -> Part:
    """Return a share of the target's joints, which are pooled over pairs."""
    return Part(title, direction, (0.0, 1.0), undefined_when=undefined_when, weight="in_target")


def _number_part(title: str, most: int) -> Part:
    return Part(title, "none", (0.0, float(most)), detail=True)


def _numbers() -> dict[str, Part]:
    """Return the numbers of joints by which pairs weigh; they do not say how good images are."""
    numbers = {
        "in_target": _number_part("Joints in the target", len(JOINTS)),
        "in_both": _number_part("Joints in both images", len(JOINTS)),
    }
    for region, joints in REGIONS.items():
        numbers[f"{region}_in_target"] = _number_part(
            f"Joints in the target, {region}", len(joints)
        )
    return numbers


def _unscaled(generated: Floats, target: Floats) -> dict[str, Floats]:
    """Return what needs no scale of a parameter: distances, joints missed, numbers of joints.

    ``akd`` and ``missing_rate`` are those of ``cmp_with_missing.py`` in
    AliaksandrSiarohin/pose-evaluation: the mean of ``|dx|`` and ``|dy|`` over joints in both
    images, and the share of the target's that are missing, each averaged over images.
    """
    drawn, wanted = pck.present(generated), pck.present(target)
    both = drawn & wanted
    gaps = np.where(both, pck.distances(generated, target), 0.0)
    steps = np.where(both[..., None], np.abs(generated - target), 0.0)
    values = {
        "distance": _ratio(gaps.sum(axis=1), both.sum(axis=1)),
        "missed": _ratio((wanted & ~drawn).sum(axis=1), wanted.sum(axis=1)),
        "missing_rate": _ratio((wanted & ~drawn).sum(axis=1), wanted.sum(axis=1)),
        "akd": _ratio(steps.sum(axis=(1, 2)), 2 * both.sum(axis=1)),
        "oks": oks(generated, target),
        "invented": (drawn & ~wanted).sum(axis=1).astype(np.float64),
        "in_target": wanted.sum(axis=1).astype(np.float64),
        "in_both": both.sum(axis=1).astype(np.float64),
    }
    for region, joints in REGIONS.items():
        number = wanted[:, list(joints)].sum(axis=1).astype(np.float64)
        values[f"{region}_in_target"] = number
    return values


def _several(pose: Arrays) -> Floats:
    """Return for each image 1 where several persons were found, else 0."""
    several: Floats = (pose["persons"] > 1).astype(np.float64)
    return several


def _positions(points: NDArray[Any]) -> Floats:
    positions: Floats = points[..., :2].astype(np.float64)
    return positions


def _share(counts: pck.Counts, joints: tuple[int, ...] = tuple(range(len(JOINTS)))) -> Floats:
    """Return which share of some joints is right, ``(N,)``; NaN where none of them counts."""
    chosen = list(joints)
    return _ratio(counts.correct[:, chosen].sum(axis=1), counts.counted[:, chosen].sum(axis=1))


def _ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> Floats:
    ratio = np.full(len(denominator), math.nan)
    np.divide(numerator, denominator, out=ratio, where=denominator > 0)
    return ratio
