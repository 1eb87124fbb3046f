"""The conformance kit: built-in metrics pass it, and a broken metric fails each clause."""

from __future__ import annotations

import itertools
import math
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from fhpt_eval.benchmarks.mannequin import SEEN, draw
from fhpt_eval.metrics import SSIM, Batch, ImageMetric, Metric, PairMetric, SetMetric, State
from fhpt_eval.metrics.registry import load_metric, metric_names
from fhpt_eval.protocol import Entry, load_protocol
from fhpt_eval.testing import ConformanceError, check_metric

#: Metrics that see nothing in textures; their own tests run the kit on images in which they do.
SELECTIVE = {"face_identity", "joints"}


@pytest.mark.parametrize("name", [name for name in metric_names() if name not in SELECTIVE])
def test_an_installed_metric_conforms(name: str) -> None:
    metric = load_metric(name)()
    if metric.lacks():
        pytest.skip(f"{name} {metric.lacks()}; its own tests run the kit")
    check_metric(metric)


@pytest.fixture(scope="module")
def drawn() -> tuple[Tensor, Tensor]:
    """Drawn people all of whose joints are seen, and each in another's place."""
    drawings = (draw(6, identity, 3) for identity in itertools.count(0, 5))
    people = list(itertools.islice((d.image for d in drawings if (d.visible == SEEN).all()), 10))
    truth = torch.from_numpy(np.stack(people)).permute(0, 3, 1, 2).contiguous()
    return truth.roll(1, 0), truth


@pytest.mark.parametrize("entry", load_protocol("mannequin").entries, ids=lambda entry: entry.name)
def test_every_metric_conforms_with_the_networks_of_the_package(
    entry: Entry, drawn: tuple[Tensor, Tensor]
) -> None:
    searches = "item" in entry.metric.needs  # which takes more images than there are people
    check_metric(entry.metric, None if searches else drawn)


@pytest.mark.parametrize(
    "parameters",
    [
        {"window": "uniform", "size": 51},
        {"channels": "grey"},
        {"data_range": "generated"},
        {"size": 13, "border": 5},
    ],
)
def test_a_variant_of_ssim_conforms(parameters: dict[str, Any]) -> None:
    check_metric(SSIM(**parameters))


def unit(images: Tensor) -> Tensor:
    return images.double() / (255 if images.dtype == torch.uint8 else 1)


class Distance(PairMetric):
    """A metric without faults, to be broken below."""

    name: ClassVar[str] = "distance"
    title: ClassVar[str] = "Distance"
    direction: ClassVar[Any] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, 255.0)

    def measure(self, generated: Tensor, ground_truth: Tensor) -> Tensor:
        return (unit(generated) - unit(ground_truth)).abs().mean(dim=(1, 2, 3))


class MeanGap(SetMetric):
    """A metric over sets without faults: the gap between the mean levels of the two sets."""

    name: ClassVar[str] = "mean_gap"
    title: ClassVar[str] = "Mean gap"
    direction: ClassVar[Any] = "lower"
    range: ClassVar[tuple[float, float]] = (0.0, 255.0)

    def empty(self) -> State:
        return {"sums": np.zeros(2), "count": np.zeros(())}

    def update(self, state: State, batch: Batch) -> State:
        assert batch.ground_truth is not None
        sums = [unit(t).mean(dim=(1, 2, 3)).sum() for t in (batch.generated, batch.ground_truth)]
        return {
            "sums": state["sums"] + np.array([float(s) for s in sums]),
            "count": np.asarray(state["count"] + len(batch.keys)),
        }

    def merge(self, first: State, second: State) -> State:
        return {name: np.asarray(first[name] + second[name]) for name in first}

    def compute(self, state: State) -> dict[str, float]:
        generated, truth = state["sums"] / state["count"]
        return {"": abs(float(generated - truth))}


def test_faultless_metrics_conform() -> None:
    check_metric(Distance)
    check_metric(MeanGap)


class BadName(Distance):
    name: ClassVar[str] = "Bad Name"


class NoDirection(Distance):
    direction: ClassVar[Any] = "upwards"


class OneValueForAll(Distance):
    def measure(self, generated: Tensor, ground_truth: Tensor) -> Tensor:
        return super().measure(generated, ground_truth).mean()[None]


class DoesNotScale(Distance):
    """Takes levels and floats in [0, 1] for the same."""

    def measure(self, generated: Tensor, ground_truth: Tensor) -> Tensor:
        return (generated.double() - ground_truth.double()).abs().mean(dim=(1, 2, 3))


class AlwaysUndefined(Distance):
    def measure(self, generated: Tensor, ground_truth: Tensor) -> Tensor:
        return super().measure(generated, ground_truth) * math.nan


class OutOfRange(Distance):
    range: ClassVar[tuple[float, float]] = (0.0, 1e-5)


class EqualIsNotBest(Distance):
    range: ClassVar[tuple[float, float]] = (-math.inf, math.inf)

    def measure(self, generated: Tensor, ground_truth: Tensor) -> Tensor:
        return -super().measure(generated, ground_truth)


class BoundNotReached(Distance):
    range: ClassVar[tuple[float, float]] = (-1.0, 255.0)


class Random(Distance):
    range: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    _calls: ClassVar[Any] = itertools.count()

    def measure(self, generated: Tensor, ground_truth: Tensor) -> Tensor:
        value = super().measure(generated, ground_truth)
        return value.add((value > 0).double(), alpha=1e-3 * next(self._calls))


class NormalisesByTheBatch(Distance):
    def measure(self, generated: Tensor, ground_truth: Tensor) -> Tensor:
        value = super().measure(generated, ground_truth)
        return value / max(1e-3, float(value.max()))


class DependsOnTheOrder(Distance):
    def measure(self, generated: Tensor, ground_truth: Tensor) -> Tensor:
        value = super().measure(generated, ground_truth)
        return torch.mul(value, 1 + torch.arange(len(value)) / 100)


class AveragesMeans(MeanGap):
    """Merges as if both parts were equally large."""

    def merge(self, first: State, second: State) -> State:
        return {name: np.asarray((first[name] + second[name]) / 2) for name in first}


class ForgetsTheFirst(MeanGap):
    def merge(self, first: State, second: State) -> State:
        return dict(second)


class MergesInPlace(MeanGap):
    def merge(self, first: State, second: State) -> State:
        for name in first:
            first[name] += second[name]
        return first


class AcceptsAnything(Distance):
    def __call__(self, generated: Tensor, ground_truth: Tensor) -> Tensor:
        return torch.zeros(1)


class RaisesItsOwn(Distance):
    def __call__(self, generated: Tensor, ground_truth: Tensor) -> Tensor:
        raise KeyError("shape")


class Unpicklable(Distance):
    def __reduce__(self) -> Any:
        raise TypeError("no")


class UndeclaredPart(ImageMetric):
    name: ClassVar[str] = "parts"
    title: ClassVar[str] = "Parts"
    direction: ClassVar[Any] = "lower"

    def measure(self, images: Tensor) -> Tensor:
        return images.double().mean(dim=(1, 2, 3))

    def columns(self, batch: Batch) -> dict[str, Tensor]:
        return {"surprise": self.measure(batch.generated)}


@pytest.mark.parametrize(
    ("metric", "clause"),
    [
        (BadName, "declaration"),
        (NoDirection, "declaration"),
        (OneValueForAll, "values"),
        (AlwaysUndefined, "values"),
        (UndeclaredPart, "values"),
        (OutOfRange, "range"),
        (EqualIsNotBest, "identical"),
        (BoundNotReached, "identical"),
        (Random, "determinism"),
        (NormalisesByTheBatch, "batches"),
        (DependsOnTheOrder, "batches"),
        (AveragesMeans, "merge"),
        (ForgetsTheFirst, "merge"),
        (MergesInPlace, "merge"),
        (AcceptsAnything, "inputs"),
        (RaisesItsOwn, "inputs"),
        (Unpicklable, "pickle"),
        (DoesNotScale, "floats"),
    ],
)
def test_a_broken_metric_fails_its_clause(metric: type[Metric], clause: str) -> None:
    with pytest.raises(ConformanceError) as caught:
        check_metric(metric)
    assert caught.value.clause == clause


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_metric_that_differs_on_a_gpu_fails_the_devices_clause() -> None:
    class Differs(Distance):
        def measure(self, generated: Tensor, ground_truth: Tensor) -> Tensor:
            value = super().measure(generated, ground_truth)
            return torch.mul(value, 1.0 if generated.device.type == "cpu" else 1.01)

    with pytest.raises(ConformanceError, match="devices"):
        check_metric(Differs)


def test_a_broken_clause_is_told_with_the_class_that_breaks_it() -> None:
    with pytest.raises(ConformanceError, match="values: OneValueForAll: its value has shape"):
        check_metric(OneValueForAll)
