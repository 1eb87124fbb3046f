"""``fhpt-eval networks``: what metrics can see images with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from fhpt_eval.cli import options
from fhpt_eval.cli.screen import put, say

if TYPE_CHECKING:
    from fhpt_eval.features.networks import Network

Row = Mapping[str, Any]


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the list, or the network, as JSON.")
@options.weights_dir
def networks(name: str | None, as_json: bool) -> None:
    """List the installed networks, built-in and third-party; with NAME, all about one.

    A metric chooses one by name (its parameter 'network'), where it gives what the metric wants:
    rows for FID, KID and retrieval, logits for IS, maps for LPIPS, joints, a face. A model of timm
    is named timm:MODEL, a network in a file by its path (.pt, .ts, .onnx).

    \b
    fhpt-eval networks
    fhpt-eval networks resnet50
    fhpt-eval run --pred results/ --gt test/ --metrics fid --set fid.network=resnet50
    """
    import json

    from fhpt_eval.features.networks import load_network, network_names

    if name is not None:
        facts = _facts(load_network(name))
        if as_json:
            put(json.dumps(facts, indent=2) + "\n")
        else:
            width = max(map(len, facts))
            for label, fact in facts.items():
                say(f"{label:<{width}}  {_text(fact)}")
        return
    rows = [_row(installed) for installed in network_names()]
    if as_json:
        put(json.dumps(rows, indent=2) + "\n")
        return
    _show(rows)


def _row(name: str) -> Row:
    """Return the facts of an installed network, or why there are none."""
    from fhpt_eval.errors import ProtocolError
    from fhpt_eval.features.networks import load_network

    try:
        return _facts(load_network(name))
    except ProtocolError as error:  # one broken plugin must not hide the others
        return {"name": name, "broken": str(error)}


def _facts(network: Network) -> Row:
    """Return what a network says of itself, and what it lacks on this machine."""
    from fhpt_eval.features.networks import GIFTS, network_names, network_package

    lacking = network.lacks()
    package = network_package(network.name) if network.name in network_names() else ("", "")
    digests = {} if lacking else network.digests()
    return {
        "name": network.name,
        "title": network.title,
        "gives": [gift for gift in GIFTS if gift in network.gives],
        "row size": dict(network.dimensions),
        "made for": network.made_for,
        "same person": network.same_person,
        "weights": "missing" if lacking else "here" if digests else "none",
        "lacks": lacking,
        "sha-256": sorted(digests.values()),
        "settings": network.model_dump(mode="json"),
        "licence": network.licence,
        "citation": network.citation,
        "package": " ".join(package).strip(),
    }


def _text(fact: object) -> str:
    """Return a fact in one line; nothing where there is none."""
    if isinstance(fact, Mapping):
        return ", ".join(f"{name} {_text(value) or 'none'}" for name, value in fact.items())
    if isinstance(fact, list | tuple):
        return ", ".join(map(_text, fact))
    return "" if fact is None else str(fact)


def _show(rows: list[Row]) -> None:
    from fhpt_eval.cli.show import show_table
    from fhpt_eval.common.tables import Table

    header = ("name", "gives", "row size", "made for", "weights", "package")
    cells = []
    for row in rows:
        if "broken" in row:
            cells.append([row["name"], f"broken: {row['broken']}", *[""] * (len(header) - 2)])
            continue
        sizes = ", ".join(map(str, row["row size"].values()))
        texts = {
            **row,
            "gives": ",\n".join(row["gives"]),  # names then have room on 80 columns
            "row size": sizes,
            "package": row["package"].partition(" ")[0],
        }
        cells.append([texts[name] for name in header])
    show_table(Table(header, cells, frozenset({"gives", "made for", "package"})))
