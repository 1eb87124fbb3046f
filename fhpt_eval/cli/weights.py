"""``fhpt-eval weights``: get, check and pass on pretrained networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fhpt_eval.cli.options import PATH, as_json, weights_dir
from fhpt_eval.cli.screen import put, say

if TYPE_CHECKING:
    from fhpt_eval.weights import WeightsEntry


_names = click.argument("names", nargs=-1, metavar="NAME...")
_all = click.option("--all", "is_all", is_flag=True, help="All weights of the registry.")


@click.group()
def weights() -> None:
    """Get, check and pass on pretrained networks.

    \b
    fhpt-eval weights list
    fhpt-eval weights pull inception-2015
    fhpt-eval weights bundle -o weights.tar inception-2015
    fhpt-eval weights import weights.tar
    """


@weights.command("list")
@as_json
@weights_dir
def list_(as_json: bool) -> None:
    """List the registry: what there is, what is here, under which licence.

    Looks at existence and size; 'verify' reads the files. What is shipped is part of the package.

    \b
    fhpt-eval weights list
    fhpt-eval weights list --json
    """
    import json

    from fhpt_eval.weights import folder, registered

    rows = [_row(entry) for entry in registered().values()]
    if as_json:
        put(json.dumps(rows, indent=2) + "\n")
        return
    _show(rows)
    say(f"Folder: {folder()}")


def _row(entry: WeightsEntry) -> dict[str, Any]:
    from fhpt_eval.weights.registry import path_of
    from fhpt_eval.weights.store import fault_of

    path = path_of(entry)
    fault = fault_of(entry)
    return {
        **entry.model_dump(mode="json"),
        "path": str(path),
        "here": not fault,
        "fault": fault or None,
    }


def _show(rows: list[dict[str, Any]]) -> None:
    from fhpt_eval.cli.show import show_table
    from fhpt_eval.common.tables import Table

    cells = [
        (row["name"], _here(row), _megabytes(row["size"]), row["sha256"][:12], row["licence"],
         row["title"])
        for row in rows
    ]  # fmt: skip
    header = ("name", "here", "MB", "SHA-256", "licence", "title")
    show_table(Table(header, cells, frozenset(header) - {"MB"}))


def _here(row: dict[str, Any]) -> str:
    """Say in a word whether a file is here, or part of the package."""
    if row["here"]:
        return "shipped" if row["shipped"] else "yes"
    return "damaged" if Path(row["path"]).exists() else "no"


def _megabytes(size: int | None) -> str:
    if size is None:
        return "?"
    return f"{size / 1e6:,.0f}" if size >= 10**6 else f"{size / 1e6:.1g}"


@weights.command()
@_names
@_all
@click.option("--offline", is_flag=True, help="Never try the network; say what is missing.")
@weights_dir
def pull(names: tuple[str, ...], is_all: bool, offline: bool) -> None:
    """Download weights; a broken-off download goes on where it stopped.

    Every file is checked against the registry's SHA-256 before it is put in place. What is there
    and sound is left alone, and what is shipped is part of the package.

    \b
    fhpt-eval weights pull inception-2015 alexnet-imagenet
    fhpt-eval weights pull --all --weights-dir /shared/weights
    fhpt-eval weights pull inception-2015 --offline
    """
    from fhpt_eval.cli.show import TerminalProgress
    from fhpt_eval.weights import pull as fetch

    with TerminalProgress() as progress:
        fetch(_chosen(names, is_all), progress, offline=offline)


@weights.command()
@_names
@weights_dir
def verify(names: tuple[str, ...]) -> int:
    """Read the files that are here and compare their SHA-256 with the registry's.

    Exit status 2 if a file is not what it should be, or if one that was named, or is shipped with
    the package, is missing.

    \b
    fhpt-eval weights verify
    fhpt-eval weights verify inception-2015
    """
    from fhpt_eval.errors import WeightsError
    from fhpt_eval.weights import find, registered
    from fhpt_eval.weights.registry import entry_of, path_of

    status = 0
    for entry in [entry_of(name) for name in names] or registered().values():
        if not (names or entry.shipped or path_of(entry).exists()):
            say(f"{entry.name}: not here")
            continue
        try:
            say(f"{entry.name}: sound, SHA-256 {find(entry.name).sha256}")
        except WeightsError as error:
            say(f"{entry.name}: {error}")
            status = 2
    return status


@weights.command()
@click.option("-o", "--out", required=True, type=PATH, metavar="FILE", help="The file to write.")
@_names
@_all
@weights_dir
def bundle(out: Path, names: tuple[str, ...], is_all: bool) -> None:
    """Pack weights into one file, for machines without network.

    Mind the licences: some forbid passing weights on. What is shipped with the package is left out.

    \b
    fhpt-eval weights bundle -o weights.tar inception-2015 alexnet-imagenet
    """
    from fhpt_eval.weights import write_bundle

    chosen = _chosen(names, is_all)
    packed = {file.name: file.path.name for file in write_bundle(chosen, out)}
    for name in dict.fromkeys(chosen):
        say(f"{name}: {packed.get(name, 'left out, it is part of fhpt-eval')}")
    say(f"Written to {out}. There: fhpt-eval weights import {out.name}")


@weights.command("import")
@click.argument("file", type=PATH, metavar="FILE")
@weights_dir
def import_(file: Path) -> None:
    """Unpack a bundle; every file is checked against this machine's registry first.

    \b
    fhpt-eval weights import weights.tar
    """
    from fhpt_eval.weights import import_bundle

    for imported in import_bundle(file):
        say(f"{imported.name}: {imported.path}")


def _chosen(names: tuple[str, ...], is_all: bool) -> list[str]:
    """Return the names asked for: those given, or with --all every one."""
    if is_all == bool(names):
        raise click.UsageError("Give the names of weights, or --all: see 'fhpt-eval weights list'.")
    if not is_all:
        return list(names)
    from fhpt_eval.weights import registered

    return list(registered())
