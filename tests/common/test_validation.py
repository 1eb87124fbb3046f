"""Settings that check themselves: what they refuse, and in which words."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import Field, ValidationError

from fhpt_eval.common.validation import CheckedSettings
from fhpt_eval.errors import ArgumentError


class Pot(CheckedSettings):
    litres: Annotated[int, Field(ge=1)] = 2
    lid: bool = True


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"litres": 0}, "Pot.litres: Input should be greater than or equal to 1 .got 0.."),
        ({"litres": 1.5}, "Pot.litres: Input should be a valid integer"),
        ({"litre": 3}, "Pot.litre: there is no such key. Did you mean 'litres'?"),
        ({"litres": 0, "lid": "on"}, "Pot.litres: .*\nPot.lid: "),
    ],
)
def test_a_value_that_cannot_be_is_named_with_what_is_allowed(
    values: dict[str, Any], words: str
) -> None:
    with pytest.raises(ArgumentError, match=words):
        Pot(**values)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Pot().litres = 3  # type: ignore[misc]
