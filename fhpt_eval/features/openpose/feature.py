"""From images to the key points of the person that each shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from fhpt_eval.errors import ArgumentError, WeightsError
from fhpt_eval.features.batches import exact
from fhpt_eval.features.networks import Gift
from fhpt_eval.features.openpose.bands import Floats
from fhpt_eval.features.openpose.decode import MAX_VALUE, decode_surfaces
from fhpt_eval.features.openpose.layout import COCO_18, COCO_18_OF_BODY_25
from fhpt_eval.features.openpose.load import build_network
from fhpt_eval.features.openpose.network import LAYOUTS, STRIDE, Network, PoseNetworkName
from fhpt_eval.features.openpose.persons import choose_person
from fhpt_eval.features.openpose.prepare import float_levels, network_input, scaled_size
from fhpt_eval.features.openpose.settings import STANDARD, Decoding
from fhpt_eval.features.openpose.surface import Plane, axis
from fhpt_eval.features.weighted import WeightedNetwork
from fhpt_eval.keypoints.openpose_json import rank

Height = Annotated[int, Field(ge=8, le=2048)]
Scale = Annotated[float, Field(gt=0, le=4)]

#: What the scripts of pose transfer change: ``tool/compute_coordinates.py`` of Pose-Transfer, which
#: averages heatmaps over the scales and sums affinity fields.
_POSE_TRANSFER = {"scales": (0.5, 1.0, 1.5, 2.0), "paf_fusion": "sum", "divisor": 255}


class PoseNetwork(WeightedNetwork):
    """Key points of the person in an image, by a network of this room and its decoder.

    Fields:
        weights: a registered name or a file, where they are not the network's registered ones.
        height: pixels of height that an image is scaled to before the network sees it, times each
            of ``scales``; in [8, 2048]. By default that on which the network was trained.
        scales: the network sees the image in each of these sizes; one to 16 numbers in (0, 4].
            Heatmaps are averaged over them.
        paf_fusion: whether part affinity fields are averaged over the scales, or summed.
        divisor: what levels are divided by; OpenPose and its PyTorch port have 256, the scripts of
            pose transfer 255.
        decoding: thresholds of the decoder. Pixels in them are the image's, not the input's.
    """

    name: ClassVar[PoseNetworkName]
    version: ClassVar[int] = 2
    gives: ClassVar[frozenset[Gift]] = frozenset({"joints"})

    height: Height
    scales: Annotated[tuple[Scale, ...], Field(min_length=1, max_length=16)] = (1.0,)
    paf_fusion: Literal["mean", "sum"] = "mean"
    divisor: Literal[255, 256] = 256
    decoding: Decoding = STANDARD

    def compute(self, images: Tensor) -> dict[str, Tensor]:
        """Compute the key points of N images, on their device; see :func:`choose_person`.

        Images pass the network one by one.

        Args:
            images: ``(N, 3, H, W)``, uint8 or float in [0, 1].

        Returns:
            ``keypoints`` (N, 18, 3) float32: x and y in pixels of the image, pixel centres at whole
            numbers, and confidence, in the order of ``COCO_18``; all three NaN where a joint, or a
            person, is not found. ``size`` (N, 2) int64: height and width of the image.
            ``persons`` (N,) int64: how many persons were found.

        Raises:
            ArgumentError: as :meth:`Feature.compute`, or an image is too wide.
        """
        detected = self._persons(float_levels(images))
        chosen = [choose_person(persons) for persons in detected]
        keypoints = torch.from_numpy(np.stack(chosen)).to(images.device, torch.float32)
        size = torch.tensor(images.shape[2:], device=images.device).expand(len(images), 2)
        counts = torch.tensor([len(persons) for persons in detected], device=images.device)
        return {"keypoints": keypoints, "size": size, "persons": counts}

    @classmethod
    def build(cls, state: Mapping[str, Tensor], device: torch.device, label: str) -> Network:
        return build_network(cls.name, state, device, label)

    def _persons(self, images: Tensor) -> list[Floats]:
        """Return (P, 18, 3) of each image, ordered by the rule of :func:`choose_person`."""
        network: Network = self.loaded(images.device)
        with torch.no_grad(), exact(images.device):
            return [self._decoded(network, image[None]) for image in images]

    def _decoded(self, network: Network, image: Tensor) -> Floats:
        height, width = image.shape[2:]
        heatmaps, pafs = [], []
        count = len(self.scales)
        for scale in self.scales:
            size = scaled_size(height, width, self.height * scale)
            maps = network(network_input(image, size, self.divisor))
            rows, columns = (
                axis(cells, STRIDE, used, pixels, self.decoding.peak_sigma)
                for cells, used, pixels in zip(
                    maps.pafs.shape[2:], size, (height, width), strict=True
                )
            )
            heat, field = (self._finite(part[0]) for part in maps)
            heatmaps.append(Plane(heat / count, rows, columns))
            shared = count if self.paf_fusion == "mean" else 1
            pafs.append(Plane(field / shared, rows, columns))
        layout = LAYOUTS[self.name]
        persons = decode_surfaces(heatmaps, pafs, layout, self.decoding)
        return persons if layout is COCO_18 else _as_coco_18(persons)

    def _finite(self, maps: Tensor) -> Floats:
        values: Floats = np.ascontiguousarray(maps.cpu().double().numpy())
        if not (values.min() >= -MAX_VALUE and values.max() <= MAX_VALUE):  # NaN is neither
            raise WeightsError(
                f"the network {self.name} with the weights '{self.weights_used}' gives no finite "
                "numbers, or huge ones: these weights cannot be used."
            )
        return values


class OpenPose(PoseNetwork):
    """OpenPose's network of 18 key points.

    Fields:
        estimation: ``"openpose"`` sees the image at one size; ``"pose-transfer"`` at four, with the
            settings of the field's script, where ``scales``, ``paf_fusion`` and ``divisor`` are not
            given.
        weights, height, scales, paf_fusion, divisor, decoding: see :class:`PoseNetwork`.
    """

    name: ClassVar[PoseNetworkName] = "openpose-coco18"
    title: ClassVar[str] = "OpenPose, 18 key points"
    made_for: ClassVar[str] = "photographs"
    registered: ClassVar[str] = "openpose-coco18"
    licence: ClassVar[str] = "academic or non-profit non-commercial research use only"
    citation: ClassVar[str] = "Cao et al., CVPR 2017"

    height: Height = 368
    estimation: Literal["openpose", "pose-transfer"] = "openpose"

    @model_validator(mode="before")
    @classmethod
    def _as_estimated(cls, fields: Any) -> Any:
        if isinstance(fields, Mapping) and fields.get("estimation") == "pose-transfer":
            return {**_POSE_TRANSFER, **fields}
        return fields

    def canonical(self) -> dict[str, Any]:
        """See :meth:`Feature.canonical`: what ``estimation`` sets, not its name."""
        settings = super().canonical()
        del settings["parameters"]["estimation"]
        return settings


class OpenPoseBody25(OpenPose):
    """OpenPose's network of 25 key points, of which the 18 of the other one are given."""

    name: ClassVar[PoseNetworkName] = "openpose-body25"
    title: ClassVar[str] = "OpenPose, 25 key points"
    registered: ClassVar[str] = "openpose-body25"
    citation: ClassVar[str] = "Cao et al., TPAMI 2019"


class MannequinPose(PoseNetwork):
    """The pose network of the mannequin benchmark; fields are those of :class:`PoseNetwork`."""

    name: ClassVar[PoseNetworkName] = "mannequin-pose"
    title: ClassVar[str] = "Joints of the mannequin benchmark"
    made_for: ClassVar[str] = "drawn people"
    registered: ClassVar[str] = "mannequin-pose"
    licence: ClassVar[str] = "Apache-2.0"
    citation: ClassVar[str] = "this package; docs/mannequin-networks.md"

    height: Height = 256


#: The public network with its standard settings.
STANDARD_POSE = OpenPose()


def estimate(image: Tensor, pose: PoseNetwork = STANDARD_POSE) -> Floats:
    """Find all persons in an image.

    Args:
        image: ``(3, H, W)``, red, green, blue, uint8 or float in [0, 1].
        pose: network, scales and thresholds.

    Returns:
        ``(P, 18, 3)`` float64: x and y in pixels of the image, pixel centres at whole numbers, and
        confidence, NaN where missing; ordered by the rule of :func:`choose_person`.

    Raises:
        ArgumentError: an argument has the wrong type, shape or range, or the image is too wide.
        WeightsError: the weights are not there, or not the network's.
    """
    if not isinstance(pose, PoseNetwork):
        raise ArgumentError(f"'pose' must be a PoseNetwork, not {type(pose).__name__}")
    if not isinstance(image, Tensor) or image.ndim != 3:
        shape = f" of shape {tuple(image.shape)}" if isinstance(image, Tensor) else ""
        raise ArgumentError(
            f"'image' must be a torch.Tensor (3, H, W), not a {type(image).__name__}{shape}"
        )
    return pose._persons(float_levels(image[None]))[0]


def _as_coco_18(persons: Floats) -> Floats:
    """Return the joints that both layouts have: middle hip and feet go.

    A person of whom none is left goes too; the rest are ordered again by what is left.
    """
    kept = persons[:, list(COCO_18_OF_BODY_25)]
    kept = kept[~np.isnan(kept[..., 0]).all(axis=1)]
    return kept[rank(kept)].reshape(-1, len(COCO_18.joints), 3)
