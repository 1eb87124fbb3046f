"""``fhpt-eval metrics``: what is installed."""

from __future__ import annotations

import click

from fhpt_eval.cli import options
from fhpt_eval.cli.screen import put


@click.command()
@options.as_json
def metrics(as_json: bool) -> None:
    """List the installed metrics, built-in and third-party.

    \b
    fhpt-eval metrics
    fhpt-eval run --pred results/ --gt test/ --metrics ssim,brisque
    """
    import json

    from fhpt_eval.errors import ProtocolError
    from fhpt_eval.metrics.registry import load_metric, metric_distribution, metric_names

    rows = []
    for name in metric_names():
        package, version = metric_distribution(name)
        row = {"name": name, "package": f"{package} {version}"}
        try:
            metric = load_metric(name)
            row |= {
                "title": metric.title,
                "direction": metric.direction,
                "range": "[{:g}, {:g}]".format(*metric.range),
                "needs": ", ".join(sorted(metric.needs)).replace("_", " ")
                or "generated images only",
                "parameters": ", ".join(metric.model_fields) or "none",
            }
        except ProtocolError as error:  # one broken plugin must not hide the others
            row["broken"] = str(error)
        rows.append(row)
    if as_json:
        put(json.dumps(rows, indent=2) + "\n")
        return
    _show(rows)


def _show(rows: list[dict[str, str]]) -> None:
    from fhpt_eval.cli.show import show_table
    from fhpt_eval.common.tables import Table, arrowed

    cells = []
    for row in rows:
        package = "" if row["package"].startswith("fhpt-eval ") else f" ({row['package']})"
        if "broken" in row:
            cells.append((row["name"], f"broken: {row['broken']}{package}", "", "", ""))
        else:
            name = arrowed(row["name"], row["direction"])
            title = row["title"] + package
            cells.append((name, title, row["range"], row["needs"], row["parameters"]))
    header = ("name", "title", "range", "needs", "parameters")
    show_table(Table(header, cells, frozenset({"title", "needs", "parameters"})))
