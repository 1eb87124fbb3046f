"""From images to the drawn face that each of them shows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from fhpt_eval.features.batches import run_in_batches
from fhpt_eval.features.levels import as_levels
from fhpt_eval.features.loading import module_of
from fhpt_eval.features.mannequin.face_network import (
    HEIGHT,
    LENGTH,
    MULTIPLE,
    FaceNetworks,
    lattice,
    peaks,
    sample,
    softened,
    squares,
)
from fhpt_eval.features.networks import Gift
from fhpt_eval.features.weighted import WeightedNetwork

#: The registered weights, and the file that training writes.
NETWORK = "mannequin-faces"
FILE = "mannequin-faces.safetensors"
#: From this score on there is a face. With the shipped weights, in the pictures of 120 people of
#: the train split who were held out of training, 2 of 706 faces are missed, and one is seen in 9 of
#: 246 pictures without (7 of these people are turned just past the profile).
FOUND = 0.5
#: Largest width of an image that is scaled to the finder's height, in pixels.
_WIDEST = 4096
#: Images that pass the networks together, always as many, since the shape decides in which order a
#: library adds.
_BATCH_CPU = 1
_BATCH_ACCELERATOR = 32


class MannequinFaces(WeightedNetwork):
    """The likeliest face of each image of a drawn person: its box, a score and a descriptor.

    Fields:
        weights: a registered name or a file, where they are not the shipped ones.

    For images of the mannequin benchmark and of methods that are trained on it; the networks have
    never seen a photograph. Names, types and meanings of what is computed are those of
    :class:`fhpt_eval.features.faces.Faces`, which sees no profiles of drawn people, but distances
    are not: descriptors have length 1 and lie up to 2 apart.
    """

    name: ClassVar[str] = NETWORK
    title: ClassVar[str] = "Faces of the mannequin benchmark"
    gives: ClassVar[frozenset[Gift]] = frozenset({"face"})
    made_for: ClassVar[str] = "drawn people"
    registered: ClassVar[str] = NETWORK
    licence: ClassVar[str] = "Apache-2.0"
    citation: ClassVar[str] = "this package; docs/mannequin-networks.md"
    #: Among the faces of the 120 people of :data:`FOUND`, as many pairs of one person lie above as
    #: pairs of two below (2.2 percent).
    same_person: ClassVar[float | None] = 1.01

    def compute(self, images: Tensor) -> dict[str, Tensor]:
        """Find and describe the face of N images, on their device.

        Images of another height than 256 are scaled to it (bilinear, antialiased). An image's row
        does not depend on the other images, nor on its place among them: on a CPU not by a single
        bit.

        Args:
            images: ``(N, 3, H, W)`` RGB, uint8 or float in [0, 1].

        Returns:
            ``found`` (N,) int64, 1 where there is a face, else 0; of the likeliest one ``box``
            (N, 4) float64, its left, top, right and bottom pixel, centres at whole numbers, which
            may lie outside the image, ``score`` (N,) float64, from 0.5 to 1, and ``descriptor``
            (N, 128) float64 of length 1; NaN where there is no face. None is sought in images that
            would be wider than 4,096 pixels at that height.

        Raises:
            ArgumentError: the tensor has the wrong type, shape or range.
            WeightsError: the weights are not there, or not these networks'.
        """
        levels = as_levels(images).contiguous()  # the order in memory decides that of sums
        if levels.shape[3] * HEIGHT > _WIDEST * levels.shape[2]:
            return _nothing(len(levels), levels.device)
        networks: FaceNetworks = self.loaded(levels.device)

        def run(batch: Tensor) -> Mapping[str, Tensor]:
            return _likeliest(networks, batch)

        return run_in_batches(run, levels, _BATCH_CPU, _BATCH_ACCELERATOR)

    @classmethod
    def build(cls, state: Mapping[str, Tensor], device: torch.device, label: str) -> FaceNetworks:
        return module_of(FaceNetworks, state, label, "the networks of drawn faces").to(device)


def _nothing(count: int, device: torch.device) -> dict[str, Tensor]:
    """Return the rows of N images without a face."""
    shapes = {"box": (count, 4), "score": (count,), "descriptor": (count, LENGTH)}
    rows = {
        name: torch.full(shape, math.nan, dtype=torch.float64, device=device)
        for name, shape in shapes.items()
    }
    return {"found": torch.zeros(count, dtype=torch.int64, device=device), **rows}


def _likeliest(networks: FaceNetworks, levels: Tensor) -> dict[str, Tensor]:
    """Return the rows of uint8 images; see :meth:`MannequinFaces.compute`."""
    height, width = levels.shape[2:]
    x = levels.float()
    if height != HEIGHT:
        scaled = HEIGHT, max(round(width * HEIGHT / height), 1)
        x = interpolate(x, scaled, mode="bilinear", antialias=True)
    x = pad(x, (0, -x.shape[3] % MULTIPLE, 0, 0), mode="replicate")
    scores, boxes = peaks(networks.finder(softened(x)))
    descriptors = networks.descriptor(sample(x, lattice(squares(boxes)))).double()
    boxes = (boxes + 0.5) * (height / HEIGHT) - 0.5
    seen = scores >= FOUND
    return {
        "found": seen.long(),
        "box": boxes.where(seen[:, None], math.nan),
        "score": scores.where(seen, math.nan),
        "descriptor": descriptors.where(seen[:, None], math.nan),
    }
