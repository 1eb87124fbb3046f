"""TOML files of a kind: those that are shipped are known by name, others are given by path."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from fhpt_eval.common.files import read_text
from fhpt_eval.errors import FhptEvalError, InputError, did_you_mean

#: Largest file that is read, in bytes.
MAX_BYTES = 2**20


@dataclass(frozen=True)
class Shipped:
    """The files in a package; ``kind`` is the noun that messages use, and ``what`` one of them."""

    package: str
    kind: str
    what: str
    error: type[FhptEvalError] = InputError

    def names(self) -> list[str]:
        """Return the names of the shipped ones, sorted."""
        files = [file.name for file in resources.files(self.package).iterdir()]
        return sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml"))

    def read(self, name: str | Path) -> tuple[str, str]:
        """Return the text of a file, and what messages call it.

        Raises:
            FhptEvalError: (``error``) there is none (near misses are named), or it cannot be read.
        """
        known = self.names()
        if isinstance(name, str) and name in known:
            file = resources.files(self.package).joinpath(f"{name}.toml")
            return file.read_text("utf-8"), f"{self.kind} '{name}'"
        path = Path(name)
        # os.path.isfile also knows names that no file system can hold.
        if os.path.isfile(path):  # noqa: PTH113
            return read_text(path, MAX_BYTES, self.what, error=self.error), str(path)
        if path.suffix == ".toml" or len(path.parts) > 1:
            raise self.error(f"There is no {self.kind} file {path}. Check the path.")
        raise self.error(
            f"There is no {self.kind} '{name}'.{did_you_mean(str(name), known)} "
            f"Shipped: {', '.join(known)}. A file of your own is given by its path."
        )
