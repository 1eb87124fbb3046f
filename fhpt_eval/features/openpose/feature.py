"""The feature: from images to the key points of the person that each shows."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import field_validator, model_validator
from torch import Tensor

from fhpt_eval.errors import ArgumentError, WeightsError
from fhpt_eval.features.exact import exact
from fhpt_eval.features.network_feature import NetworkFeature
from fhpt_eval.features.openpose.bands import Floats
from fhpt_eval.features.openpose.decode import MAX_VALUE, decode_surfaces
from fhpt_eval.features.openpose.layout import COCO_18, COCO_18_OF_BODY_25
from fhpt_eval.features.openpose.load import load_network
from fhpt_eval.features.openpose.network import (
    HEIGHTS,
    LAYOUTS,
    STRIDE,
    WEIGHTS,
    Network,
    NetworkName,
)
from fhpt_eval.features.openpose.persons import choose_person, rank
from fhpt_eval.features.openpose.prepare import float_levels, network_input, scaled_size
from fhpt_eval.features.openpose.settings import STANDARD, Decoding
from fhpt_eval.features.openpose.surface import Plane, axis

#: Heights that an image can be scaled to, in pixels.
_HEIGHTS = (8, 2048)
#: How many scales there can be, and the largest.
_MOST_SCALES, _LARGEST_SCALE = 16, 4.0


class OpenPose(NetworkFeature):
    """Key points of the person in an image, by a network of this room and its decoder.

    Fields:
        network: which one; see ``network.py``.
        weights: a registered name or a file, where they are not the network's registered ones.
        height: pixels of height that an image is scaled to before the network sees it, times each
            of ``scales``; in [8, 2048]. By default that on which the network was trained: 368 for
            OpenPose's networks, 256 for ``mannequin``.
        scales: the network sees the image in each of these sizes; one to 16 numbers in (0, 4].
            Heatmaps are averaged over them.
        paf_fusion: whether part affinity fields are averaged over the scales, or summed.
        divisor: what levels are divided by; OpenPose and its PyTorch port have 256, the scripts of
            pose transfer 255.
        decoding: thresholds of the decoder. Pixels in them are the image's, not the input's.
    """

    name: ClassVar[str] = "openpose"

    network: NetworkName = "openpose-coco18"
    height: int = HEIGHTS["openpose-coco18"]
    scales: tuple[float, ...] = (1.0,)
    paf_fusion: Literal["mean", "sum"] = "mean"
    divisor: Literal[255, 256] = 256
    decoding: Decoding = STANDARD

    @model_validator(mode="before")
    @classmethod
    def _height_of_network(cls, fields: Any) -> Any:
        """Fill in the network's own height; it is a value like any other in addresses."""
        if isinstance(fields, dict) and "height" not in fields:
            own = [height for name, height in HEIGHTS.items() if name == fields.get("network")]
            return {**fields, "height": own[0]} if own else fields
        return fields

    @field_validator("height")
    @classmethod
    def _height_in_range(cls, height: int) -> int:
        if not _HEIGHTS[0] <= height <= _HEIGHTS[1]:
            raise ValueError(f"'height' must lie in [{_HEIGHTS[0]}, {_HEIGHTS[1]}], not {height}")
        return height

    @field_validator("scales")
    @classmethod
    def _scales_in_range(cls, scales: tuple[float, ...]) -> tuple[float, ...]:
        if not 1 <= len(scales) <= _MOST_SCALES:
            raise ValueError(f"'scales' must be 1 to {_MOST_SCALES} numbers, not {len(scales)}")
        for scale in scales:
            if not 0 < scale <= _LARGEST_SCALE:
                raise ValueError(f"'scales' must lie in (0, {_LARGEST_SCALE:g}], not {scale}")
        return scales

    def compute(self, images: Tensor) -> dict[str, Tensor]:
        """Compute the key points of N images, on their device; see :func:`choose_person`.

        Images pass the network one by one, so that on a CPU an image's key points do not depend on
        the others by a single bit.

        Args:
            images: ``(N, 3, H, W)``, uint8 or float in [0, 1].

        Returns:
            ``keypoints`` (N, 18, 3) float32: x and y in pixels of the image, pixel centres at whole
            numbers, and confidence, in the order of ``COCO_18``; all three NaN where a joint, or a
            person, is not found. ``size`` (N, 2) int64: height and width of the image.

        Raises:
            ArgumentError: the tensor has the wrong type, shape or range, or is too wide.
            WeightsError: the weights are not there, or not this network's.
        """
        chosen = [choose_person(persons) for persons in self._persons(float_levels(images))]
        keypoints = torch.from_numpy(np.stack(chosen)).to(images.device, torch.float32)
        size = torch.tensor(images.shape[2:], device=images.device).expand(len(images), 2)
        return {"keypoints": keypoints, "size": size}

    def load(self, device: torch.device) -> None:
        """See :meth:`Feature.load`."""
        load_network(self.source, self.network, device)

    @property
    def registered(self) -> str:
        """See :attr:`NetworkFeature.registered`."""
        return WEIGHTS[self.network]

    def _persons(self, images: Tensor) -> list[Floats]:
        """Return (P, 18, 3) of each image, ordered by the rule of :func:`choose_person`."""
        network = load_network(self.source, self.network, images.device)
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
        layout = LAYOUTS[self.network]
        persons = decode_surfaces(heatmaps, pafs, layout, self.decoding)
        return persons if layout is COCO_18 else _as_coco_18(persons)

    def _finite(self, maps: Tensor) -> Floats:
        values: Floats = np.ascontiguousarray(maps.cpu().double().numpy())
        if not (values.min() >= -MAX_VALUE and values.max() <= MAX_VALUE):  # NaN is neither
            raise WeightsError(
                f"the network {self.network} with the weights '{self.source}' gives no finite "
                "numbers, or huge ones: these weights cannot be used."
            )
        return values


#: The public network with its standard settings.
STANDARD_POSE = OpenPose()


def estimate(image: Tensor, pose: OpenPose = STANDARD_POSE) -> Floats:
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
    if not isinstance(pose, OpenPose):
        raise ArgumentError(f"'pose' must be an OpenPose, not {type(pose).__name__}")
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
