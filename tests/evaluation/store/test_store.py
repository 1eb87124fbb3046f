"""Where partials lie: in memory, in a folder, with every protocol that wants them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fhpt_eval.errors import StorageError
from fhpt_eval.evaluation.store.partial import Partial
from fhpt_eval.evaluation.store.store import FolderStore, MemoryStore, SharedStore


def partial(task: str) -> Partial:
    return Partial(task * 64, "c" * 64, ("a", "b"), {"": np.arange(2.0)})


def test_what_is_saved_is_found_at_its_address(tmp_path: Path) -> None:
    for store in (MemoryStore(), FolderStore(tmp_path)):
        assert store.load(partial("1").address) is None
        store.save(partial("1"))
        again = store.load(partial("1").address)
        assert again is not None
        assert again.columns[""].tolist() == [0.0, 1.0]


def test_what_two_protocols_want_is_kept_with_both_and_found_with_either(tmp_path: Path) -> None:
    first, second = FolderStore(tmp_path / "a"), FolderStore(tmp_path / "b")
    stores = [(first, frozenset({"1" * 64})), (second, frozenset({"1" * 64, "2" * 64}))]
    shared = SharedStore(stores)
    shared.save(partial("1"))
    shared.save(partial("2"))
    assert first.load(partial("1").address) is not None
    assert second.load(partial("1").address) is not None
    assert first.load(partial("2").address) is None
    assert shared.load(partial("2").address) is not None


def test_what_nobody_wants_goes_to_the_first() -> None:
    first, second = MemoryStore(), MemoryStore()
    SharedStore([(first, frozenset()), (second, frozenset())]).save(partial("3"))
    assert first.load(partial("3").address) is not None
    assert second.load(partial("3").address) is None


def test_a_shared_store_is_on_disk_where_all_of_it_is(tmp_path: Path) -> None:
    folder, memory = (FolderStore(tmp_path), frozenset[str]()), (MemoryStore(), frozenset[str]())
    assert SharedStore([folder, folder]).on_disk
    assert not SharedStore([folder, memory]).on_disk


def test_a_place_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    address = partial("1").address
    (tmp_path / address[:2] / f"{address}.partial").mkdir(parents=True)
    with pytest.raises(StorageError, match="cannot be read"):
        store.load(address)
