"""The conformance kit for networks: installed ones pass it, and a broken one fails each clause."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from fhpt_eval.benchmarks.mannequin import SEEN, draw
from fhpt_eval.errors import ArgumentError
from fhpt_eval.features.levels import as_levels
from fhpt_eval.features.networks import Network, load_network, network_names
from fhpt_eval.features.openpose import Decoding
from fhpt_eval.testing import ConformanceError, check_network, textures
from tests.support.photographs import Pixels, tensor
from tests.support.random_networks import WRITERS

#: Settings under which random weights find persons in small images, quickly.
QUICK: Mapping[str, Any] = {
    "height": 64,
    "decoding": Decoding(limb_share=0.5, min_joints=2, min_score=0.0, peak_threshold=0.0),
}


@pytest.fixture(scope="module")
def people() -> Tensor:
    """Drawn people all of whose joints are seen."""
    drawings = (draw(6, identity, 3) for identity in itertools.count(0, 5))
    people = (drawn.image for drawn in drawings if (drawn.visible == SEEN).all())
    return tensor(list(itertools.islice(people, 3)))


@pytest.fixture(scope="module")
def faces(photographs: dict[str, Pixels]) -> Tensor:
    """A photograph of somebody, cut in three ways."""
    astronaut = photographs["astronaut"]
    return tensor([astronaut[top : top + 200, left : left + 180] for top, left in FACES])


FACES = ((0, 110), (8, 126), (20, 140))


@pytest.mark.parametrize("name", network_names())
def test_an_installed_network_conforms(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    network = load_network(name)
    if network.lacks():  # its weights cannot be had here: random ones will do
        weights = str(WRITERS[name](tmp_path / "weights.pth"))
        quick = QUICK if "joints" in network.gives else {}
        network = load_network(name, {"weights": weights, **quick})
    shown = {"mannequin-pose": "people", "mannequin-faces": "people", "dlib": "faces"}.get(name)
    check_network(network, request.getfixturevalue(shown) if shown else None)


def test_what_the_kit_is_shown_is_found(people: Tensor, faces: Tensor) -> None:
    """Else rows without joints and faces would be compared with each other."""
    assert not load_network("mannequin-pose").compute(people)["keypoints"].isnan().any()
    assert load_network("mannequin-faces").compute(people)["found"].tolist() == [1, 1, 1]
    dlib = load_network("dlib")
    if not dlib.lacks():
        assert (dlib.compute(faces)["found"] > 0).all()


class Means(Network):
    """A sound network: means of the image's quarters, and of its halves as maps."""

    name: ClassVar[str] = "means"
    title: ClassVar[str] = "Means"
    gives: ClassVar[Any] = frozenset({"rows", "logits", "maps"})
    dimensions: ClassVar[Mapping[str, int]] = {"pool": 12}
    made_for: ClassVar[str] = "tests"

    scale: float = 1.0

    def compute(self, images: Tensor) -> dict[str, Tensor]:
        levels = as_levels(images).contiguous().double()
        rows = torch.nn.functional.adaptive_avg_pool2d(levels, 2).flatten(1) * self.scale
        return {"pool": rows, "logits": rows + 1, "logits_unbiased": rows}

    def maps(self, images: Tensor) -> list[Tensor]:
        levels = as_levels(images).contiguous().float()
        return [torch.nn.functional.adaptive_avg_pool2d(levels, 2)]


def test_a_sound_network_passes() -> None:
    check_network(Means)


def ranks(rows: Tensor) -> Tensor:
    return torch.arange(len(rows))[:, None]


Change = Callable[[Means, Tensor], dict[str, Tensor]]


def spoilt(change: Change) -> type[Means]:
    """Return the network with other rows."""

    class Spoilt(Means):
        def compute(self, images: Tensor) -> dict[str, Tensor]:
            return change(self, images)

    return Spoilt


def rows_of(network: Means, images: Tensor) -> dict[str, Tensor]:
    return Means.compute(network, images)


CALLS, DRIFT = itertools.count(), itertools.count()
BROKEN: dict[str, tuple[str, type[Means], str]] = {
    "no title": ("declaration", type("A", (Means,), {"title": ""}), "'title'"),
    "an unknown gift": (
        "declaration", type("A", (Means,), {"gives": frozenset({"hope"})}), "gives hope",
    ),
    "rows of no size": (
        "declaration", type("A", (Means,), {"dimensions": {"pool": 0}}), "'pool': 0",
    ),
    "a face that is anyone's": (
        "declaration", type("A", (Means,), {"gives": frozenset({"face"}), "dimensions": {}}),
        "same_person",
    ),
    "rows of another size": (
        "rows", type("A", (Means,), {"dimensions": {"pool": 9}}), r"not \(3, 9\)",
    ),
    "no logits": ("rows", spoilt(lambda n, i: {"pool": rows_of(n, i)["pool"]}), "'logits"),
    "no numbers": (
        "rows", spoilt(lambda n, i: {k: v / 0 for k, v in rows_of(n, i).items()}), "finite",
    ),
    "rows less the batch's mean": (
        "alone", spoilt(lambda n, i: {k: v - v.mean(0) for k, v in rows_of(n, i).items()}), "row",
    ),
    "rows by their place": (
        "alone",
        spoilt(lambda n, i: {k: v + ranks(v) for k, v in rows_of(n, i).items()}),
        "the place in the batch",
    ),
    "another value at every call": (
        "alone", spoilt(lambda n, i: {k: v + next(CALLS) for k, v in rows_of(n, i).items()}), "row",
    ),
    "floats beside levels": (
        "floats",
        spoilt(lambda n, i: {k: v + (i.dtype == torch.uint8) for k, v in rows_of(n, i).items()}),
        "differ",
    ),
    "pixels in their order in memory": (
        "memory",
        spoilt(lambda n, i: {k: v + i.is_contiguous() for k, v in rows_of(n, i).items()}),
        "memory",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_network_fails_its_clause(fault: str) -> None:
    clause, network, message = BROKEN[fault]
    with pytest.raises(ConformanceError, match=message) as caught:
        check_network(network)
    assert caught.value.clause == clause


class Lenient(Means):
    """Takes whatever has values."""

    def compute(self, images: Tensor) -> dict[str, Tensor]:
        try:
            return super().compute(images)
        except ArgumentError:
            return {}


class Clumsy(Means):
    """Raises something of its own."""

    def compute(self, images: Tensor) -> dict[str, Tensor]:
        try:
            return super().compute(images)
        except ArgumentError as error:
            raise KeyError("images") from error


class Unpicklable(Means):
    """Holds a function."""

    def __reduce__(self) -> Any:
        raise TypeError("cannot pickle")


class Unaddressed(Means):
    """Says nothing of its settings."""

    def canonical(self) -> dict[str, Any]:
        return {"feature": self.name}


class Undigested(Means):
    """Says nothing of its weights."""

    def digests(self) -> dict[str, str]:
        return {"means": "1" * 64}

    def canonical(self) -> dict[str, Any]:
        return super().canonical() | {"weights": []}


class MapsOfNeighbours(Means):
    """Subtracts what is beside an image."""

    def maps(self, images: Tensor) -> list[Tensor]:
        (maps,) = super().maps(images)
        return [maps - maps.mean(0)]


class TooManyWeights(Means):
    """Weighs channels that it does not have."""

    def channel_weights(self, device: torch.device) -> list[Tensor]:
        return [torch.ones(4, device=device)]


@pytest.mark.parametrize(
    ("network", "clause", "message"),
    [
        (TooManyWeights, "rows", "not one per channel"),
        (MapsOfNeighbours, "alone", "the other image moves a map"),
        (Lenient, "inputs", "one channel was accepted"),
        (Clumsy, "inputs", "raised KeyError instead of ArgumentError"),
        (Unpicklable, "pickle", "cannot be pickled"),
        (Unaddressed, "addressed", "the same with scale = 2.0"),
        (Undigested, "addressed", "lacks the digest"),
    ],
)
def test_a_network_that_breaks_another_clause_fails_it(
    network: type[Means], clause: str, message: str
) -> None:
    with pytest.raises(ConformanceError, match=message) as caught:
        check_network(network)
    assert caught.value.clause == clause


def test_a_network_that_is_not_the_same_twice_fails() -> None:
    """What comes by chance is told from what comes by the place: only rows of all three drift."""

    class Drifting(Means):
        def compute(self, images: Tensor) -> dict[str, Tensor]:
            known = torch.equal(images, textures(3)[1])
            drift = next(DRIFT) if known else 0
            return {name: rows + drift for name, rows in super().compute(images).items()}

    with pytest.raises(ConformanceError) as caught:
        check_network(Drifting)
    assert caught.value.clause == "determinism"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_network_that_differs_on_a_gpu_fails() -> None:
    network = spoilt(lambda n, i: {k: v + i.is_cuda for k, v in rows_of(n, i).items()})
    with pytest.raises(ConformanceError) as caught:
        check_network(network)
    assert caught.value.clause == "devices"
