"""What the kits share: how a broken clause is told, the images, and what is asked of any plugin."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from fhpt_eval.errors import ArgumentError

#: Difference allowed between a CPU and a GPU, whose sums have another order.
DEVICE_TOLERANCE = 1e-4

#: Difference allowed between the same images in 8 bits and in floats, relative to the largest
#: figure: floats are scaled on the way, and rounded once more.
FLOAT_TOLERANCE = 1e-4

Plugin = TypeVar("Plugin")


class ConformanceError(AssertionError):
    """A plugin breaks a clause; ``clause`` names it."""

    def __init__(self, clause: str, plugin: str, message: str) -> None:
        super().__init__(f"{clause}: {plugin}: {message}")
        self.clause = clause


class _Breach(Exception):  # noqa: N818 - told on as a ConformanceError
    """What breaks a clause, whose name is known where it is held."""


def hold(plugin: object, clauses: Sequence[Callable[..., None]], *arguments: object) -> None:
    """Hold a plugin against every clause, each a function of the clause's name and arguments.

    Raises:
        ConformanceError: names the first clause that is broken, and how.
    """
    label = type(plugin).__name__
    for clause in clauses:
        name = clause.__name__.lstrip("_")
        try:
            clause(*arguments)
        except _Breach as breach:
            raise ConformanceError(name, label, str(breach)) from breach.__cause__
        except Exception as error:  # whatever a plugin raises where a clause expects values
            message = f"raised {type(error).__name__}: {error}"
            raise ConformanceError(name, label, message) from error


def require(condition: bool, message: str) -> None:
    """Say that the clause is broken unless a condition is true."""
    if not condition:
        raise _Breach(message)


def require_texts(plugin: object, *attributes: str) -> None:
    """Require class attributes that are texts."""
    for attribute in attributes:
        text = getattr(plugin, attribute, None)
        is_text = isinstance(text, str) and bool(text)
        require(is_text, f"the class attribute '{attribute}' is missing or no text")
        fields: Mapping[str, object] = getattr(type(plugin), "model_fields", {})
        require(
            attribute not in fields, f"'{attribute}' is a setting; write {attribute}: ClassVar[str]"
        )


def require_refusal(call: Callable[..., object], what: str, *wrong: Any, **named: Any) -> None:
    """Require that a call with wrong arguments raises an ``ArgumentError``."""
    try:
        call(*wrong, **named)
    except ArgumentError:
        return
    except Exception as error:
        raise _Breach(f"{what} raised {type(error).__name__} instead of ArgumentError") from error
    raise _Breach(f"{what} was accepted")


def pickled(plugin: Plugin) -> Plugin:
    """Return a copy of a plugin by way of its pickled form."""
    try:
        copy: Plugin = pickle.loads(pickle.dumps(plugin))  # noqa: S301 - our own, a moment old
    except Exception as error:
        raise _Breach(f"cannot be pickled ({error})") from error
    return copy


def bad_images(good: Tensor) -> Mapping[str, object]:
    """Return what is no batch of images, by what is wrong with it; ``good`` is one, of uint8."""
    return {
        "one channel": good[:, :1],
        "no batch dimension": good[0],
        "no images": good[:0],
        "64-bit integers": good.long(),
        "floats up to 255": good.float(),
        "floats beyond [0, 1]": torch.full(good.shape, 1.75),
        "values that are no numbers": torch.full(good.shape, torch.nan),
        "an array": good.numpy(),
    }


def textures(count: int = 6, height: int = 97, width: int = 71) -> tuple[Tensor, Tensor]:
    """Return seeded images with structure at several scales, spoilt ones before the original.

    Both are ``(count, 3, height, width)`` uint8.
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
