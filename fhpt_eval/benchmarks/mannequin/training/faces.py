"""Trains the networks that find a drawn face and describe it.

First the finder, on whole pictures, then the descriptor, on squares around heads. Some people are
held out of both: on them it is measured up to which distance two descriptors are one person's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, logsigmoid, normalize, pad

from fhpt_eval.benchmarks.mannequin.layout import json_bytes
from fhpt_eval.benchmarks.mannequin.training.fit import Count, FitSettings, Seed, fit
from fhpt_eval.benchmarks.mannequin.training.pictures import Pictures
from fhpt_eval.benchmarks.mannequin.training.spoiling import Spoiling, spoil
from fhpt_eval.common.files import write_atomically
from fhpt_eval.common.progress import Progress
from fhpt_eval.common.validation import CheckedSettings
from fhpt_eval.errors import ArgumentError
from fhpt_eval.features.mannequin.faces import (
    FILE,
    LENGTH,
    STRIDE,
    Descriptor,
    Finder,
    MannequinFaces,
    lattice,
    sample,
    squares,
    start,
    wanted,
)

Rows = NDArray[np.intp]
Floats = NDArray[np.float64]

#: Side of the patch around a head that is kept; holds the largest square and its jitter.
_PATCH = 96
#: CosFace: the scale of cosines and the margin. With few pictures of each of 2,000 people a margin
#: of 0.2 is enough; the paper's 0.35 is for tens of pictures.
SCALE, MARGIN = 20.0, 0.2
#: Weight of a box's error beside that of the map.
_BOX_WEIGHT = 2.0
#: How far pictures are changed: size up to this factor, and shift in shares of height and width.
_ZOOM, _SHIFT = 1.3, (0.09, 0.06)
#: Rows of a picture that the finder learns from; their top is one of the first 33 rows, or, in this
#: share of pictures, any.
_ROWS, _TOP, _LOWER = 128, 32, 0.25
#: How far squares are changed: size, shift in shares of the side, turn in radians.
_CROP_ZOOM, _CROP_SHIFT, _CROP_TURN = 1.13, 0.06, 0.12
#: How far both are spoilt at most. A square has up to 1.6 samples for a pixel.
_PICTURES = Spoiling(often=0.35, sigma=2.5, smallest=0.4)
_SQUARES = Spoiling(often=0.4, sigma=3.5, smallest=0.35)
#: Images that the held-out pictures are looked through by at a time.
_AT_ONCE = 64


class FaceSettings(CheckedSettings):
    """How the networks are trained.

    Parameters:
        seed: of all chance.
        finder_steps: of the finder.
        finder_batch: pictures of a step.
        descriptor_steps: of the descriptor.
        descriptor_batch: squares of a step.
        held_out: people whose pictures no step sees.
    """

    seed: Seed = 0
    finder_steps: Count = 1200
    finder_batch: Count = 32
    descriptor_steps: Count = 2000
    descriptor_batch: Count = 128
    held_out: Annotated[int, Field(ge=2)] = 120


def train(
    pictures: Pictures,
    out: Path,
    settings: FaceSettings,
    device: torch.device,
    progress: Progress,
) -> Path:
    """Train both networks and return the file of weights, see :mod:`~.training`.

    ``out/mannequin-faces.json`` says what was measured on the people held out, see :func:`measure`;
    null where they show nothing to measure. The shipped weights are those of the default settings,
    with 2,000 items of seed 2026.
    """
    seen, held = split(pictures, settings.held_out)
    truth = pictures.digest("face_box")
    about = {"faces": settings.model_dump(), "pictures": truth, "device": device.type}
    finder = FinderTask(pictures, seen, settings, device)
    progress.say(f"finder: {len(seen):,} pictures")
    finding = fit(finder, out / "finder", finder.settings, progress, about)
    descriptor = DescriptorTask(pictures, seen, settings, device)
    progress.say(f"descriptor: {descriptor.faces:,} faces of {descriptor.people:,} people")
    describing = fit(descriptor, out / "descriptor", descriptor.settings, progress, about)
    state = {f"finder.{name}": value for name, value in finding.items()} | {
        f"descriptor.{name}": value for name, value in describing.items() if name != "classes"
    }
    path = out / FILE
    write_atomically(path, save({name: state[name].contiguous() for name in sorted(state)}))
    measured = measure(MannequinFaces(weights=str(path)), pictures, held, device)
    progress.say(
        "held out: " + ", ".join(f"{name} {value:.4g}" for name, value in measured.items())
    )
    known = {name: None if math.isnan(value) else value for name, value in measured.items()}
    write_atomically(path.with_suffix(".json"), json_bytes(known))
    return path


def split(pictures: Pictures, held_out: int) -> tuple[Rows, Rows]:
    """Return the rows of pictures to learn from, and those of the last ``held_out`` people.

    Raises:
        ArgumentError: too few people would be left.
    """
    wearers = pictures.truth["wearer"]
    people = np.unique(wearers)
    if len(people) < held_out + 2:
        raise ArgumentError(
            f"The pictures show {len(people)} people; {held_out} are held out, and 2 at least must "
            "be left. Draw more items, or hold out fewer."
        )
    held = np.isin(wearers, people[-held_out:])
    return np.flatnonzero(~held), np.flatnonzero(held)


class FinderTask:
    """What the finder learns: whole pictures, moved and spoilt, and where their faces lie."""

    def __init__(
        self, pictures: Pictures, rows: Rows, settings: FaceSettings, device: torch.device
    ) -> None:
        self._pictures, self._rows, self._device = pictures, rows, device
        self.images = settings.finder_batch
        self.network = _fresh(Finder(), settings.seed, device)
        self.parameters = dict(self.network.named_parameters())
        self.settings = FitSettings(
            steps=settings.finder_steps, learning_rate=2e-3, seed=settings.seed
        )

    def loss(self, generator: torch.Generator, step: int) -> dict[str, Tensor]:  # noqa: ARG002 - of the loop
        """See :class:`~.fit.Lesson`.

        bfloat16 takes half the time of float32 on a CPU that knows it; parameters and losses stay
        float32.
        """
        drawn = torch.randint(len(self._rows), (self.images,), generator=generator).numpy()
        rows = self._rows[drawn]
        images = torch.from_numpy(self._pictures.images[rows]).permute(0, 3, 1, 2).float()
        faces = torch.from_numpy(self._pictures.truth["face_box"][rows])
        images, faces = windows(*moved(images, faces, generator), generator)
        images = spoil(images, _PICTURES, generator).to(self._device)
        with torch.autocast(self._device.type, torch.bfloat16):
            maps = self.network(images)
        losses = finder_losses(maps.float(), faces.to(self._device))
        total = losses["map"] + _BOX_WEIGHT * losses["box"]
        return {"loss": total, **losses}


class DescriptorTask:
    """What the descriptor learns: who is seen, whatever the view, the take and the clothes."""

    def __init__(
        self, pictures: Pictures, rows: Rows, settings: FaceSettings, device: torch.device
    ) -> None:
        shown = rows[~np.isnan(pictures.truth["face_box"][rows, 0])]
        people, who = np.unique(pictures.truth["wearer"][shown], return_inverse=True)
        self.faces, self.people = len(shown), len(people)
        self._who = torch.from_numpy(who)
        self._patches, self._squares = _cut(pictures, shown)
        self.images, self._device = settings.descriptor_batch, device
        self.network = _fresh(Descriptor(), settings.seed, device)
        generator = torch.Generator().manual_seed(settings.seed)
        classes = torch.randn((self.people, LENGTH), generator=generator) / math.sqrt(LENGTH)
        self.classes = classes.to(device).requires_grad_()
        # One direction for each person; no part of what is shipped.
        self.parameters = {**dict(self.network.named_parameters()), "classes": self.classes}
        self.settings = FitSettings(
            steps=settings.descriptor_steps, learning_rate=2e-3, seed=settings.seed + 1
        )

    def loss(self, generator: torch.Generator, step: int) -> dict[str, Tensor]:  # noqa: ARG002 - of the loop
        """See :class:`~.fit.Lesson`."""
        rows = torch.randint(self.faces, (self.images,), generator=generator)
        places = lattice(jittered(self._squares[rows], generator))
        places = turned(places, self._squares[rows], generator)
        crops = sample(self._patches[rows].float(), places)
        crops = spoil(crops, _SQUARES, generator).to(self._device)
        who = self._who[rows].to(self._device)
        with torch.autocast(self._device.type, torch.bfloat16):
            descriptors = self.network(crops)
        cosines = descriptors @ normalize(self.classes).T
        right = (cosines.argmax(dim=1) == who).float().mean()
        return {"loss": identity_loss(cosines, who), "right": right}


def finder_losses(maps: Tensor, faces: Tensor) -> dict[str, Tensor]:
    """Return the loss of the finder's map and that of its boxes.

    The map's is the focal loss of T. Lin et al., "Focal Loss for Dense Object Detection", ICCV
    2017, equation 4 (gamma 2, no alpha), a sum over cells, divided by the number of those in the
    middles of faces. The boxes' is the mean absolute error of their four figures there. Maps are
    ``(N, 5, h, w)`` of the finder, faces ``(N, 4)`` boxes in pixels, NaN where there is none.
    """
    _, _, h, w = maps.shape
    middle, outside = regions(faces, h, w)
    logit = maps[:, 0]
    share = logit.sigmoid()
    hit = (1 - share).square() * logsigmoid(logit)
    miss = share.square() * logsigmoid(-logit)
    count = middle.sum().clamp(min=1)
    of_map = -((hit * middle).sum() + (miss * outside).sum()) / count
    boxes = wanted(faces.nan_to_num(0.0), h, w)
    errors = ((maps[:, 1:] - boxes).abs() * middle[:, None]).sum()
    return {"map": of_map, "box": errors / (4 * count)}


def regions(faces: Tensor, h: int, w: int) -> tuple[Tensor, Tensor]:
    """Return which cells lie in the middle of a face and which outside of it, ``(N, h, w)`` bool.

    The middle is half as wide and high as the box, but no less than a cell; all cells are outside
    where there is no face. Those between count as neither.
    """
    left, top, right, bottom = (side[:, None, None] for side in faces.unbind(1))
    columns = ((torch.arange(w, device=faces.device) + 0.5) * STRIDE - 0.5)[None, None, :]
    rows = ((torch.arange(h, device=faces.device) + 0.5) * STRIDE - 0.5)[None, :, None]
    away = (columns - (left + right) / 2).abs(), (rows - (top + bottom) / 2).abs()
    half = (right - left) / 2, (bottom - top) / 2
    near = [gap <= (size / 2).clamp(min=STRIDE / 2) for gap, size in zip(away, half, strict=True)]
    beyond = [gap > size + STRIDE / 2 for gap, size in zip(away, half, strict=True)]
    none = faces[:, 0].isnan()[:, None, None]
    return near[0] & near[1], beyond[0] | beyond[1] | none


def identity_loss(cosines: Tensor, who: Tensor, margin: float = MARGIN) -> Tensor:
    """Return CosFace's loss (H. Wang et al., CVPR 2018, equation 4).

    ``cosines`` are ``(N, K)``, of descriptors with the directions of K people; ``who`` is ``(N,)``
    int64, which of them each is; ``margin`` is taken from the cosine of the right one.
    """
    lowered = cosines - margin * nn.functional.one_hot(who, cosines.shape[1])
    return cross_entropy(SCALE * lowered, who)


def moved(images: Tensor, faces: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return pictures resized about their middle, shifted and half of them mirrored, and boxes.

    A face whose middle leaves the picture is none any more.
    """
    count, _, height, width = images.shape
    chances = torch.rand((count, 4), generator=generator) * 2 - 1
    zoom = _ZOOM ** chances[:, 0]
    sign = torch.where(chances[:, 3] > 0, 1.0, -1.0)
    middle = torch.tensor([(width - 1) / 2, (height - 1) / 2])
    shift = middle + chances[:, 1:3] * torch.tensor([_SHIFT[1] * width, _SHIFT[0] * height])
    across = torch.stack([sign / zoom, 1 / zoom], dim=1)  # pixels of the picture for one of ours
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    ours = torch.stack([columns, rows], dim=-1).float()
    places = (ours - middle) * across[:, None, None] + shift[:, None, None]
    corners = (faces.reshape(count, 2, 2) - shift[:, None]) / across[:, None] + middle
    limit = torch.tensor([width - 1.0, height - 1.0])
    inside = (corners.mean(dim=1) >= 0) & (corners.mean(dim=1) <= limit)
    low = torch.minimum(corners[:, 0], corners[:, 1]).clamp(min=0)
    high = torch.minimum(torch.maximum(corners[:, 0], corners[:, 1]), limit)
    boxes = torch.cat([low, high], dim=1)
    boxes[~inside.all(dim=1)] = math.nan
    return sample(images, places), boxes


def windows(images: Tensor, faces: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return 128 rows of each picture, most of them around its head, and the boxes in them.

    Twice as many pictures for the same time: what is below the head is learnt from fewer.
    """
    count, _, height, _ = images.shape
    rows = min(_ROWS, height)
    chances = torch.rand((count, 2), generator=generator)
    range_ = torch.where(chances[:, 0] < _LOWER, height - rows, min(_TOP, height - rows))
    tops = (chances[:, 1] * (range_ + 1)).long()
    shown = torch.stack(
        [image[:, top : top + rows] for image, top in zip(images, tops.tolist(), strict=True)]
    )
    shift = torch.zeros_like(faces)
    shift[:, 1::2] = tops[:, None].to(faces.dtype)
    boxes = faces - shift
    middle = (boxes[:, 1] + boxes[:, 3]) / 2
    boxes[:, 1::2] = boxes[:, 1::2].clamp(0, rows - 1)
    boxes[(middle < 0) | (middle > rows - 1)] = math.nan
    return shown, boxes


def jittered(places: Tensor, generator: torch.Generator) -> Tensor:
    """Return squares as an inexact finder would place them."""
    chances = torch.rand((len(places), 3), generator=generator) * 2 - 1
    side = places[:, 2]
    shift = chances[:, :2] * _CROP_SHIFT * side[:, None]
    resized = side * _CROP_ZOOM ** chances[:, 2]
    return torch.cat([places[:, :2] + shift, resized[:, None]], dim=1)


def turned(lattices: Tensor, places: Tensor, generator: torch.Generator) -> Tensor:
    """Return lattices turned a little about the middles of their squares, half of them mirrored."""
    count = len(places)
    chances = torch.rand((count, 2), generator=generator) * 2 - 1
    angle = chances[:, 0] * _CROP_TURN
    sign = torch.where(chances[:, 1] > 0, 1.0, -1.0)
    c, s = angle.cos(), angle.sin()
    turn = torch.stack([sign * c, -s, sign * s, c], dim=1).reshape(count, 1, 2, 2)
    middle = places[:, None, None, :2]
    around = (lattices - middle).flatten(1, 2)[..., None]
    return (turn @ around)[..., 0].reshape(lattices.shape) + middle


def _fresh(network: nn.Module, seed: int, device: torch.device) -> Any:
    start(network, torch.Generator().manual_seed(seed))
    return network.to(device)


def _cut(pictures: Pictures, rows: Rows) -> tuple[Tensor, Tensor]:
    """Return a patch around each head, uint8 (N, 3, 96, 96), and the heads' squares in them."""
    places = squares(torch.from_numpy(pictures.truth["face_box"][rows]).float())
    corners = (places[:, :2] - (_PATCH - 1) / 2).round().long()
    patches = torch.empty((len(rows), 3, _PATCH, _PATCH), dtype=torch.uint8)
    margin = _PATCH
    places_of_rows = zip(rows.tolist(), corners.tolist(), strict=True)
    for number, (row, (x, y)) in enumerate(places_of_rows):
        image = torch.from_numpy(np.array(pictures.images[row])).permute(2, 0, 1).float()[None]
        wide = pad(image, (margin,) * 4, mode="replicate")[0]
        patches[number] = wide[
            :, y + margin : y + margin + _PATCH, x + margin : x + margin + _PATCH
        ]
    places[:, :2] -= corners
    return patches, places


def measure(
    feature: MannequinFaces, pictures: Pictures, rows: Rows, device: torch.device
) -> Mapping[str, float]:
    """Return what the networks are worth on these pictures, from end to end.

    ``recall`` is the share of faces that are found, ``false`` that of pictures without a face in
    which one is found; ``error`` and ``distance`` are the equal error rate of all pairs of two
    faces, and the distance of two descriptors at which it is reached.
    """
    parts = [
        feature.compute(
            torch.from_numpy(pictures.images[rows[first : first + _AT_ONCE]])
            .permute(0, 3, 1, 2)
            .to(device)
        )
        for first in range(0, len(rows), _AT_ONCE)
    ]
    finds, descriptor = (
        torch.cat([part[name] for part in parts]).cpu().numpy() for name in ("found", "descriptor")
    )
    shown = ~np.isnan(pictures.truth["face_box"][rows, 0])
    seen = (finds > 0) & shown
    first, second = np.triu_indices(int(seen.sum()), 1)
    gaps = np.linalg.norm(descriptor[seen][first] - descriptor[seen][second], axis=1)
    who = pictures.truth["wearer"][rows][seen]
    same = who[first] == who[second]
    error, distance = equal_error(gaps[same], gaps[~same])
    return {
        "people": float(len(np.unique(who))),
        "recall": float(seen.sum() / max(shown.sum(), 1)),
        "false": float(((finds > 0) & ~shown).sum() / max((~shown).sum(), 1)),
        "error": error,
        "distance": distance,
    }


def equal_error(same: Floats, different: Floats) -> tuple[float, float]:
    """Return the rate at which as many pairs of one person lie above a distance as of two below it.

    The distance is returned too; both are NaN where there are no pairs of a kind.
    """
    if not len(same) or not len(different):
        return math.nan, math.nan
    steps = np.sort(np.concatenate([same, different]))
    apart = 1 - np.searchsorted(np.sort(same), steps, "right") / len(same)
    together = np.searchsorted(np.sort(different), steps, "right") / len(different)
    crossing = int(np.argmin(np.abs(apart - together)))
    return float((apart[crossing] + together[crossing]) / 2), float(steps[crossing])
