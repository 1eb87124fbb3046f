"""Settings that check themselves, and what a failed validation says to a person."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from fhpt_eval.errors import ArgumentError, FhptEvalError, InputError, did_you_mean

#: Longest quotation of a wrong value, in characters.
_QUOTED = 80
#: Most faults that are told one by one.
_MOST_FAULTS = 10_000


@contextmanager
def explained(
    model: type[BaseModel], label: str, error: type[FhptEvalError] = InputError
) -> Iterator[None]:
    """Raise ``error`` where a model is not valid, and say which key of ``label`` is wrong."""
    try:
        yield
    except ValidationError as fault:
        raise error(explain_validation(fault, model, label)) from None


def explain_validation(error: ValidationError, model: type[BaseModel], label: str) -> str:
    """Say in one line per fault which key of ``label`` is wrong and what is allowed."""
    if error.error_count() > _MOST_FAULTS:  # each would take kilobytes to be told
        return f"{label}: {error.error_count():,} values are not as they should be."
    lines: list[str] = []
    for fault in error.errors():
        if fault["type"] == "too_short" and lines:
            continue  # what was left of a list after its wrong entries, which are named already
        key = ".".join(str(step) for step in fault["loc"])
        where = f"{label}.{key}" if key else label
        if fault["type"] == "value_error":
            lines.append(f"{where}: {fault['ctx']['error']}.")
        elif fault["type"] == "extra_forbidden":
            known = list(_model_at(model, fault["loc"][:-1]).model_fields)
            hint = did_you_mean(str(fault["loc"][-1]), known)
            hint = hint or f" Known here: {', '.join(known) or 'none'}."
            lines.append(f"{where}: there is no such key.{hint}")
        elif fault["type"] == "literal_error":
            lines.append(
                f"{where}: must be {fault['ctx']['expected']}, not {brief(fault['input'])}."
                + did_you_mean(str(fault["input"]), _choices(model, key))
            )
        elif fault["type"] == "missing":
            lines.append(f"{where}: is missing.")
        else:
            lines.append(f"{where}: {fault['msg']} (got {brief(fault['input'])}).")
    return "\n".join(lines)


def _choices(model: type[BaseModel], key: str) -> list[str]:
    """List the literal values of a field, for near misses."""
    field = model.model_fields.get(key)
    return [str(value) for value in get_args(field.annotation)] if field else []


def _model_at(model: type[BaseModel], path: tuple[int | str, ...]) -> type[BaseModel]:
    """Return the model to which the value at a path belongs."""
    for step in path:
        field = model.model_fields.get(str(step))
        if field is not None:  # else an index or a free key of the field before
            model = _model_in(field.annotation) or model
    return model


def _model_in(annotation: object) -> type[BaseModel] | None:
    """Return the model that an annotation is, or holds as an item."""
    if isinstance(annotation, type) and hasattr(annotation, "model_fields"):
        return annotation
    return next(filter(None, (_model_in(inner) for inner in get_args(annotation))), None)


def brief(value: object) -> str:
    """Quote a value without drowning the message in it."""
    text = repr(value)
    return text if len(text) <= _QUOTED else text[:_QUOTED] + "..."


class Frozen(BaseModel):
    """Base of records that take nothing but what they declare, and never change."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CheckedSettings(Frozen):
    """Base of settings whose fields say which values they take.

    Raises:
        ArgumentError: a value is none of these; the message names the field and what is allowed.
    """

    if not TYPE_CHECKING:  # type checkers see the signature that the fields give

        def __init__(self, /, **values: Any) -> None:
            with explained(type(self), type(self).__name__, ArgumentError):
                super().__init__(**values)
