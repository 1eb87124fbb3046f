"""What a failed pydantic validation says to a person. May import: errors, pydantic."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from fhpt_eval.errors import did_you_mean

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError


def explain_validation(error: ValidationError, model: type[BaseModel], label: str) -> str:
    """Say in one line per fault which key of ``label`` is wrong and what is allowed."""
    lines: list[str] = []
    for fault in error.errors():
        if fault["type"] == "too_short" and lines:
            continue  # what was left of a list after its wrong entries, which are named already
        key = ".".join(str(step) for step in fault["loc"])
        where = f"{label}.{key}" if key else label
        if fault["type"] == "value_error":
            lines.append(f"{where}: {fault['ctx']['error']}.")
        elif fault["type"] == "extra_forbidden":
            known = list(model.model_fields)
            hint = did_you_mean(key, known) or f" Known here: {', '.join(known) or 'none'}."
            lines.append(f"{where}: there is no such key.{hint}")
        elif fault["type"] == "literal_error":
            lines.append(
                f"{where}: must be {fault['ctx']['expected']}, not {fault['input']!r}."
                + did_you_mean(str(fault["input"]), _choices(model, key))
            )
        elif fault["type"] == "missing":
            lines.append(f"{where}: is missing.")
        else:
            lines.append(f"{where}: {fault['msg']} (got {fault['input']!r}).")
    return "\n".join(lines)


def _choices(model: type[BaseModel], key: str) -> list[str]:
    """List the literal values of a field, for near misses."""
    field = model.model_fields.get(key)
    return [str(value) for value in get_args(field.annotation)] if field else []
