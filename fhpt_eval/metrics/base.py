"""What a metric is: the base classes that built-in and third-party metrics share.

Knows nothing of protocols, chunks or files; metrics on features are in on_features.

A metric is a small immutable object. Its fields are its parameters (validated, and part of a
protocol's digest); its class attributes declare what it is. The simplest one is a function on
tensors and three attributes::

    class Brightness(ImageMetric):
        name = "brightness"
        title = "Mean brightness"
        direction = "higher"

        def measure(self, images):
            return images.float().mean(dim=(1, 2, 3))
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from fhpt_eval.common.validation import Frozen, explained
from fhpt_eval.errors import ArgumentError, ProtocolError
from fhpt_eval.features.levels import checked_images
from fhpt_eval.images.preparation import Side

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fhpt_eval.features.base import Feature
    from fhpt_eval.metrics.sets.reference_set import Statistics

#: Which of two values is better; of a spread, a count or a share that describes, neither is.
Direction = Literal["higher", "lower", "none"]
#: What a metric may need besides the generated images.
Need = Literal["ground_truth", "source", "item"]
#: What a metric is shown: prepared images, or features of them that the engine keeps.
Takes = Literal["images", "features"]
#: What it gives: a value for each pair, or values of the set as a whole.
Gives = Literal["pairs", "set"]
#: The state of a metric over sets: named arrays, so that it is stored without pickle.
State = dict[str, "NDArray[Any]"]
#: Values by part; ``(N,)`` each, in a tensor or an array.
Columns = Mapping[str, "Tensor | NDArray[Any]"]


@dataclass(frozen=True, slots=True)
class Part:
    """One of a metric's values: its title, which direction is better, the range it lies in.

    With the direction ``"none"`` it goes with another value, such as a deviation or a number, and
    is never the best one. ``judges`` is false for a value that has a direction, and of which equal
    images need not have the best, such as an extrapolated one. ``undefined_when``
    says for which pairs there is no value, where that differs from the metric's. ``weight`` names
    another part by whose column pairs count in the mean, such as a number of joints, so that the
    score is the ratio of two sums. ``detail`` keeps a value out of the tables on a terminal, which
    have no room for all; files have it.
    """

    title: str
    direction: Direction
    range: tuple[float, float] = (-math.inf, math.inf)
    judges: bool = True
    undefined_when: str = ""
    weight: str = ""
    detail: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Prepared images of N pairs, as the engine hands them to a metric.

    Each tensor is ``(N, 3, H, W)``: uint8, or float64 in [0, 1] where the protocol's resize leaves
    floats (a kernel may then overshoot); all of one kind. ``ground_truth`` and ``source`` are
    ``None`` for metrics that do not declare that they need them.
    """

    keys: tuple[str, ...]
    generated: Tensor
    ground_truth: Tensor | None = None
    source: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """What a metric will be shown in a run, known before any image is decoded.

    ``steps`` are the protocol's preparation, as JSON values; ``names`` those of the N ground-truth
    images, without endings; ``sizes`` ``(N, 2)``, their height and width in pixels as they will be
    compared.
    """

    steps: Sequence[Mapping[str, Any]]
    names: Sequence[str]
    sizes: NDArray[np.int64]


class Metric(Frozen):
    """A metric's declaration and parameters; subclass one of the kinds below or in on_features.

    Class attributes:
        name: the metric's name in protocols, results and entry points.
        title: its name for people.
        direction: which of two values is better, ``"higher"`` or ``"lower"``; ``"none"`` where
            neither is.
        range: the closed interval in which every defined value lies.
        needs: what it uses besides the generated images: ``"ground_truth"``, ``"source"`` images,
            ``"item"`` ids. A run that lacks it says so beforehand.
        instead: what a user may write where a need is lacking, by need, as ``"--keypoints"``;
            ``NAME`` stands for the name of the scores.
        takes: ``"images"`` or ``"features"``.
        gives: values of ``"pairs"``, or of the ``"set"``.
        same_size: whether the images of a pair must have one size, since places in them are
            compared.
        checks: functions of the metric and of what it will be shown (:class:`Shown`) that raise an
            ``InputError`` where the two do not go together. Those of every base class count too
            (:func:`check_shown`), so that none is lost by declaring further ones.
        undefined_when: for which images it has no value (NaN), for the reason in a result.
        version: raised whenever the same input gives another value; part of a protocol's digest.
        by_content: parameters that say where a file lies; its digest, which ``weights()`` gives,
            counts in their place.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    direction: ClassVar[Direction]
    range: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    needs: ClassVar[frozenset[Need]] = frozenset()
    instead: ClassVar[Mapping[Need, str]] = {}
    takes: ClassVar[Takes] = "images"
    gives: ClassVar[Gives] = "pairs"
    same_size: ClassVar[bool] = True
    checks: ClassVar[tuple[Callable[[Any, Shown], None], ...]] = ()
    undefined_when: ClassVar[str] = "its value is not a number"
    #: Why its scores have no interval, where leaving pairs out would not give one.
    no_interval: ClassVar[str] = ""
    version: ClassVar[int] = 1
    by_content: ClassVar[frozenset[str]] = frozenset()

    if not TYPE_CHECKING:  # type checkers see the signature that the fields give

        def __init__(self, /, **parameters: Any) -> None:
            label = getattr(type(self), "name", type(self).__name__)
            with explained(type(self), label, ProtocolError):
                super().__init__(**parameters)

    @classmethod
    def parts(cls) -> Mapping[str, Part]:
        """Return the values that the metric gives, by the part of the name after the dot.

        A metric with a single value has one part, named "".
        """
        return {"": Part(cls.title, cls.direction, cls.range)}

    def uses(self) -> frozenset[Need]:
        """Return what these parameters make of ``needs``: the same, unless overridden."""
        return self.needs

    def may_use(self) -> frozenset[Need]:
        """Return what it uses besides where all pairs of a run have it, on features alone.

        Parts that rest on it are NaN where they have not; nothing is unavailable for the lack.
        """
        return frozenset()

    def sides_of(self, feature: str) -> frozenset[Side]:  # noqa: ARG002 - all, by default
        """Return of which images a feature is computed, by its name in :meth:`features`.

        Of those alone that the metric uses. The images of a :meth:`reference_folder` always count.
        """
        return frozenset({"generated", "ground_truth", "source"})

    def canonical(self) -> Mapping[str, Any]:
        """Return the parameters as they enter a protocol's digest, as JSON values.

        Override it where two settings give one number, so that they give one digest.
        """
        return self.model_dump(mode="json", exclude=set(self.by_content))

    def weights(self) -> Mapping[str, str]:
        """Return the SHA-256 of every file of learned figures that the values rest on, by name."""
        return {name: sha for part in self.rests_on() for name, sha in part.digests().items()}

    def software(self) -> Mapping[str, str]:
        """Return the versions of libraries that its values rest on, beyond those of the package."""
        return {
            name: number for part in self.rests_on() for name, number in part.software().items()
        }

    def lacks(self) -> str:
        """Say what this machine lacks for the metric and what would cure it, or nothing.

        Such as "needs the weights inception-2015 (fhpt-eval weights pull inception-2015)". Asked
        before any work; the metric is then unavailable, with this reason.
        """
        return next(filter(None, (part.lacks() for part in self.rests_on())), "")

    def load(self, device: torch.device) -> None:
        """Load what it computes with; asked before any work, if nothing is lacking.

        Raises:
            WeightsError: a file of weights cannot be used; the metric is then unavailable, with
                this reason.
        """
        for part in self.rests_on():
            part.load(device)

    def features(self) -> Mapping[str, Feature]:
        """Return the features that it rests on, by a name of its own for each."""
        return {}

    def rests_on(self) -> Iterable[Feature]:
        """Return what its values rest on besides its own code: features, and other networks."""
        return tuple(self.features().values())

    def reference_folder(self) -> Path | None:
        """Return the folder of further images whose features it wants, or nothing."""
        return None

    def columns(self, shown: Any) -> Columns:  # noqa: ARG002 - none, by default
        """Return per-pair values, ``(N,)`` each, by part; empty for a metric over sets.

        ``shown`` is a :class:`Batch` of images, or the ``FeatureRows`` of N pairs.
        """
        return {}

    # A metric over sets has a state (see :class:`StateMetric`); that of any other is empty.

    def empty(self) -> State:
        """Return the state of no pairs."""
        return {}

    def update(self, state: State, shown: Any) -> State:  # noqa: ARG002
        """Return the state with these pairs added; ``state`` itself is left alone."""
        return state

    def merge(self, first: State, second: State) -> State:  # noqa: ARG002
        """Return the state of both sets of pairs; the arguments are left alone."""
        return first

    def compute(self, state: State) -> Mapping[str, float]:  # noqa: ARG002
        """Return the values of the set by part ("" for a single one).

        Raises:
            Undefined: the set has no such value; the message is the reason.
        """
        return {}

    def refer(self, state: State, shown: Any) -> State:
        """Return the state with images of the :meth:`reference_folder` added.

        ``state`` is left alone. ``shown`` is ``FeatureRows``, whose ``keys`` are the images' names
        without endings, ``ground_truth`` their features, ``target_images`` what each is by content.
        """
        raise NotImplementedError(f"{self.name} has a reference folder and no refer()")

    def statistics_of(self, state: State, steps: Sequence[Mapping[str, Any]]) -> Statistics | None:
        """Return the statistics of the reference images in a state, if the metric has such.

        ``steps`` are those of the preparation, as JSON values.
        """
        _ = state, steps
        return None

    def pair_values(self, state: State) -> tuple[tuple[str, ...], Columns]:
        """Return keys and, by part, ``(N,)`` values of pairs that depend on the whole set.

        A part that is here is scored by its mean, and is not one of :meth:`compute`.
        """
        _ = state
        return (), {}

    def remarks(self, columns: Columns) -> Mapping[str, str]:  # noqa: ARG002 - none, by default
        """Return what a reader must know beside the mean of a part, by part.

        ``columns`` are the values of all pairs that count, ``(N,)`` each. Where a part is defined
        for no pair, it is the reason.
        """
        return {}

    def note(self, state: State) -> str:  # noqa: ARG002 - nothing, by default
        """Return what a reader must know beside the value, such as too few images; or nothing."""
        return ""


def check_shown(metric: Metric, shown: Shown) -> None:
    """Run every check that a metric's class, or a base class of it, declares.

    Raises:
        InputError: says what does not go together.
    """
    for kind in reversed(type(metric).__mro__):
        for check in vars(kind).get("checks", ()):
            check(metric, shown)


class PairMetric(Metric):
    """Compares each generated image with its ground truth; implement :meth:`measure`.

    A metric with several values per pair derives from :class:`Metric` and gives them in
    :meth:`columns`.
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"ground_truth"})

    def __call__(self, generated: Tensor, ground_truth: Tensor) -> Tensor:
        """Measure N pairs, ``(N, 3, H, W)`` uint8 or float in [0, 1] each, without gradients.

        Both sides have one shape and dtype. Values are ``(N,)``, NaN where undefined.

        Raises:
            ArgumentError: a tensor has the wrong type, shape or range.
        """
        with torch.no_grad():
            return self.measure(*checked_alike(generated, ground_truth))

    @abstractmethod
    def measure(self, generated: Tensor, ground_truth: Tensor) -> Tensor:
        """Return ``(N,)`` values for checked images, NaN where undefined."""

    def columns(self, shown: Batch) -> Mapping[str, Tensor]:
        if shown.ground_truth is None:
            raise ArgumentError(f"{self.name} needs ground truth, which this batch lacks")
        return {"": self.measure(shown.generated, shown.ground_truth)}


class ImageMetric(Metric):
    """Judges each generated image alone; implement :meth:`measure`."""

    def __call__(self, images: Tensor) -> Tensor:
        """Measure N images, ``(N, 3, H, W)`` uint8 or float in [0, 1], without gradients.

        Values are ``(N,)``, NaN where undefined.

        Raises:
            ArgumentError: the tensor has the wrong type, shape or range.
        """
        with torch.no_grad():
            return self.measure(checked_images(images))

    @abstractmethod
    def measure(self, images: Tensor) -> Tensor:
        """Return ``(N,)`` values for checked images, NaN where undefined."""

    def columns(self, shown: Batch) -> Mapping[str, Tensor]:
        return {"": self.measure(shown.generated)}


class StateMetric(Metric):
    """Judges a set of pairs as a whole, through a state that can be merged in any grouping.

    States form a monoid: ``merge`` is associative and ``empty()`` is its unit. A state is a dict
    of arrays whose size does not grow with the number of pairs (or grows only by what the value
    cannot do without). What is added to a state is the business of ``SetMetric`` (images) and
    ``FeatureSetMetric`` (features).
    """

    gives: ClassVar[Gives] = "set"
    needs: ClassVar[frozenset[Need]] = frozenset({"ground_truth"})

    @abstractmethod
    def empty(self) -> State: ...

    @abstractmethod
    def merge(self, first: State, second: State) -> State: ...

    @abstractmethod
    def compute(self, state: State) -> Mapping[str, float]: ...


class SetMetric(StateMetric):
    """Judges a set of pairs by their images."""

    def __call__(self, generated: Tensor, ground_truth: Tensor) -> Mapping[str, float]:
        """Compute the metric on one set of N pairs, ``(N, 3, H, W)`` each; values by part.

        Raises:
            ArgumentError: a tensor has the wrong type, shape or range.
            Undefined: the set has no such value; the message is the reason.
        """
        images = checked_alike(generated, ground_truth)
        batch = Batch(tuple(str(n) for n in range(len(images[0]))), *images)
        return self.compute(self.update(self.empty(), batch))

    @abstractmethod
    def update(self, state: State, shown: Batch) -> State: ...


def checked_alike(generated: Tensor, ground_truth: Tensor) -> tuple[Tensor, Tensor]:
    """Return two batches of images, if they are of one shape, dtype and device.

    Raises:
        ArgumentError: says what is wrong with one, or in what they differ.
    """
    generated = checked_images(generated, argument="generated")
    ground_truth = checked_images(ground_truth, argument="ground_truth")
    for what in ("shape", "dtype", "device"):
        ours, theirs = getattr(generated, what), getattr(ground_truth, what)
        if ours != theirs:
            raise ArgumentError(
                f"'generated' and 'ground_truth' differ in {what}: {ours} and {theirs}"
            )
    return generated, ground_truth


def merge_sums(first: State, second: State) -> State:
    """Merge two states whose arrays are plain sums: most states are."""
    return {name: np.asarray(first[name] + second[name]) for name in first}


def merge_rows(first: State, second: State) -> State:
    """Merge two states whose arrays are rows: those of the first, then those of the second."""

    def joined(name: str) -> NDArray[Any]:
        filled = [state[name] for state in (first, second) if len(state[name])]
        return np.concatenate(filled) if filled else first[name]

    return {name: joined(name) for name in first}
