"""A conformance kit for networks: built-in and third-party ones pass the same clauses.

::

    from fhpt_eval.testing import check_network

    def test_my_network_conforms():
        check_network(MyNetwork())
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args, get_origin

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from fhpt_eval.features.networks import GIFTS, ROWS, Network
from fhpt_eval.testing.clauses import (
    DEVICE_TOLERANCE,
    FLOAT_TOLERANCE,
    bad_images,
    hold,
    pickled,
    require,
    require_refusal,
    require_texts,
    textures,
)

Arrays = dict[str, Tensor]

#: Whole numbers of a row, such as the size of an image, by what a network gives; ``None`` is any.
_SHAPES: Mapping[str, Mapping[str, tuple[int | None, ...]]] = {
    "rows": {},
    "logits": {"logits": (None,), "logits_unbiased": (None,)},
    "joints": {"keypoints": (18, 3), "size": (2,), "persons": ()},
    "face": {"found": (), "box": (4,), "score": (), "descriptor": (None,)},
    "maps": {},
}
#: What holds a NaN where nothing is found.
_MAY_BE_MISSING = frozenset({"keypoints", "box", "score", "descriptor"})


def check_network(network: Network | type[Network], images: Tensor | None = None) -> None:
    """Check a network against every clause of the contract.

    The clauses: ``declaration`` (name, title, what it gives and the size of its rows make sense),
    ``rows`` (the arrays and maps that it says it gives, finite), ``alone`` (a row is the same to
    the bit whatever stands beside its image in the batch, at which place, and without any other),
    ``determinism``, ``floats`` (8-bit images and the same in [0, 1] give the same), ``memory`` (so
    do images in another order in memory), ``inputs`` (bad tensors raise ``ArgumentError``),
    ``pickle``, ``addressed`` (what it is cached by has the digests of its weights, and changes with
    its settings) and ``devices`` (CPU and GPU agree, where there is a GPU).

    Args:
        network: a network whose weights are here, or its class, built with its default settings.
        images: ``(N, 3, H, W)`` uint8, N at least 3, that the network tells apart; seeded textures
            of an odd, non-square size by default.

    Raises:
        ConformanceError: names the first clause that is broken, and how.
    """
    built = network() if isinstance(network, type) else network
    kit = _Kit(built, textures(3)[1] if images is None else images)
    hold(network, _CLAUSES, kit)


@dataclass(frozen=True)
class _Kit:
    """A network, images for it, and what it gives of them."""

    network: Network
    images: Tensor

    @cached_property
    def rows(self) -> Arrays:
        """What the network computes of the images, a row for each."""
        return dict(self.network.compute(self.images))

    @cached_property
    def maps(self) -> Arrays:
        """The maps of the first two images, if it gives any."""
        return _maps(self.network, self.images[:2])

    @property
    def given(self) -> Arrays:
        """Both."""
        return self.rows | self.maps


def _given(network: Network, images: Tensor) -> Arrays:
    arrays = network.compute(images)
    require(
        isinstance(arrays, Mapping),
        f"compute gives a {type(arrays).__name__}, no mapping of arrays",
    )
    return dict(arrays) | _maps(network, images[:2])


def _maps(network: Network, images: Tensor) -> Arrays:
    if "maps" not in network.gives:
        return {}
    with torch.no_grad():
        return {f"maps {layer}": maps for layer, maps in enumerate(network.maps(images))}


def _equal(first: Arrays, second: Arrays) -> bool:
    """Whether arrays are the same to the bit; a NaN equals a NaN."""
    return first.keys() == second.keys() and all(
        np.array_equal(_numbers(first[name]), _numbers(second[name]), equal_nan=True)
        for name in first
    )


def _close(first: Arrays, second: Arrays, tolerance: float) -> bool:
    """Whether arrays are the same but for a share of their largest figure."""
    for name in first:
        ours, theirs = _numbers(first[name]), _numbers(second[name])
        largest = float(np.nanmax(np.abs(ours), initial=0))
        if not np.allclose(ours, theirs, rtol=0, atol=tolerance * largest, equal_nan=True):
            return False
    return first.keys() == second.keys()


def _numbers(array: Tensor) -> NDArray[np.float64]:
    numbers: NDArray[np.float64] = array.detach().cpu().double().numpy()
    return numbers


def _declaration(kit: _Kit) -> None:
    network = kit.network
    require_texts(network, "name", "title", "made_for")
    named = re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", network.name)
    require(bool(named), f"the name {network.name!r} is not lower-case")
    gives: frozenset[str] = getattr(network, "gives", frozenset())
    require(bool(gives), "'gives' is missing or empty")
    unknown = ", ".join(sorted(set(gives) - set(GIFTS)))
    require(not unknown, f"gives {unknown}; known: {', '.join(GIFTS)}")
    for name, size in network.dimensions.items():
        sensible = name in ROWS and isinstance(size, int) and size > 0
        require(sensible, f"dimensions has {name!r}: {size!r}")
    require(not network.dimensions or "rows" in gives, "has dimensions, and gives no rows")

    apart = network.same_person
    require(
        "face" not in gives or (apart is not None and apart > 0),
        "gives a face, and 'same_person' does not say how far apart those of one person may lie",
    )


def _rows(kit: _Kit) -> None:
    network, arrays = kit.network, kit.rows
    if "rows" in network.gives:
        require(any(name in arrays for name in ROWS), f"gives no {' and no '.join(ROWS)}")
    shapes: dict[str, tuple[int | None, ...]] = {name: (None,) for name in ROWS if name in arrays}
    shapes |= {name: (size,) for name, size in network.dimensions.items()}
    for gift in network.gives:
        shapes |= _SHAPES[gift]
    for name, shape in shapes.items():
        require(name in arrays, f"the array '{name}' is missing")
        _check_array(name, arrays[name], (len(kit.images), *shape))
    if "maps" in network.gives:
        _check_maps(kit)


def _check_array(name: str, array: Tensor, shape: tuple[int | None, ...]) -> None:
    wanted = "(" + ", ".join("D" if side is None else str(side) for side in shape) + ")"
    require(isinstance(array, Tensor), f"'{name}' is a {type(array).__name__}, no tensor")
    fits = array.ndim == len(shape) and all(
        side in (None, length) and length for side, length in zip(shape, array.shape, strict=True)
    )
    require(fits, f"'{name}' has shape {tuple(array.shape)}, not {wanted}")
    finite = name in _MAY_BE_MISSING or bool(array.isfinite().all())
    require(finite, f"'{name}' holds values that are no finite numbers")


def _check_maps(kit: _Kit) -> None:
    maps = list(kit.maps.values())
    weights = kit.network.channel_weights(kit.images.device)
    require(bool(maps), "gives no maps")
    require(not weights or len(weights) == len(maps), "channel_weights are not one per map")
    for layer, values in enumerate(maps):
        shape = tuple(values.shape)
        require(
            values.ndim == 4 and len(values) == 2 and 0 not in shape,
            f"map {layer} of two images has shape {shape}, not (2, C, h, w)",
        )
        require(bool(values.isfinite().all()), f"map {layer} holds no finite numbers")
        fits = not weights or tuple(weights[layer].shape) == shape[1:2]
        require(fits, f"the channel weights of map {layer} are not one per channel")


def _alone(kit: _Kit) -> None:
    network, images = kit.network, kit.images
    backwards = {name: rows.flip(0) for name, rows in network.compute(images.flip(0)).items()}
    require(_equal(kit.rows, backwards), "the place in the batch moves a row")
    first = {name: rows[:1] for name, rows in kit.rows.items()}
    single = dict(network.compute(images[:1]))
    require(_equal(first, single), "a row is another one without the others")
    crowd = network.compute(torch.cat([images[:1], 255 - images[1:]]))
    beside = {name: rows[:1] for name, rows in crowd.items()}
    require(_equal(first, beside), "other images in the batch move a row")
    # Two at a time, which is how a perceptual distance asks for maps.
    expected = {name: maps[0] for name, maps in kit.maps.items()}
    for pair, place, what in (((0, 2), 0, "the other image"), ((1, 0), 1, "the place")):
        moved = {name: maps[place] for name, maps in _maps(network, images[list(pair)]).items()}
        require(_equal(expected, moved), f"{what} moves a map")


def _determinism(kit: _Kit) -> None:
    same = _equal(kit.given, _given(kit.network, kit.images))
    require(same, "two calls on the same images differ")


def _floats(kit: _Kit) -> None:
    for kind in (torch.float32, torch.float64):
        rows = {name: array[:1] for name, array in kit.rows.items()}
        floats = dict(kit.network.compute(kit.images[:1].to(kind) / 255))
        require(_close(rows, floats, FLOAT_TOLERANCE), f"{kind} in [0, 1] and 8-bit images differ")

    maps = _maps(kit.network, kit.images[:2].double() / 255)
    require(_close(kit.maps, maps, FLOAT_TOLERANCE), "maps of floats differ")


def _memory(kit: _Kit) -> None:
    strided = kit.images.contiguous(memory_format=torch.channels_last)
    same = _equal(kit.given, _given(kit.network, strided))
    require(same, "the order of pixels in memory moves a row")


def _inputs(kit: _Kit) -> None:
    network = kit.network
    calls: list[Callable[[Any], object]] = [] if network.gives == {"maps"} else [network.compute]
    if "maps" in network.gives:
        calls.append(network.maps)
    for call in calls:
        for what, wrong in bad_images(kit.images).items():
            require_refusal(call, what, wrong)


def _pickle(kit: _Kit) -> None:
    copy = pickled(kit.network)
    require(copy == kit.network, "a copy is not equal")
    first = {name: rows[:1] for name, rows in kit.rows.items()}
    require(_equal(first, dict(copy.compute(kit.images[:1]))), "a copy gives other rows")


def _addressed(kit: _Kit) -> None:
    network = kit.network
    address = network.canonical()
    text = json.dumps(address, sort_keys=True, allow_nan=False)
    absent = [digest for digest in network.digests().values() if digest not in text]
    require(not absent, "canonical() lacks the digest of a file of weights")
    for setting, changed in _with_other_settings(network):
        require(changed.canonical() != address, f"canonical() is the same with {setting}")


def _with_other_settings(network: Network) -> Iterator[tuple[str, Network]]:
    """Yield the network with one setting changed, as far as another value can be told."""
    settings = {name: getattr(network, name) for name in network.model_fields_set}
    for name, field in type(network).model_fields.items():
        for value in _other_values(field.annotation, getattr(network, name)):
            try:
                changed = type(network)(**{**settings, name: value})
            except ValidationError:
                continue
            yield f"{name} = {value!r}", changed
            break


def _other_values(annotation: object, value: object) -> list[object]:
    if get_origin(annotation) is Literal:
        return [choice for choice in get_args(annotation) if choice != value]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value + 1, value - 1, value / 2]
    if isinstance(value, tuple) and value and isinstance(value[0], int | float):
        return [(value[0] + 1, *value[1:]), (value[0] / 2, *value[1:])]
    return []


def _devices(kit: _Kit) -> None:
    if torch.cuda.is_available():
        on_gpu = _given(kit.network, kit.images.cuda())
        require(_close(kit.given, on_gpu, DEVICE_TOLERANCE), "CPU and GPU differ")


_CLAUSES = (
    _declaration, _rows, _alone, _determinism, _floats, _memory,
    _inputs, _pickle, _addressed, _devices,
)  # fmt: skip
