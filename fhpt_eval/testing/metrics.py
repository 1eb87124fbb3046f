"""A conformance kit for metrics: built-in and third-party ones pass the same clauses.

::

    from fhpt_eval.testing import check_metric

    def test_my_metric_conforms():
        check_metric(MyMetric())
"""

from __future__ import annotations

import inspect
import math
import pickle
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fhpt_eval.common.machine import one_thread
from fhpt_eval.errors import ArgumentError, InputError, Undefined
from fhpt_eval.images.preparation import Resize, Side, Step, prepared_tensor
from fhpt_eval.metrics.base import Batch, Metric, Shown, State, check_shown
from fhpt_eval.metrics.on_features import compute_rows, mean_of_defined
from fhpt_eval.protocol import Entry, Protocol

#: Relative difference allowed between ways of computing one value on one device.
TOLERANCE = 1e-6
#: The same between a CPU and a GPU, whose sums have another order.
DEVICE_TOLERANCE = 1e-4

Values = dict[str, NDArray[np.float64]]


class ConformanceError(AssertionError):
    """A metric breaks a clause; ``clause`` names it."""

    def __init__(self, clause: str, message: str) -> None:
        super().__init__(f"{clause}: {message}")
        self.clause = clause


def check_metric(
    metric: Metric | type[Metric], images: tuple[Tensor, Tensor] | None = None
) -> None:
    """Check a metric against every clause of the contract.

    The clauses: ``declaration`` (name, title, direction, range and parts make sense), ``values``
    (one value per pair, for every declared part), ``range`` (values lie in the declared range),
    ``identical`` (equal images give the best value), ``determinism``, ``batches`` (neither batch
    size nor order matter), ``merge`` (states of a metric over sets form a monoid, and merged parts
    give the value of the whole), ``inputs`` (bad tensors raise ``ArgumentError``), ``engine``
    (calling the metric and running the engine give the same bits, for 8-bit images and for floats),
    ``pickle`` and ``devices`` (CPU and GPU agree, where there is a GPU).

    Args:
        metric: a metric, or its class, which is then built with its default parameters.
        images: generated and ground-truth images to use, ``(N, 3, H, W)`` uint8, N at least 3;
            seeded textures of an odd, non-square size by default.

    Raises:
        ConformanceError: names the first clause that is broken, and how.
    """
    built = metric() if isinstance(metric, type) else metric
    generated, truth = images or textures()
    batch = Batch(tuple(f"pair {n}" for n in range(len(generated))), generated, truth, truth)
    for name, clause in _CLAUSES.items():
        try:
            clause(built, batch)
        except ConformanceError:
            raise
        except Exception as error:  # whatever a metric raises where a clause expects a value
            raise ConformanceError(name, f"raised {type(error).__name__}: {error}") from error


def textures(count: int = 6, height: int = 97, width: int = 71) -> tuple[Tensor, Tensor]:
    """Return seeded images with structure at several scales, and spoilt copies of them.

    Returns:
        (spoilt, original): ``(count, 3, height, width)`` uint8 each.
    """
    generator = torch.Generator().manual_seed(1)
    original = torch.zeros(count, 3, height, width)
    for scale in (1, 4, 16):
        coarse = torch.randn(count, 3, height // scale + 2, width // scale + 2, generator=generator)
        fine = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
        original += fine * scale
    original = 127 + original * 6
    spoilt = original + 12 * torch.randn(original.shape, generator=generator)
    return _levels(spoilt), _levels(original)


def _levels(images: Tensor) -> Tensor:
    return images.round().clamp(0, 255).to(torch.uint8)


def _values(metric: Metric, batch: Batch) -> Values:
    """Return a metric's values by part: per pair, or for the set as a whole."""
    if metric.gives == "set":
        return _computed(metric, _state(metric, metric.empty(), batch))
    return {part: _array(values) for part, values in metric.columns(_shown(metric, batch)).items()}


def _array(values: object) -> NDArray[np.float64]:
    if isinstance(values, Tensor):
        return values.detach().to("cpu", torch.float64).numpy()
    return np.asarray(values, np.float64)


def _state(metric: Metric, state: State, batch: Batch) -> State:
    """Return the state with a batch added, as the engine would add it."""
    return metric.update(state, _shown(metric, batch))


def _shown(metric: Metric, batch: Batch) -> object:
    """Return what the engine would show the metric: images, or features of them."""
    if metric.takes == "images":
        return batch
    rows = compute_rows(metric, batch.generated, batch.ground_truth, batch.source, batch.keys)
    sources = tuple(f"source {key}" for key in batch.keys)
    return replace(rows, keys=batch.keys, targets=batch.keys, sources=sources)


def _computed(metric: Metric, state: State) -> Values:
    """Return the values of a state: of the set, and means over what it says of pairs."""
    _, columns = metric.pair_values(state)
    by_part = {part: np.array([mean_of_defined(_array(v))]) for part, v in columns.items()}
    if by_part.keys() == metric.parts().keys():
        return by_part
    try:
        values: Mapping[str, float] = metric.compute(state)
    except Undefined:
        values = {part: math.nan for part in metric.parts() if part not in by_part}
    return by_part | {part: np.array([value]) for part, value in values.items()}


def _channels_last(images: Tensor | None) -> Tensor | None:
    """Return equal images in the order in memory that a decoder gives."""
    if images is None:
        return None
    return images.contiguous(memory_format=torch.channels_last)


def _some(batch: Batch, rows: list[int]) -> Batch:
    """Return the batch of these rows."""

    def take(images: Tensor | None) -> Tensor | None:
        return None if images is None else images[rows]

    keys = tuple(batch.keys[row] for row in rows)
    return Batch(keys, batch.generated[rows], take(batch.ground_truth), take(batch.source))


def _agree(ours: Values, theirs: Values, tolerance: float = TOLERANCE) -> bool:
    return ours.keys() == theirs.keys() and all(
        np.allclose(ours[part], theirs[part], rtol=tolerance, atol=tolerance, equal_nan=True)
        for part in ours
    )


def _require(condition: bool, clause: str, message: str) -> None:
    if not condition:
        raise ConformanceError(clause, message)


def _declaration(metric: Metric, _: Batch) -> None:
    for attribute in ("name", "title", "direction"):
        _require(
            isinstance(getattr(metric, attribute, None), str),
            "declaration",
            f"the class attribute '{attribute}' is missing or no text",
        )
    named = re.fullmatch(r"[a-z][a-z0-9_]*", metric.name)
    _require(bool(named), "declaration", f"the name {metric.name!r} is not lower_case")
    unknown = metric.needs - {"ground_truth", "source", "item"}
    _require(not unknown, "declaration", f"needs {sorted(unknown)}, which no run has")
    _require(bool(metric.parts()), "declaration", "parts() is empty")
    for part, declared in metric.parts().items():
        low, high = declared.range
        _require(low < high, "declaration", f"the range of '{part}' is empty: {declared.range}")
        directed = declared.direction in ("higher", "lower")
        _require(directed, "declaration", f"the direction {declared.direction!r} is unknown")


def _shape(metric: Metric, batch: Batch) -> None:
    values = _values(metric, batch)
    _require(
        values.keys() == metric.parts().keys(),
        "values",
        f"gave {sorted(values)}, declared {sorted(metric.parts())}",
    )
    wanted = (1,) if metric.gives == "set" else (len(batch.keys),)
    for part, array in values.items():
        _require(array.shape == wanted, "values", f"'{part}' has shape {array.shape}, not {wanted}")
        _require(not np.isnan(array).all(), "values", f"'{part}' is undefined for every test image")


def _range(metric: Metric, batch: Batch) -> None:
    for part, array in _values(metric, batch).items():
        low, high = metric.parts()[part].range
        defined = array[~np.isnan(array)]
        _require(
            bool(((defined >= low) & (defined <= high)).all()),
            "range",
            f"'{part}' has values from {defined.min():g} to {defined.max():g}, "
            f"declared [{low:g}, {high:g}]",
        )


def _identical(metric: Metric, batch: Batch) -> None:
    """Equal images must be best; metrics that never see ground truth have no such case."""
    if "ground_truth" not in metric.uses() or batch.ground_truth is None:
        return
    same = Batch(batch.keys, batch.ground_truth, batch.ground_truth, batch.source)
    best, other = _values(metric, same), _values(metric, batch)
    for part, declared in metric.parts().items():
        if not declared.judges:
            continue
        low, high = declared.range
        bound, sign = (high, 1) if declared.direction == "higher" else (low, -1)
        if math.isfinite(bound):
            reached = np.allclose(best[part], bound, rtol=0, atol=1e-6)
            _require(
                reached,
                "identical",
                f"'{part}' of equal images is {best[part][0]:g}, not {bound:g}",
            )
        worse = np.nanmax(sign * other[part]) <= np.nanmin(sign * best[part])
        _require(bool(worse), "identical", f"'{part}' of equal images is not the best value")


def _determinism(metric: Metric, batch: Batch) -> None:
    first, second = _values(metric, batch), _values(metric, batch)
    equal = all(np.array_equal(first[part], second[part], equal_nan=True) for part in first)
    _require(equal, "determinism", "two calls on the same images differ")


def _batches(metric: Metric, batch: Batch) -> None:
    """Feed the same pairs one by one, backwards, and from memory in another order."""
    rows = list(range(len(batch.keys)))
    whole = _values(metric, batch)
    strided = Batch(
        batch.keys,
        batch.generated.contiguous(memory_format=torch.channels_last),
        _channels_last(batch.ground_truth),
        _channels_last(batch.source),
    )
    _require(_agree(whole, _values(metric, strided)), "batches", "memory order moves the values")
    if metric.gives == "set":
        state = metric.empty()
        for row in reversed(rows):
            state = _state(metric, state, _some(batch, [row]))
        single = backward = _computed(metric, state)
    else:
        pieces = [_values(metric, _some(batch, [row])) for row in rows]
        single = {part: np.concatenate([piece[part] for piece in pieces]) for part in whole}
        turned = _values(metric, _some(batch, rows[::-1]))
        backward = {part: array[::-1] for part, array in turned.items()}
    _require(_agree(whole, single), "batches", "the batch size moves the values")
    _require(_agree(whole, backward), "batches", "the order of the images moves the values")


def _merge(metric: Metric, batch: Batch) -> None:
    """Check the monoid laws, and that merged parts give the value of the whole."""
    if metric.gives != "set":
        return
    count = len(batch.keys)
    cuts = [list(range(count))[part::3] for part in range(3)]
    a, b, c = (_state(metric, metric.empty(), _some(batch, rows)) for rows in cuts)
    kept = {name: array.copy() for name, array in a.items()}
    left = _computed(metric, metric.merge(metric.merge(a, b), c))
    right = _computed(metric, metric.merge(a, metric.merge(b, c)))
    _require(_agree(left, right), "merge", "merging is not associative")
    whole = _values(metric, batch)
    _require(_agree(left, whole), "merge", "merged parts differ from the whole")
    for unit in (metric.merge(metric.empty(), a), metric.merge(a, metric.empty())):
        same = _agree(_computed(metric, unit), _computed(metric, a))
        _require(same, "merge", "the empty state is not neutral")
    untouched = all(np.array_equal(kept[name], a[name]) for name in kept)
    _require(untouched, "merge", "merging changed its argument")


def _inputs(metric: Metric, batch: Batch) -> None:
    if not callable(metric):
        return  # used by the engine alone, which checks its images itself
    good = batch.generated
    bad = {
        "one channel": good[:, :1],
        "no batch dimension": good[0],
        "floats up to 255": good.float(),
        "64-bit integers": good.long(),
        "no images": good[:0],
        "an array": good.numpy(),
    }
    call: Callable[..., object] = metric
    arguments = _arguments(call, batch)
    for what, images in bad.items():
        wrong = {name: images if name != "items" else value for name, value in arguments.items()}
        _refuses(call, wrong, what)
    if metric.takes == "images" and "ground_truth" in arguments:
        _refuses(call, arguments | {"ground_truth": good[:, :, 1:]}, "different sizes")


def _arguments(call: Callable[..., object], batch: Batch) -> dict[str, object]:
    """Return what a metric can be called with, by the names of its arguments."""
    known = {
        "images": batch.generated,
        "generated": batch.generated,
        "ground_truth": batch.ground_truth,
        "source": batch.source,
        "items": batch.keys,
    }
    names = inspect.signature(call).parameters
    return {name: value for name, value in known.items() if name in names}


def _refuses(call: Callable[..., object], arguments: Mapping[str, object], what: str) -> None:
    try:
        call(**arguments)
    except ArgumentError:
        return
    except Exception as error:
        raise ConformanceError(
            "inputs", f"{what} raised {type(error).__name__} instead of ArgumentError"
        ) from error
    raise ConformanceError("inputs", f"{what} was accepted")


def _engine(metric: Metric, batch: Batch) -> None:
    """Hold calling the metric against running the engine on the same images in files."""
    if not callable(metric) or batch.ground_truth is None:
        return
    height, width = batch.generated.shape[2:]
    floats = Resize(width=width + 9, height=height + 5, kernel="torch.bilinear", result="float")
    # A source image that were the ground truth would be kept out of a gallery.
    apart = replace(batch, source=batch.ground_truth.flip(3))
    for steps in ((), (floats,)):
        try:
            check_shown(
                metric, Shown([step.canonical() for step in steps], (), np.zeros((0, 2), np.int64))
            )
        except InputError:
            continue  # the metric takes no floats
        with one_thread():
            called = _called(metric, _prepared(apart, steps))
        run = _run(metric, apart, steps)
        for part, values in called.items():
            same = np.array_equal(values, run[part], equal_nan=True)
            kind = "floats" if steps else "8-bit images"
            _require(same, "engine", f"'{part}' of {kind} differs: {values} and {run[part]}")


def _prepared(batch: Batch, steps: tuple[Step, ...]) -> Batch:
    def prepared(images: Tensor | None, side: Side) -> Tensor:
        if images is None:
            raise ValueError(f"the kit has no {side} images")
        return prepared_tensor(list(images.permute(0, 2, 3, 1).numpy()), steps, side)

    return Batch(
        batch.keys,
        prepared(batch.generated, "generated"),
        prepared(batch.ground_truth, "ground_truth"),
        prepared(batch.source, "source"),
    )


def _called(metric: Metric, batch: Batch) -> Values:
    """Return the values that calling the metric gives."""
    call: Callable[..., object] = metric  # type: ignore[assignment]  # the kit has looked
    try:
        values = call(**_arguments(call, batch))
    except Undefined:
        return {part: np.array(math.nan) for part in metric.parts()}
    if isinstance(values, Mapping):
        return {part: _array(value) for part, value in values.items()}
    return {"": _array(values)}


def _run(metric: Metric, batch: Batch, steps: tuple[Step, ...]) -> Values:
    """Return the values that the engine gives for the images of a batch, written to files."""
    from fhpt_eval.evaluation.evaluate import evaluate

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        rows = [("generated", "ground_truth", "source", "item")]
        sides = {"g": batch.generated, "t": batch.ground_truth, "s": batch.source}
        for name, images in sides.items():
            (root / name).mkdir()
            for number, image in enumerate(images if images is not None else ()):
                pixels = image.permute(1, 2, 0).numpy()
                Image.fromarray(pixels).save(root / name / f"{name}{number:03d}.png")
        rows += [(f"g{n:03d}", f"t{n:03d}", f"s{n:03d}", key) for n, key in enumerate(batch.keys)]
        (root / "pairs.csv").write_text("\n".join(map(",".join, rows)), encoding="utf-8")
        protocol = Protocol("kit", "", "", steps, (Entry(metric.name, metric, steps),))
        result = evaluate(
            root / "g", root / "t", source=root / "s", pairs=root / "pairs.csv",
            protocol=protocol, name="kit", workers=1,
        )  # fmt: skip
    if metric.gives == "pairs":
        names = {part: f"{metric.name}.{part}".removesuffix(".") for part in metric.parts()}
        return {part: result.pairs[name].to_numpy() for part, name in names.items()}
    scores = {
        part: result.scores[f"{metric.name}.{part}".removesuffix(".")].value
        for part in metric.parts()
    }
    return {p: np.array(math.nan if value is None else value) for p, value in scores.items()}


def _pickle(metric: Metric, batch: Batch) -> None:
    try:
        copy = pickle.loads(pickle.dumps(metric))  # noqa: S301 - our own bytes, a moment old
    except Exception as error:
        raise ConformanceError("pickle", f"cannot be pickled ({error})") from error
    _require(_agree(_values(metric, batch), _values(copy, batch)), "pickle", "a copy differs")


def _devices(metric: Metric, batch: Batch) -> None:
    if not torch.cuda.is_available():
        return

    def to_gpu(images: Tensor | None) -> Tensor | None:
        return None if images is None else images.cuda()

    there = Batch(
        batch.keys, batch.generated.cuda(), to_gpu(batch.ground_truth), to_gpu(batch.source)
    )
    agree = _agree(_values(metric, batch), _values(metric, there), DEVICE_TOLERANCE)
    _require(agree, "devices", "CPU and GPU differ")


_CLAUSES = {
    "declaration": _declaration,
    "values": _shape,
    "range": _range,
    "identical": _identical,
    "determinism": _determinism,
    "batches": _batches,
    "merge": _merge,
    "inputs": _inputs,
    "engine": _engine,
    "pickle": _pickle,
    "devices": _devices,
}
