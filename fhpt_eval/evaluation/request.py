"""What a run is asked for: written out once, for Python, the command line and a TOML file."""

from __future__ import annotations

import os
import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from fhpt_eval.common.files import read_text, toml_table
from fhpt_eval.common.plugins import Group
from fhpt_eval.common.progress import Progress
from fhpt_eval.common.validation import explained
from fhpt_eval.errors import ArgumentError, InputError, did_you_mean
from fhpt_eval.metrics.options import Option
from fhpt_eval.pairs.naming import RULES
from fhpt_eval.pairs.shapes import Cut

if TYPE_CHECKING:
    from fhpt_eval.protocol import Protocol

#: The options that installed packages declare for parameters of metrics.
OPTIONS = Group("fhpt_eval.options", "option", InputError, lambda plugin, _: _fault(plugin))
#: Largest file with a request that is read, in bytes.
MAX_BYTES = 2**20
#: Most panels of a strip, or rows and columns of a grid.
MOST_PANELS = 100


def _fault(plugin: object) -> str:
    return "" if isinstance(plugin, Option) else "is no fhpt_eval.metrics.Option"


def _field(description: str, metavar: str = "", default: Any = None) -> Any:
    """Return a field, and what the command line calls its value."""
    return Field(default, description=description, json_schema_extra={"metavar": metavar})


Count = Annotated[int, Field(ge=1, le=MOST_PANELS)]
Index = Annotated[int, Field(ge=1, le=MOST_PANELS**2)]


class Request(BaseModel):
    """One method's images, and what is to be computed of them.

    Each field's description is what ``fhpt-eval run --help`` says of it. In Python ``protocols``
    may hold loaded protocols too, and ``executor`` an executor. With several protocols each image
    is checked and decoded once, and the results are those of single runs, to the last bit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    pred: Path = _field(
        "Folder of generated images; give it again for further methods.", "DIR", ...
    )
    gt: Path | None = _field(
        "Folder of ground truth; the same as --pred for strips that hold it. Left out, what needs "
        "no pairs is computed.",
        "DIR",
    )
    source: Path | None = _field("Folder of source images, for metrics that need them.", "DIR")
    pairs: Path | None = _field(
        "Which pairs are expected: columns from,to or generated,ground_truth; or the field's own "
        "lists, with or without a header.",
        "FILE",
    )
    match: str = _field(
        "How names are matched; auto takes the rule that matches most files.", default="auto"
    )
    panels: Annotated[int, Field(ge=2, le=MOST_PANELS)] | None = _field(
        "Generated images are horizontal strips of N panels, and others of their size too.", "N"
    )
    grid: tuple[Count, Count] | None = _field(
        "The same for grids of panels, as in 2x3.", "ROWSxCOLUMNS"
    )
    panel: Index | None = _field(
        "The generated image's panel, from 1 at the top left, row by row.  [default: the last]", "K"
    )
    gt_panel: Index | None = _field(
        "The ground truth's panel; without --gt of the generated images' files.  [default: that of "
        "the field's strips]",
        "K",
    )
    source_panel: Index | None = _field("The source image's panel; likewise.", "K")
    protocols: tuple[Any, ...] = _field(
        "A shipped protocol, or a TOML file of your own; several score the same images at once.",
        "NAME|FILE[,...]",
        ("fhpt",),
    )
    metrics: tuple[str, ...] | None = _field(
        "Only these metrics.  [default: all of the protocol's]", "A,B"
    )
    settings: dict[str, Any] = _field(
        "Set any parameter of a metric, as in ssim.sigma=1.2; which gives another protocol.",
        "METRIC.PARAM=VALUE",
        {},
    )
    options: dict[str, str] = _field("Values of the options that metrics declare.", default={})
    name: str | None = _field(
        "The method's name, one for each --pred.  [default: the folder's]", "METHOD"
    )
    outs: tuple[Path, ...] = _field(
        "Where results go; of several protocols or methods, each to a folder below.  "
        "[default: fhpt-eval-runs/PROTOCOL/METHOD]",
        "DIR",
        (),
    )
    cache: Path | None = _field(
        "Where features of real images are kept, for other methods and for an interrupted "
        "command.  [default: the user's cache]",
        "DIR",
    )
    device: str = _field("auto, cpu, cuda or cuda:N.", default="auto")
    executor: Any = _field("Where chunks are computed.", "NAME[:ADDRESS]", "local")
    workers: Annotated[int, Field(ge=1, le=1024)] | None = _field(
        "Chunks computed at a time.  [default: the number of cores]", "N"
    )
    allow_missing: bool = _field(
        "Leave out what is missing, unreadable or of unequal sizes, and record it.", default=False
    )
    progress: Progress | None = _field("Is told what goes on.")

    if not TYPE_CHECKING:  # type checkers see the signature that the fields give

        def __init__(self, /, **values: Any) -> None:
            with explained(type(self), "request"):
                super().__init__(**values)

    @field_validator("metrics", mode="before")
    @classmethod
    def _split(cls, metrics: Any) -> Any:
        return tuple(n.strip() for n in metrics.split(",")) if isinstance(metrics, str) else metrics

    @field_validator("grid", mode="before")
    @classmethod
    def _sides(cls, grid: Any) -> Any:
        if not isinstance(grid, str):
            return grid
        sides = grid.lower().split("x")
        if len(sides) != 2 or not all(side.strip().isdecimal() for side in sides):
            raise ValueError("write rows x columns, as in 2x3")
        return tuple(int(side) for side in sides)

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.match not in (known := ["auto", *(rule.name for rule in RULES)]):
            raise ValueError(
                f"match: there is no rule '{self.match}'.{did_you_mean(self.match, known)} "
                f"Known: {', '.join(known)}"
            )
        if self.metrics is not None and not any(self.metrics):
            raise ValueError("metrics names none; leave it out for all of the protocol's")
        if not self.protocols:
            raise ValueError("protocols names none")
        if self.outs and len(set(self.outs)) != len(self.protocols):
            raise ValueError("outs must hold a folder of its own for each protocol")
        return self

    @classmethod
    def of(cls, **values: Any) -> Self:
        """Make a request of its fields and of declared options, by their names.

        ``protocol`` and ``out`` stand for a single one of ``protocols`` and ``outs``; what is
        ``None`` is as if it were not given.

        Raises:
            ArgumentError: there is no such field or option; near misses are named.
            InputError: a value makes no sense.
        """
        values = {name: value for name, value in values.items() if value is not None}
        for single, name in (("protocol", "protocols"), ("out", "outs")):
            if single in values:
                values[name] = (values.pop(single),)
        known = set(cls.model_fields)
        further = sorted(values.keys() - known)
        declared = OPTIONS.names() if further else []
        options = dict(values.get("options", {}))
        for name in further:
            if name.replace("_", "-") not in declared:
                names = sorted({*known, *declared, "protocol", "out"} - {"options"})
                raise ArgumentError(
                    f"There is no argument '{name}'.{did_you_mean(name, names)} "
                    f"Known: {', '.join(names)}."
                )
            options[name.replace("_", "-")] = str(values.pop(name))
        return cls(**values | {"options": options})

    def given(self) -> dict[str, Path]:
        """Return the files and folders that are read, by the options that name them."""
        named = {name: getattr(self, name) for name in ("pred", "gt", "source", "pairs")}
        texts = [*self.options.items(), *(("protocol", name) for name in self.protocols)]
        named |= {n: Path(v) for n, v in texts if isinstance(v, str | Path) and os.path.exists(v)}  # noqa: PTH110 - also knows names that no file can have
        return {f"--{name}": path for name, path in named.items() if path is not None}

    def cut(self, panels: int | None) -> Cut | None:
        """Return how files are cut into panels; ``panels`` is how many the protocol says.

        Raises:
            InputError: the options contradict each other.
        """
        count = self.panels if self.grid else self.panels or panels
        return Cut.of(count, self.grid, self.panel, self.gt_panel, self.source_panel)

    def with_values(self, **values: Any) -> Self:
        """Return the same request with other values."""
        present = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self)(**present | values)

    @classmethod
    def load(cls, path: str | Path, **values: Any) -> Self:
        """Read a request from a TOML file; ``values`` take the place of what it says.

        Raises:
            InputError: it cannot be read, or a value makes no sense.
        """
        text = read_text(Path(path), MAX_BYTES, "a request in TOML")
        return cls.of(**toml_table(text, str(path)) | values)


def parse_settings(texts: Iterable[str]) -> dict[str, Any]:
    """Read METRIC.PARAM=VALUE; a value is what TOML makes of it, else a text.

    Raises:
        InputError: a text has no such form.
    """
    settings: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not all(name.rpartition(".")[::2]):
            raise InputError(f"--set {text}: write METRIC.PARAM=VALUE, as in ssim.sigma=1.2.")
        settings[name.strip()] = _value_of(value.strip())
    return settings


def _value_of(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        return text


def loaded_protocols(request: Request) -> list[Protocol]:
    """Return the request's protocols, with metrics added and parameters set as it says.

    Raises:
        InputError: two of them have one id.
        ProtocolError: a metric is not there, or no protocol has a use for an option or a setting.
    """
    from fhpt_eval.protocol import Protocol, load_protocol

    protocols = [
        protocol if isinstance(protocol, Protocol) else load_protocol(protocol)
        for protocol in request.protocols
    ]
    protocols = [protocol.with_metrics(request.metrics or ())[0] for protocol in protocols]
    ids = Counter(protocol.id for protocol in protocols)
    twice = [name for name, count in ids.items() if count > 1]
    if twice:
        raise InputError(f"Several protocols have the id {', '.join(twice)}; give each its own.")
    for name, value in request.options.items():
        parameter = _option(name).parameter
        taking = _ids(p for p in protocols if p.takes(parameter)) or _ids(protocols)
        protocols = [
            p.with_parameter(parameter, value, f"--{name}") if p.id in taking else p
            for p in protocols
        ]
    for name, value in request.settings.items():
        metric = name.rpartition(".")[0]
        taking = _ids(p for p in protocols if p.has_metric(metric)) or _ids(protocols)
        protocols = [p.with_setting(name, value) if p.id in taking else p for p in protocols]
    return protocols


def _ids(protocols: Iterable[Protocol]) -> set[str]:
    return {protocol.id for protocol in protocols}


def _option(name: str) -> Option:
    option = OPTIONS.load(name)
    if not isinstance(option, Option):
        raise TypeError(name)
    return option
