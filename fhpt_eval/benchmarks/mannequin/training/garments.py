"""Train the garment network: kinds, textures, and which pictures show the same clothes.

Three losses: cross entropy of the upper garment's kind and of its texture; a supervised contrastive
loss of the embedding, over the items in a batch (P. Khosla et al., "Supervised Contrastive
Learning", NeurIPS 2020, equation 2); and the squared error of how much a picture was spoilt, which
a head that is not shipped reads from the pool features.

An item is worn by two people, so that the embedding cannot learn faces and hair. A batch's items
are chosen to be hard to tell apart: see :class:`_Batches`.

Filters are standardised while they are trained (S. Qiao et al., "Micro-Batch Training with
Batch-Channel Normalization and Weight Standardization", arXiv 1903.10520) and scaled so that a
layer keeps its input's variance (A. Brock et al., ICLR 2021, equation 6). What the hidden layer
takes and gives is normalised by the batch (S. Ioffe, C. Szegedy, "Batch Normalization", ICML 2015),
in the end by the statistics of many pictures. Nothing of that is left in the file: it holds plain
filters and layers, into which all of it is folded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy, mse_loss, normalize, relu

from fhpt_eval.benchmarks.mannequin.training.fit import (
    Count,
    FitSettings,
    Rate,
    fit,
    step_generator,
)
from fhpt_eval.benchmarks.mannequin.training.garments_augment import augmented
from fhpt_eval.benchmarks.mannequin.training.pictures import PER_ITEM, WEARERS, Pictures
from fhpt_eval.common.files import write_atomically
from fhpt_eval.common.progress import Progress
from fhpt_eval.errors import ArgumentError
from fhpt_eval.features.mannequin.garments import HEIGHT, POOL, REGISTERED, WIDTH, GarmentNetwork

#: The file that training leaves in its folder.
FILE = f"{REGISTERED}.safetensors"
#: Items in a batch, and pictures of each item and wearer.
ITEMS, VIEWS_EACH = 24, 1
#: Groups of four items in a batch that are hard to tell apart; the others are any items.
_GROUPS = 1
_TEMPERATURE = 0.1
_WEIGHT_OF_FAULTS = 0.3
#: A ReLU of a standard normal number has this deviation's inverse (Brock et al., section 3.3).
_RELU = math.sqrt(2 / (1 - 1 / math.pi))
#: Convolutions that end a residual block, and the share of their start.
_LAST_OF_BLOCK, _SHARE = ("block3b", "block4b"), 0.4
_STANDARDISED = ("stem", "down2", "down3", "block3a", "block3b", "down4", "block4a", "block4b")
#: Deviation of standardised filters at the start. Their size changes nothing but how far a step of
#: the optimiser goes for them: a step of 0.001 moves them by less than a hundredth.
_START = 0.15
_NETWORK = "network."
_LEAST_VARIANCE = 1e-5
#: Batches by whose statistics the norms are replaced.
_CALIBRATION = 40


class GarmentSettings(FitSettings):
    """What training depends on, beside the pictures; the defaults made the shipped network."""

    steps: Count = 4000
    learning_rate: Rate = 1.5e-3


def train(
    pictures: Pictures,
    out: Path,
    settings: GarmentSettings,
    device: torch.device,
    progress: Progress,
) -> Path:
    """Train the network and return the file of weights, see :mod:`~.training`.

    The pictures are 256 x 176, of at least two items. Convolutions compute in bfloat16.
    """
    task = GarmentTask(pictures, settings.seed, device)
    about = {
        "task": REGISTERED,
        "items in a batch": ITEMS,
        "device": device.type,
        "pictures": pictures.digest("keypoints"),
    }
    parameters = fit(task, out, settings, progress, about)
    write_atomically(out / FILE, save(task.shipped(parameters)))
    return out / FILE


class GarmentTask:
    """See :class:`~.fit.Lesson`.

    Attributes:
        parameters: those of the network, with a gain for each standardised filter, and those of
            the head that tells faults.
    """

    def __init__(self, pictures: Pictures, seed: int, device: torch.device) -> None:
        if pictures.images.shape[1:] != (HEIGHT, WIDTH, 3):
            raise ArgumentError(
                f"'pictures' must be {WIDTH} x {HEIGHT}, not "
                f"{pictures.images.shape[2]} x {pictures.images.shape[1]}."
            )
        self._pictures = pictures
        self._batches = _Batches(pictures)
        self.images = self._batches.images
        self._device = device
        self._seed = seed
        with torch.device("meta"):
            self._model = _Model()
        generator = step_generator(seed, -1)
        self.parameters: Mapping[str, Tensor] = {
            name: value.to(device).requires_grad_()
            for name, value in _start(self._model, generator)
        }

    def loss(self, generator: torch.Generator, step: int) -> dict[str, Tensor]:  # noqa: ARG002
        """See :class:`~.fit.Lesson`."""
        rows, images, faults = self._batch(generator)
        said = functional_call(self._model, filters(self.parameters), images)
        kind, texture, item = (
            torch.from_numpy(self._pictures.truth[name][rows].astype(np.int64)).to(self._device)
            for name in ("kind", "texture", "item")
        )
        parts = {
            "kind": cross_entropy(said[0], kind),
            "texture": cross_entropy(said[1], texture),
            "item": contrastive(said[2], item, _TEMPERATURE),
            "faults": mse_loss(said[3], faults),
        }
        plain = parts["kind"] + 2 * parts["texture"] + 0.5 * parts["item"]
        right = (said[0].argmax(1) == kind) & (said[1].argmax(1) == texture)
        return {
            "loss": plain + _WEIGHT_OF_FAULTS * parts["faults"],
            **parts,
            "right": right.float().mean(),
        }

    def shipped(self, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the state dict of a plain network that has these parameters, on the CPU."""
        with torch.device("meta"):
            network = GarmentNetwork()
        plain = {
            name: value.detach().to(self._device) for name, value in filters(parameters).items()
        }
        state = {name: plain[f"{_NETWORK}{name}"] for name in network.state_dict()}
        network.load_state_dict(state, assign=True)
        # Batches of pictures as in training, by which the statistics are fixed.
        chances = (step_generator(self._seed, -2 - number) for number in range(_CALIBRATION))
        with torch.no_grad():
            maps = (network.maps(self._batch(chance)[1]) for chance in chances)
            read = torch.cat([network.read(images) for images in maps])
        state |= folded(state["hidden.weight"], state["hidden.bias"], plain["gain"], read)
        return {name: value.to("cpu").contiguous() for name, value in state.items()}

    def _batch(self, generator: torch.Generator) -> tuple[NDArray[np.int64], Tensor, Tensor]:
        """Return rows, pictures in [0, 1], and how much each was spoilt."""
        rows = self._batches.rows(generator)
        levels = torch.from_numpy(self._pictures.images[rows]).permute(0, 3, 1, 2)
        images, faults = augmented(levels, generator)
        return rows, images.to(self._device), faults.to(self._device)


def contrastive(embedding: Tensor, item: Tensor, temperature: float) -> Tensor:
    """Return the supervised contrastive loss of a batch.

    For each picture, the mean over the others of its item of -log(exp(a) / sum of exp(b)), a the
    product of both embeddings, ``(N, D)`` of length 1, over the temperature, above 0; b those with
    all other pictures; then the mean over pictures. Every ``item``, ``(N,)``, has at least two.
    """
    itself = torch.eye(len(item), dtype=torch.bool, device=item.device)
    likeness = (embedding @ embedding.T / temperature).masked_fill(itself, -math.inf)
    surprise = -likeness.log_softmax(1)
    same = (item[:, None] == item) & ~itself
    return (surprise.masked_fill(~same, 0).sum(1) / same.sum(1)).mean()


def filters(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return parameters with plain filters in place of standardised ones and their gains."""
    plain = {}
    for name, value in parameters.items():
        layer, _, part = name.rpartition(".")
        gain = parameters.get(f"{layer}.gain")
        if part == "weight" and gain is not None:
            plain[name] = _standardised(layer, value, gain)
        elif not (part == "gain" and layer):
            plain[name] = value
    return plain


def _standardised(layer: str, weight: Tensor, gain: Tensor) -> Tensor:
    # The first layer keeps its filters' means, or it would not see how bright a plain cloth is.
    first = layer.endswith("stem")
    mean = 0 if first else weight.mean((1, 2, 3), keepdim=True)
    variance = (weight - mean).square().mean((1, 2, 3), keepdim=True)
    scale = gain[:, None, None, None] * (1 if first else _RELU) / math.sqrt(weight[0].numel())
    return (weight - mean) * torch.rsqrt(variance + _LEAST_VARIANCE) * scale


def folded(weight: Tensor, bias: Tensor, gain: Tensor, read: Tensor) -> dict[str, Tensor]:
    """Return the hidden layer with the norms before and after it, by the statistics of ``read``.

    Args:
        weight: ``(H, D)``, of the layer between both norms.
        bias: ``(H,)``, added after the second norm.
        gain: ``(H,)``, by which the second norm's outcome is multiplied.
        read: ``(N, D)``, what the layer takes of N pictures.
    """
    wide = read.double()
    mean = wide.mean(0)
    matrix = weight.double() * torch.rsqrt(wide.var(0, correction=0) + _LEAST_VARIANCE)
    scale = gain.double() * torch.rsqrt((wide @ matrix.T).var(0, correction=0) + _LEAST_VARIANCE)
    matrix = matrix * scale[:, None]
    return {
        "hidden.weight": matrix.float(),
        "hidden.bias": (bias.double() - matrix @ mean).float(),
    }


class _Model(nn.Module):
    """The network with batch norms around its hidden layer, and the head that is not shipped."""

    def __init__(self) -> None:
        super().__init__()
        self.network = GarmentNetwork()
        self.gain = nn.Parameter(torch.ones(self.network.hidden.out_features))
        self.faults = nn.Linear(POOL, 2)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return logits of kinds and of textures, embeddings of length 1, and faults."""
        network = self.network
        with torch.autocast(images.device.type, torch.bfloat16):
            maps = network.maps(images)
        read = _normal(network.read([values.float() for values in maps[-2:]]))
        hidden = _normal(read @ network.hidden.weight.T) * self.gain + network.hidden.bias
        pool = network.pool(relu(hidden))
        embedding = normalize(network.embedding(pool))
        return network.kind(pool), network.texture(pool), embedding, self.faults(pool)


def _normal(x: Tensor) -> Tensor:
    """Normalise by the batch."""
    x = x - x.mean(0)
    return x * torch.rsqrt(x.square().mean(0) + _LEAST_VARIANCE)


def _start(model: nn.Module, generator: torch.Generator) -> Iterator[tuple[str, Tensor]]:
    """Yield each parameter's start: filters of normal numbers, no biases, gains of 1."""
    for name, value in model.named_parameters():
        layer, _, part = name.rpartition(".")
        short = layer.removeprefix(_NETWORK)
        if part == "bias":
            yield name, torch.zeros(value.shape)
        elif part == "gain":
            yield name, torch.ones(value.shape)
        else:
            size = _START if short in _STANDARDISED else 1 / math.sqrt(value[0].numel())
            yield name, torch.randn(value.shape, generator=generator) * size
        if part == "weight" and short in _STANDARDISED:
            share = _SHARE if short in _LAST_OF_BLOCK else 1.0
            yield f"{layer}.gain", torch.full((len(value),), share)


class _Batches:
    """Chooses pictures such that some of a batch's items are hard to tell apart.

    These come in groups of four: any item; the other one that its second wearer has, so that the
    same person is seen in both; one of the same kind and texture; one of the same texture. Where
    there is none, or it is in the batch already, any item takes its place. Of each item and wearer
    one view is taken, so that pictures of an item always show two people.
    """

    def __init__(self, pictures: Pictures) -> None:
        truth = pictures.truth
        self._items = len(pictures) // PER_ITEM
        self._size = min(ITEMS, self._items)
        self.images = self._size * WEARERS * VIEWS_EACH
        self._kind = truth["kind"][::PER_ITEM]
        self._texture = truth["texture"][::PER_ITEM]
        numbers = {int(item): number for number, item in enumerate(truth["item"][::PER_ITEM])}
        second = truth["wearer"][PER_ITEM // WEARERS :: PER_ITEM]
        self._second = [numbers.get(int(wearer), -1) for wearer in second]

    def rows(self, generator: torch.Generator) -> NDArray[np.int64]:
        """Return the rows of a batch's pictures, those of an item side by side."""
        size = self._size
        wanted = [item for _ in range(_GROUPS) for item in self._alike(generator)]
        wanted += [-1] * max(size - len(wanted), 0)
        chosen: list[int] = []
        for item in wanted[:size]:
            if item < 0 or item in chosen:
                left = np.setdiff1d(np.arange(self._items), chosen)
                item = int(left[int(torch.randint(len(left), (1,), generator=generator))])
            chosen.append(item)
        views = PER_ITEM // WEARERS
        rows = []
        for item in chosen:
            for wearer in range(WEARERS):
                picked = torch.randperm(views, generator=generator)[:VIEWS_EACH]
                rows += [item * PER_ITEM + wearer * views + int(view) for view in picked]
        return np.array(rows, np.int64)

    def _alike(self, generator: torch.Generator) -> list[int]:
        """Return the items of a group, -1 for none."""
        first = int(torch.randint(self._items, (1,), generator=generator))
        texture = self._texture == self._texture[first]
        both = texture & (self._kind == self._kind[first])
        alike = [np.flatnonzero(which) for which in (both, texture)]
        picked = [
            int(group[int(torch.randint(len(group), (1,), generator=generator))]) for group in alike
        ]
        return [first, self._second[first], *picked]
