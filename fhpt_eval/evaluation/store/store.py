"""Where partials lie, by content address."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import platformdirs

from fhpt_eval.common.files import read_within, why, write_atomically
from fhpt_eval.errors import StorageError
from fhpt_eval.evaluation.store.partial import Partial

#: Largest partial that is read, in bytes.
_MAX_BYTES = 2**31


class Store(Protocol):
    """Keeps partials by address; what it cannot read back it does not have."""

    @property
    def on_disk(self) -> bool:
        """Whether another process sees what this one keeps."""

    def load(self, address: str) -> Partial | None:
        """Return the partial at an address, or ``None``."""

    def save(self, partial: Partial) -> None:
        """Keep a partial at its address; an interruption leaves the whole one or none."""


class MemoryStore(Store):
    """Keeps partials for the time of one call."""

    on_disk = False

    def __init__(self) -> None:
        self._partials: dict[str, Partial] = {}

    def load(self, address: str) -> Partial | None:
        return self._partials.get(address)

    def save(self, partial: Partial) -> None:
        self._partials[partial.address] = partial


def default_cache() -> Path:
    """Return the folder of the user's cache in which features of ground truth are kept."""
    return Path(platformdirs.user_cache_dir("fhpt-eval")) / "features"


class FolderStore(Store):
    """Keeps partials as files, in sub-folders by the first two digits of the address."""

    on_disk = True

    def __init__(self, root: Path) -> None:
        self.root = root

    def load(self, address: str) -> Partial | None:
        try:
            partial = Partial.from_bytes(read_within(self._path(address), _MAX_BYTES))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"{self._path(address)} cannot be read ({why(error)}).") from error
        return partial if partial is not None and partial.address == address else None

    def save(self, partial: Partial) -> None:
        write_atomically(self._path(partial.address), partial.to_bytes(), durable=False)

    def _path(self, address: str) -> Path:
        return self.root / address[:2] / f"{address}.partial"


class SharedStore(Store):
    """Keeps what several protocols yield: each partial with all that want it, so that what is
    common to two of them is computed once, and either may go on alone.

    Each store comes with the tasks that it wants; what none of them wants goes to the first one.
    """

    def __init__(self, stores: Sequence[tuple[Store, frozenset[str]]]) -> None:
        self._stores = stores

    @property
    def on_disk(self) -> bool:
        return all(store.on_disk for store, _ in self._stores)

    def load(self, address: str) -> Partial | None:
        partials = (store.load(address) for store, _ in self._stores)
        return next((partial for partial in partials if partial is not None), None)

    def save(self, partial: Partial) -> None:
        wanting = [store for store, tasks in self._stores if partial.task in tasks]
        for store in wanting or [self._stores[0][0]]:
            store.save(partial)
