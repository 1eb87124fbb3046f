"""The networks that find a drawn face and describe it.

Two plain convolutional networks without normalisation by batch or by image, together 0.65 million
figures:

- The finder sees a whole image and gives, for every cell of 4 x 4 pixels, how likely a face's
  middle lies there, and that face's box: X. Zhou, D. Wang, P. Krähenbühl, "Objects as Points", 2019
  (an object is the peak of a map, and its size is read off at the peak).
- The descriptor sees a square around the head, 56 x 56, and gives a vector of length 1. Each
  channel of its last map is summed by a learnt map of weights (S. Chen et al., "MobileFaceNets",
  CCBR 2018: places in a face do not count alike, as they would in a mean).

Places are pixels, centres at whole numbers, x before y; a box is left, top, right, bottom.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample, interpolate, normalize, pad, relu

from fhpt_eval.features.batches import run_in_batches
from fhpt_eval.features.levels import as_levels
from fhpt_eval.features.loading import module_of
from fhpt_eval.features.networks import Gift
from fhpt_eval.features.weighted import WeightedNetwork

#: Rows of an image as the finder was trained to see it.
HEIGHT = 256
#: Height and width that the finder takes are multiples of this.
MULTIPLE = 16
#: Pixels of a cell of the finder's maps.
STRIDE = 4
#: Side of the square that is described, in samples, and length of a descriptor.
CROP, LENGTH = 56, 128
#: A face of this many pixels has a size of 0 in the finder's maps, which hold logarithms.
_UNIT = 16.0
#: Largest logarithm of a size: faces of 2 to 118 pixels.
_LARGEST = 2.0
#: The square that is described, in heights of the face's box: its side, and how far it reaches
#: below the chin. It holds the head with its hair, and next to nothing of what is worn.
_SIDE, _BELOW = 1.36, 0.04


class Peaks(NamedTuple):
    """The likeliest face of each of N images."""

    scores: Tensor  # (N,), in [0, 1]
    boxes: Tensor  # (N, 4), float64


class Block(nn.Module):
    """Two convolutions whose result is added: He et al., "Identity Mappings", ECCV 2016."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, C, H, W)`` for the same."""
        added: Tensor = self.second(relu(self.first(relu(x))))
        return x + added


def _halved(channels: int, more: int) -> nn.Conv2d:
    return nn.Conv2d(channels, more, 3, stride=2, padding=1)


class Finder(nn.Module):
    """From images to maps of faces."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _halved(3, 16)
        self.fine = nn.Sequential(_halved(16, 32), Block(32))
        self.middle = nn.Sequential(_halved(32, 48), Block(48))
        self.coarse = nn.Sequential(_halved(48, 64), Block(64))
        self.from_coarse = nn.Conv2d(64, 48, 1)
        self.from_middle = nn.Conv2d(48, 32, 1)
        self.last = nn.Conv2d(32, 32, 3, padding=1)
        self.maps = nn.Conv2d(32, 5, 1)

    def forward(self, levels: Tensor) -> Tensor:
        """Return maps ``(N, 5, H / 4, W / 4)`` for ``(N, 3, H, W)`` float32 levels 0..255.

        H and W are multiples of 16. The channels are the logit of a face, its middle's distance
        from the cell's in cells (x, y), and the logarithms of its width and height; see ``boxes``.
        """
        fine = self.fine(relu(self.stem(levels / 127.5 - 1)))
        middle = self.middle(relu(fine))
        coarse = self.coarse(relu(middle))
        middle = middle + _doubled(self.from_coarse(relu(coarse)))
        fine = fine + _doubled(self.from_middle(relu(middle)))
        maps: Tensor = self.maps(relu(self.last(relu(fine))))
        return maps


class Descriptor(nn.Module):
    """From squares around heads to descriptors."""

    def __init__(self) -> None:
        super().__init__()
        # 5 x 5 at half the resolution: 3 x 3 at the full one took half of all time.
        self.stem = nn.Conv2d(3, 40, 5, stride=2, padding=2)
        self.large = Block(40)
        self.middle = nn.Sequential(_halved(40, 64), Block(64), Block(64))
        self.small = nn.Sequential(_halved(64, 96), Block(96))
        self.wide = nn.Conv2d(96, 128, 1)
        self.places = nn.Conv2d(128, 128, CROP // 8, groups=128)
        self.out = nn.Linear(128, LENGTH)

    def forward(self, levels: Tensor) -> Tensor:
        """Return ``(N, 128)`` of length 1 for ``(N, 3, 56, 56)`` float32 levels 0..255."""
        x = self.large(self.stem(levels / 127.5 - 1))
        x = self.small(relu(self.middle(relu(x))))
        x = self.places(relu(self.wide(relu(x)))).flatten(1)
        return normalize(self.out(x).float())


class FaceNetworks(nn.Module):
    """Both; its state dict is what a file of weights holds, all float32."""

    def __init__(self) -> None:
        super().__init__()
        self.finder = Finder()
        self.descriptor = Descriptor()


def start(network: nn.Module, generator: torch.Generator) -> None:
    """Fill a network with the figures that training starts from.

    Filters are normal with the variance of K. He et al., "Delving Deep into Rectifiers", ICCV 2015;
    those that close a block are a fifth of that, so that blocks start near the identity.
    """
    with torch.no_grad():
        for name, value in network.named_parameters():
            if value.ndim < 2:
                value.zero_()
                if name == "maps.bias":
                    value[0] = -4.0  # faces are rare among cells
                continue
            gain = 0.2 if name.endswith("second.weight") else 1.0
            fan_in = value[0].numel()
            value.normal_(0.0, gain * math.sqrt(2 / fan_in), generator=generator)


def boxes(maps: Tensor) -> Tensor:
    """Return the box that each cell of the finder's maps tells of, ``(N, h, w, 4)`` float64."""
    _, _, h, w = maps.shape
    x, y, wide, high = maps[:, 1:].double().unbind(1)
    columns = torch.arange(w, dtype=torch.float64, device=maps.device)
    rows = torch.arange(h, dtype=torch.float64, device=maps.device)[:, None]
    x = (columns + 0.5 + x) * STRIDE - 0.5
    y = (rows + 0.5 + y) * STRIDE - 0.5
    half = wide.clamp(-_LARGEST, _LARGEST).exp() * (_UNIT / 2)
    tall = high.clamp(-_LARGEST, _LARGEST).exp() * (_UNIT / 2)
    return torch.stack([x - half, y - tall, x + half, y + tall], dim=-1)


def wanted(faces: Tensor, h: int, w: int) -> Tensor:
    """Return what :func:`boxes` undoes: channels 1 to 4 of maps of known faces, ``(N, 4, h, w)``.

    ``faces`` are ``(N, 4)`` boxes.
    """
    left, top, right, bottom = (side[:, None, None] for side in faces.unbind(1))
    columns = (torch.arange(w, device=faces.device) + 0.5)[None, None, :]
    rows = (torch.arange(h, device=faces.device) + 0.5)[None, :, None]
    x = ((left + right) / 2 + 0.5) / STRIDE - columns
    y = ((top + bottom) / 2 + 0.5) / STRIDE - rows
    wide, high = (
        (size / _UNIT).clamp(min=1e-3).log().clamp(-_LARGEST, _LARGEST)
        for size in (right - left, bottom - top)
    )
    parts = [part.expand(len(faces), h, w) for part in (x, y, wide, high)]
    return torch.stack(parts, dim=1)


def peaks(maps: Tensor) -> Peaks:
    """Return the likeliest face of each image, the first of equal ones."""
    count = len(maps)
    logits = maps[:, 0].flatten(1)
    cell = logits.argmax(dim=1)
    every = torch.arange(count, device=maps.device)
    likeliest = boxes(maps).reshape(count, -1, 4)[every, cell]
    return Peaks(logits[every, cell].double().sigmoid(), likeliest)


def softened(levels: Tensor) -> Tensor:
    """Return images smoothed by 1, 2, 1 along both axes, edges repeated, ``(N, 3, H, W)``.

    All pictures that the finder learnt from had been resized, and were that soft; in sharp ones it
    takes faces for smaller than they are.
    """
    x = pad(levels, (1, 1, 1, 1), mode="replicate")
    x = (x[:, :, :-2] + 2 * x[:, :, 1:-1] + x[:, :, 2:]) / 4
    return (x[..., :-2] + 2 * x[..., 1:-1] + x[..., 2:]) / 4


def squares(faces: Tensor) -> Tensor:
    """Return the square around the head of each box: middle x and y, and side, ``(N, 3)``."""
    left, top, right, bottom = faces.unbind(1)
    side = _SIDE * (bottom - top)
    y = bottom + _BELOW * (bottom - top) - side / 2
    return torch.stack([(left + right) / 2, y, side], dim=1)


def lattice(places: Tensor) -> Tensor:
    """Return the places of ``CROP`` x ``CROP`` samples that fill squares, ``(N, 56, 56, 2)``."""
    steps = (torch.arange(CROP, dtype=places.dtype, device=places.device) + 0.5) / CROP - 0.5
    count = len(places)
    x = (places[:, 0, None] + places[:, 2, None] * steps)[:, None, :].expand(count, CROP, CROP)
    y = (places[:, 1, None] + places[:, 2, None] * steps)[:, :, None].expand(count, CROP, CROP)
    return torch.stack([x, y], dim=-1)


def sample(images: Tensor, places: Tensor) -> Tensor:
    """Return ``(N, 3, H, W)`` float32 images at places, bilinear between pixels.

    The places are ``(N, h, w, 2)``, x and y in pixels; beyond the edge is the edge.
    """
    size = torch.tensor([images.shape[3], images.shape[2]], device=images.device)
    grid = ((2 * places + 1) / size - 1).to(images.dtype)
    return grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _doubled(maps: Tensor) -> Tensor:
    return interpolate(maps, scale_factor=2.0, mode="nearest")


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

        Images of another height than 256 are scaled to it (bilinear, antialiased).

        Args:
            images: ``(N, 3, H, W)`` RGB, uint8 or float in [0, 1].

        Returns:
            ``found`` (N,) int64, 1 where there is a face, else 0; of the likeliest one ``box``
            (N, 4) float64, its left, top, right and bottom pixel, centres at whole numbers, which
            may lie outside the image, ``score`` (N,) float64, from 0.5 to 1, and ``descriptor``
            (N, 128) float64 of length 1; NaN where there is no face. None is sought in images that
            would be wider than 4,096 pixels at that height.
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
