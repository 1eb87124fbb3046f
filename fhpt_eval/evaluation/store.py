"""Where partials lie, by content address."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import platformdirs

from fhpt_eval.common.files import write_atomically
from fhpt_eval.errors import StorageError
from fhpt_eval.evaluation.partial import Partial


class Store(Protocol):
    """Keeps partials by address; what it cannot read back it does not have."""

    def load(self, address: str) -> Partial | None:
        """Return the partial at an address, or ``None``."""

    def save(self, address: str, partial: Partial) -> None:
        """Keep a partial; an interruption leaves the old one or the new one, never a part."""


class MemoryStore:
    """Keeps partials for the time of one call."""

    def __init__(self) -> None:
        self._partials: dict[str, Partial] = {}

    def load(self, address: str) -> Partial | None:
        """See :meth:`Store.load`."""
        return self._partials.get(address)

    def save(self, address: str, partial: Partial) -> None:
        """See :meth:`Store.save`."""
        self._partials[address] = partial


def default_cache() -> Path:
    """Return the folder of the user's cache in which features of ground truth are kept."""
    return Path(platformdirs.user_cache_dir("fhpt-eval")) / "features"


class FolderStore:
    """Keeps partials as files, in sub-folders by the first two digits of the address."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def load(self, address: str) -> Partial | None:
        """See :meth:`Store.load`."""
        try:
            return Partial.from_bytes(self._path(address).read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"{self._path(address)}: cannot be read ({error}).") from error

    def save(self, address: str, partial: Partial) -> None:
        """See :meth:`Store.save`."""
        write_atomically(self._path(address), partial.to_bytes(), durable=False)

    def _path(self, address: str) -> Path:
        return self.root / address[:2] / f"{address}.partial"


class SharedStore:
    """Keeps what several protocols yield: each partial with all that want it, so that what is
    common to two of them is computed once, and either may go on alone.

    Each store comes with the endings of the addresses that it wants; what none of them wants goes
    to the first one.
    """

    def __init__(self, stores: Sequence[tuple[Store, frozenset[str]]]) -> None:
        self._stores = stores

    def load(self, address: str) -> Partial | None:
        """See :meth:`Store.load`: whoever has it."""
        found = (store.load(address) for store, _ in self._stores)
        return next((partial for partial in found if partial is not None), None)

    def save(self, address: str, partial: Partial) -> None:
        """See :meth:`Store.save`."""
        wanting = [s for s, endings in self._stores if address.rpartition("-")[2] in endings]
        for store in wanting or [self._stores[0][0]]:
            store.save(address, partial)
