"""``fhpt-eval weights``: what it prints, where it looks, what it exits with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fhpt_eval import weights
from tests.support.command import fhpt_eval
from tests.support.shipped import ship

DATA = b"weights of a toy network" * 1000
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of weights that knows a network "toy", which a file address leads to."""
    folder = tmp_path / "weights"
    monkeypatch.setenv("FHPT_WEIGHTS", str(folder))
    registered(folder, tmp_path)
    (tmp_path / "mirror.pth").write_bytes(DATA)
    yield folder
    assert weights.folder() == folder, "a command leaves no folder behind"


def registered(folder: Path, tmp_path: Path, digest: str = f'sha256 = "{DIGEST}"') -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "registry.toml").write_text(
        'schema_version = 1\n[weights.toy]\nfile = "toy.pth"\nlicence = "ours"\n'
        f'addresses = ["{(tmp_path / "mirror.pth").as_uri()}"]\n{digest}\nsize = {len(DATA)}\n'
    )
    return folder


@pytest.fixture
def ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the network "ours", in a package that ships it."""
    return ship(monkeypatch, tmp_path / "package", b"weights that are shipped")


@pytest.mark.parametrize("command", ["", "list", "pull", "verify", "bundle", "import"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    finished = fhpt_eval("weights", *command.split(), "--help")
    assert finished.status == 0
    assert f"fhpt-eval weights {command}" in finished.out
    assert ("--weights-dir" in finished.out) == bool(command)


def test_the_list_says_what_is_here_and_under_which_licence(folder: Path) -> None:
    (folder / "toy.pth").write_bytes(DATA[:10])
    (folder / "vgg16-397923af.pth").touch()
    finished = fhpt_eval("weights", "list")
    assert finished.status == 0
    for word in ("inception-2015", "Apache-2.0", "toy", "damaged", DIGEST[:12], str(folder)):
        assert word in finished.out


def test_the_list_as_json_has_every_fact(folder: Path) -> None:
    fhpt_eval("weights", "pull", "toy")
    rows = {row["name"]: row for row in json.loads(fhpt_eval("weights", "list", "--json").out)}
    assert rows["toy"]["here"] is True
    assert rows["toy"]["fault"] is None
    assert rows["toy"]["path"] == str(folder / "toy.pth")
    assert rows["toy"]["sha256"] == DIGEST
    assert rows["inception-2015"]["here"] is False
    assert "weights pull inception-2015" in rows["inception-2015"]["fault"]


def test_the_list_says_what_is_shipped(ours: Path) -> None:
    def line() -> str:
        text = fhpt_eval("weights", "list").out
        return next(line for line in text.splitlines() if line.split()[1:2] == ["ours"])

    def row() -> dict[str, object]:
        rows = json.loads(fhpt_eval("weights", "list", "--json").out)
        return next(row for row in rows if row["name"] == "ours")

    assert "shipped" in line()
    assert row()["here"] is row()["shipped"] is True
    assert row()["path"] == str(ours)
    assert row()["addresses"] == []
    ours.write_bytes(b"cut off")
    assert "damaged" in line()
    assert row()["here"] is False
    assert "reinstall fhpt-eval" in str(row()["fault"])


def test_pull_of_what_is_shipped_says_so(ours: Path) -> None:
    for more in ([], ["--offline"], ["toy"]):
        finished = fhpt_eval("weights", "pull", "ours", *more)
        assert finished.status == 0, finished.err
        assert f"ours: is part of fhpt-eval, {ours}" in finished.err


def test_pull_of_all_fetches_the_others(ours: Path) -> None:
    finished = fhpt_eval("weights", "pull", "--all", "--offline")
    assert finished.status == 2
    assert f"ours: is part of fhpt-eval, {ours}" in finished.err
    told = next(line for line in finished.err.splitlines() if "weights.tar inception-2015" in line)
    assert "ours" not in told


def test_pull_brings_a_file_and_says_where_it_is(folder: Path) -> None:
    finished = fhpt_eval("weights", "pull", "toy")
    assert finished.status == 0, finished.err
    assert str(folder / "toy.pth") in finished.err
    assert (folder / "toy.pth").read_bytes() == DATA
    assert "is there already" in fhpt_eval("weights", "pull", "toy").err


def test_pull_that_fails_says_what_was_tried_and_exits_with_2(tmp_path: Path) -> None:
    (tmp_path / "mirror.pth").unlink()
    finished = fhpt_eval("weights", "pull", "toy")
    assert finished.status == 2
    assert "toy could not be downloaded" in finished.err
    assert (tmp_path / "mirror.pth").as_uri() in finished.err
    assert "Traceback" not in finished.err


def test_pull_offline_says_what_is_missing(folder: Path) -> None:
    finished = fhpt_eval("weights", "pull", "toy", "--offline")
    assert finished.status == 2
    assert "The weights toy are not here" in finished.err
    assert "fhpt-eval weights import weights.tar" in finished.err
    assert not (folder / "toy.pth").exists()
    finished = fhpt_eval("weights", "pull", "--all", "--offline")
    assert "inception-2015" in finished.err


@pytest.mark.parametrize("command", [["pull"], ["bundle", "-o", "x.tar"]])
def test_names_or_all_must_be_given_and_not_both(command: list[str]) -> None:
    for more in ([], ["toy", "--all"]):
        finished = fhpt_eval("weights", *command, *more)
        assert finished.status == 2
        assert "--all" in finished.err


def test_a_mistyped_name_gets_near_misses() -> None:
    for command in (["pull"], ["verify"], ["pull", "--offline"]):
        finished = fhpt_eval("weights", *command, "inception-2051")
        assert finished.status == 2
        assert "Did you mean 'inception-2015'" in finished.err


def test_weights_dir_goes_before_the_variable(folder: Path, tmp_path: Path) -> None:
    other = registered(tmp_path / "other", tmp_path)
    finished = fhpt_eval("weights", "pull", "toy", "--weights-dir", other)
    assert finished.status == 0, finished.err
    assert (other / "toy.pth").exists()
    assert not (folder / "toy.pth").exists()
    missing = fhpt_eval("weights", "pull", "vgg16-imagenet", "--offline", "--weights-dir", other)
    assert f"pull vgg16-imagenet --weights-dir {other}" in missing.err


def test_verify_reads_what_is_here(folder: Path) -> None:
    finished = fhpt_eval("weights", "verify")
    assert finished.status == 0
    assert "toy: not here" in finished.out
    assert fhpt_eval("weights", "verify", "toy").status == 2, "it was asked for by name"
    (folder / "toy.pth").write_bytes(DATA)
    finished = fhpt_eval("weights", "verify", "toy")
    assert finished.status == 0
    assert f"toy: sound, SHA-256 {DIGEST}" in finished.out
    wrong = DATA[:-1] + b"x"
    (folder / "toy.pth").write_bytes(wrong)
    finished = fhpt_eval("weights", "verify")
    assert finished.status == 2
    assert hashlib.sha256(wrong).hexdigest() in finished.out
    assert DIGEST in finished.out


def test_verify_reads_what_is_shipped_and_misses_it(ours: Path) -> None:
    for names in ([], ["ours"]):
        finished = fhpt_eval("weights", "verify", *names)
        assert finished.status == 0
        assert "ours: sound, SHA-256 " in finished.out
    ours.unlink()
    for names in ([], ["ours"]):
        finished = fhpt_eval("weights", "verify", *names)
        assert finished.status == 2
        assert "reinstall fhpt-eval" in finished.out


def test_a_bundle_says_what_it_leaves_out(ours: Path, tmp_path: Path) -> None:
    fhpt_eval("weights", "pull", "toy")
    finished = fhpt_eval("weights", "bundle", "-o", tmp_path / "weights.tar", "ours", "toy")
    assert finished.status == 0, finished.err
    assert "ours: left out, it is part of fhpt-eval" in finished.out
    assert "toy: toy.pth" in finished.out
    finished = fhpt_eval("weights", "bundle", "-o", tmp_path / "none.tar", "ours")
    assert finished.status == 2
    assert "nothing to bundle" in finished.err
    assert ours.exists()


def test_a_bundle_goes_from_one_machine_to_another(folder: Path, tmp_path: Path) -> None:
    fhpt_eval("weights", "pull", "toy")
    finished = fhpt_eval("weights", "bundle", "-o", tmp_path / "weights.tar", "toy")
    assert finished.status == 0, finished.err
    assert "fhpt-eval weights import weights.tar" in finished.out
    other = registered(tmp_path / "other", tmp_path)
    finished = fhpt_eval("weights", "import", tmp_path / "weights.tar", "--weights-dir", other)
    assert finished.status == 0, finished.err
    assert str(other / "toy.pth") in finished.out
    assert (other / "toy.pth").read_bytes() == DATA


def test_what_is_no_bundle_is_named_and_exits_with_2(tmp_path: Path) -> None:
    (tmp_path / "weights.tar").write_bytes(b"no tar at all")
    finished = fhpt_eval("weights", "import", tmp_path / "weights.tar")
    assert finished.status == 2
    assert "weights.tar" in finished.err
    assert "Traceback" not in finished.err


def test_a_fault_in_the_folders_registry_is_named(folder: Path) -> None:
    (folder / "registry.toml").write_text("schema_version = 1\n[weights.toy]\nfle = 'x'\n")
    for command in (["list"], ["verify"], ["pull", "toy"], ["pull", "--all"]):
        finished = fhpt_eval("weights", *command)
        assert finished.status == 2
        assert "registry.toml: weights.toy.fle: there is no such key" in finished.err
