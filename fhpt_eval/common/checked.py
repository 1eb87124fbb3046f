"""Settings of library calls that check themselves: frozen, typed, in their ranges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from fhpt_eval.common.validation import explain_validation
from fhpt_eval.errors import ArgumentError


class CheckedSettings(BaseModel):
    """Base of settings whose fields say which values they take.

    Raises:
        ArgumentError: a value is none of these; the message names the field and what is allowed.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    if not TYPE_CHECKING:  # type checkers see the signature that the fields give

        def __init__(self, /, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as error:
                name = type(self).__name__
                raise ArgumentError(explain_validation(error, type(self), name)) from None
