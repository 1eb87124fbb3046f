"""A conformance kit for metrics: built-in and third-party ones pass the same clauses.

::

    from fhpt_eval.testing import check_metric

    def test_my_metric_conforms():
        check_metric(MyMetric())
"""

from __future__ import annotations

import inspect
import math
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fhpt_eval.common.machine import one_thread
from fhpt_eval.errors import InputError, Undefined
from fhpt_eval.images.preparation import Resize, Side, Step, prepared_tensor
from fhpt_eval.metrics.base import Batch, Direction, Metric, Shown, State, check_shown
from fhpt_eval.metrics.on_features import compute_rows, mean_of_defined
from fhpt_eval.protocol import Entry, Protocol
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

#: Relative difference allowed between ways of computing one value on one device.
TOLERANCE = 1e-6

#: Images to use; more for a metric that looks for items, since in a small gallery all is found.
_IMAGES, _IN_A_GALLERY = 6, 24

Values = dict[str, NDArray[np.float64]]


def check_metric(
    metric: Metric | type[Metric], images: tuple[Tensor, Tensor] | None = None
) -> None:
    """Check a metric against every clause of the contract.

    The clauses: ``declaration`` (name, title, direction, range and parts make sense), ``values``
    (one value per pair, for every declared part), ``range`` (values lie in the declared range),
    ``floats`` (8-bit images and the same in [0, 1] give the same, to 1e-4 of the largest value),
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
    generated, truth = images or textures(_IN_A_GALLERY if "item" in built.needs else _IMAGES)
    keys = tuple(f"pair {number}" for number in range(len(generated)))
    batch = Batch(keys, generated, truth, source=truth.flip(3))  # another picture than the target
    hold(built, _CLAUSES, built, batch)


def _measured(metric: Metric, batch: Batch) -> Values:
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


def _each(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """Return the batch with all its images changed in one way."""
    sides = (batch.generated, batch.ground_truth, batch.source)
    return Batch(batch.keys, *(change(images) for images in sides if images is not None))


def _rows(batch: Batch, numbers: list[int]) -> Batch:
    """Return the batch of these rows."""
    keys = tuple(batch.keys[number] for number in numbers)
    return replace(_each(batch, lambda images: images[numbers]), keys=keys)


def _agree(ours: Values, theirs: Values, tolerance: float = TOLERANCE) -> bool:
    return ours.keys() == theirs.keys() and all(
        np.allclose(ours[part], theirs[part], rtol=tolerance, atol=tolerance, equal_nan=True)
        for part in ours
    )


def _declaration(metric: Metric, _: Batch) -> None:
    require_texts(metric, "name", "title", "direction")
    named = re.fullmatch(r"[a-z][a-z0-9_]*", metric.name)
    require(bool(named), f"the name {metric.name!r} is not lower_case")
    unknown = metric.needs - {"ground_truth", "source", "item"}
    require(not unknown, f"needs {sorted(unknown)}, which no run has")
    require(bool(metric.parts()), "parts() is empty")
    for part, declared in metric.parts().items():
        low, high = declared.range
        require(low < high, f"the range of '{part}' is empty: {declared.range}")
        directed = declared.direction in get_args(Direction)
        known = "'higher', 'lower' or 'none'"
        require(directed, f"the direction {declared.direction!r} is not {known}")


def _values(metric: Metric, batch: Batch) -> None:
    values = _measured(metric, batch)
    require(
        values.keys() == metric.parts().keys(),
        f"gave {sorted(values)}, declared {sorted(metric.parts())}",
    )
    wanted = (1,) if metric.gives == "set" else (len(batch.keys),)
    for part, array in values.items():
        what = f"'{part}'" if part else "its value"
        require(array.shape == wanted, f"{what} has shape {array.shape}, not {wanted}")
        require(not np.isnan(array).all(), f"'{part}' is undefined for every test image")


def _range(metric: Metric, batch: Batch) -> None:
    for part, array in _measured(metric, batch).items():
        low, high = metric.parts()[part].range
        defined = array[~np.isnan(array)]
        require(
            bool(((defined >= low) & (defined <= high)).all()),
            f"'{part}' has values from {defined.min():g} to {defined.max():g}, "
            f"declared [{low:g}, {high:g}]",
        )


def _identical(metric: Metric, batch: Batch) -> None:
    """Equal images must be best; metrics that never see ground truth have no such case."""
    if "ground_truth" not in metric.uses() or batch.ground_truth is None:
        return
    same = Batch(batch.keys, batch.ground_truth, batch.ground_truth, batch.source)
    best, other = _measured(metric, same), _measured(metric, batch)
    for part, declared in metric.parts().items():
        if not declared.judges or declared.direction == "none":
            continue
        low, high = declared.range
        bound, sign = (high, 1) if declared.direction == "higher" else (low, -1)
        if math.isfinite(bound):
            reached = np.allclose(best[part], bound, rtol=0, atol=1e-6)
            require(reached, f"'{part}' of equal images is {best[part][0]:g}, not {bound:g}")
        worse = np.nanmax(sign * other[part]) <= np.nanmin(sign * best[part])
        require(bool(worse), f"'{part}' of equal images is not the best value")


def _determinism(metric: Metric, batch: Batch) -> None:
    first, second = _measured(metric, batch), _measured(metric, batch)
    equal = all(np.array_equal(first[part], second[part], equal_nan=True) for part in first)
    require(equal, "two calls on the same images differ")


def _batches(metric: Metric, batch: Batch) -> None:
    """Feed the same pairs one by one, backwards, and from memory in another order."""
    rows = list(range(len(batch.keys)))
    whole = _measured(metric, batch)
    strided = _each(batch, lambda images: images.contiguous(memory_format=torch.channels_last))
    require(_agree(whole, _measured(metric, strided)), "memory order moves the values")
    if metric.gives == "set":
        state = metric.empty()
        for row in reversed(rows):
            state = _state(metric, state, _rows(batch, [row]))
        single = backward = _computed(metric, state)
    else:
        pieces = [_measured(metric, _rows(batch, [row])) for row in rows]
        single = {part: np.concatenate([piece[part] for piece in pieces]) for part in whole}
        turned = _measured(metric, _rows(batch, rows[::-1]))
        backward = {part: array[::-1] for part, array in turned.items()}
    require(_agree(whole, single), "the batch size moves the values")
    require(_agree(whole, backward), "the order of the images moves the values")


def _merge(metric: Metric, batch: Batch) -> None:
    """Check the monoid laws, and that merged parts give the value of the whole."""
    if metric.gives != "set":
        return
    count = len(batch.keys)
    cuts = [list(range(count))[part::3] for part in range(3)]
    a, b, c = (_state(metric, metric.empty(), _rows(batch, rows)) for rows in cuts)
    kept = {name: array.copy() for name, array in a.items()}
    left = _computed(metric, metric.merge(metric.merge(a, b), c))
    right = _computed(metric, metric.merge(a, metric.merge(b, c)))
    require(_agree(left, right), "merging is not associative")
    whole = _measured(metric, batch)
    require(_agree(left, whole), "merged parts differ from the whole")
    for unit in (metric.merge(metric.empty(), a), metric.merge(a, metric.empty())):
        same = _agree(_computed(metric, unit), _computed(metric, a))
        require(same, "the empty state is not neutral")
    untouched = all(np.array_equal(kept[name], a[name]) for name in kept)
    require(untouched, "merging changed its argument")


def _inputs(metric: Metric, batch: Batch) -> None:
    if not callable(metric):
        return  # used by the engine alone, which checks its images itself
    good = batch.generated
    call: Callable[..., object] = metric
    arguments = _arguments(call, batch)
    for what, images in bad_images(good).items():
        wrong = {name: images if name != "items" else value for name, value in arguments.items()}
        require_refusal(call, what, **wrong)
    if metric.takes == "images" and "ground_truth" in arguments:
        wrong = arguments | {"ground_truth": good[:, :, 1:]}
        require_refusal(call, "different sizes", **wrong)


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
            require(same, f"'{part}' of {kind} differs: {values} and {run[part]}")


def _floats(metric: Metric, batch: Batch) -> None:
    """Call the metric on the same images in both forms that callers have."""
    if not callable(metric):
        return
    floats = _each(batch, lambda images: images.double() / 255)
    bits, scaled = _called(metric, batch), _called(metric, floats)
    for part, values in bits.items():
        largest = float(np.nanmax(np.abs(values), initial=0))
        same = np.allclose(values, scaled[part], 0, FLOAT_TOLERANCE * largest, equal_nan=True)
        require(same, f"8-bit images give {values}, the same in [0, 1] {scaled[part]}; scale them")


def _prepared(batch: Batch, steps: tuple[Step, ...]) -> Batch:
    sides: tuple[Side, ...] = ("generated", "ground_truth", "source")
    images = (getattr(batch, side).permute(0, 2, 3, 1).numpy() for side in sides)
    prepared = (
        prepared_tensor(list(x), steps, side) for x, side in zip(images, sides, strict=True)
    )
    return Batch(batch.keys, *prepared)


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
    names = {part: f"{metric.name}.{part}".removesuffix(".") for part in metric.parts()}
    if metric.gives == "pairs":
        return {part: result.pairs[name].to_numpy() for part, name in names.items()}
    values = {part: result.scores[name].value for part, name in names.items()}
    return {p: np.array(math.nan if value is None else value) for p, value in values.items()}


def _pickle(metric: Metric, batch: Batch) -> None:
    copy = pickled(metric)
    require(_agree(_measured(metric, batch), _measured(copy, batch)), "a copy differs")


def _devices(metric: Metric, batch: Batch) -> None:
    if torch.cuda.is_available():
        on_gpu = _measured(metric, _each(batch, Tensor.cuda))
        require(_agree(_measured(metric, batch), on_gpu, DEVICE_TOLERANCE), "CPU and GPU differ")


_CLAUSES = (
    _declaration, _values, _range, _identical, _determinism, _batches,
    _merge, _inputs, _engine, _pickle, _floats, _devices,
)  # fmt: skip
