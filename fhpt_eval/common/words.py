"""Settings in words: the templates that classes declare, and what they make of values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any, TypeAlias

#: By parameter, a phrase with ``{parameter}`` for values, or phrases by value. Values are written
#: as in JSON, texts without quotes; "" stands for all others. An empty phrase says nothing.
Words: TypeAlias = Mapping[str, str | Mapping[str, str]]


@dataclass(frozen=True)
class Known:
    """How far a difference is known to move a number: between which values, and what was found.

    ``between`` has for each parameter its two values, in either order (of a step that only one
    side has: its single value). ``told`` says from what to what, how far, and on what images;
    ``source`` where that is documented.
    """

    between: Mapping[str, tuple[Any, ...]]
    told: str
    source: str = "docs/traps.md"

    def fits(self, *settings: Mapping[str, Any]) -> bool:
        """Whether these settings, one or two, differ in the way of which something is known."""
        return all(
            sorted(map(_key, values)) == sorted(_key(one.get(name)) for one in settings)
            for name, values in self.between.items()
        )


def phrase(words: Words, settings: Mapping[str, Any], name: str) -> str:
    """Say in words what one of the settings is; a name that ``words`` lacks is spelt out.

    ``sigma = 1.5`` is "sigma 1.5" unless told, true and false are "NAME" and "no NAME".
    """
    value = settings[name]
    template = words.get(name)
    if isinstance(template, Mapping):
        template = template.get(_key(value), template.get(""))
    if template is None:
        return _plainly(name, value)
    return fill(template, settings)


def fill(template: str, settings: Mapping[str, Any], words: Words | None = None) -> str:
    """Put values into a template, in the words that ``words`` has for them where it is given."""
    told = words or {}
    found = {
        name: phrase(told, settings, name) if name in told else text(settings.get(name))
        for name in named_in(template)
    }
    return template.format_map(found)


def named_in(template: str) -> set[str]:
    """Return the names of the settings that a template has a place for."""
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def text(value: Any) -> str:
    """Write a value as a person would: numbers and texts as they are, lists with commas."""
    if isinstance(value, list | tuple):
        return ", ".join(text(one) for one in value)
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value)


def listed(items: list[str], last: str = "and") -> str:
    """Join with commas, and a word before the last one."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"


def _key(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _plainly(name: str, value: Any) -> str:
    label = name.replace("_", " ")
    if value is None or value is False:
        return f"no {label}"
    return label if value is True else f"{label} {text(value)}"
