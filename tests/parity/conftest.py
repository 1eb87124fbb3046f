"""Collects what the comparisons find, and prints it as one table when all have run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import scipy.linalg  # noqa: F401 - its linear algebra must be there to be limited
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from tests.support.parity import (
    COMPARISONS,
    Measure,
    collect,
    record,
    refreshed,
    rows,
    shown,
    without_differences,
)

Agree = Callable[..., None]

#: Where a test's report keeps its records; reports travel between the processes of pytest-xdist.
_KEY = "parity"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all-images", action="store_true", help="compare all images of the page")
    parser.addoption("--write-parity", action="store_true", help="write the table to its page")


@pytest.fixture(scope="session")
def all_images(pytestconfig: pytest.Config) -> bool:
    """Whether all images of the page are compared, or a part of them as in ``make test``."""
    return bool(pytestconfig.getoption("--all-images", default=False))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Let NumPy and SciPy use one thread, as torch does in tests: several processes share cores."""
    with threadpool_limits(limits=1):
        yield


@pytest.fixture
def agree(record_property: Callable[[str, object], None]) -> Agree:
    """Return a function that records a comparison and holds it to its tolerance."""

    def agree(name: str, values: Any, expected: Any, *images: Tensor) -> None:
        """Compare values with the reference's; ``images`` are those that they are of."""
        one = COMPARISONS[name]
        found = difference(values, expected, one.measure)
        sizes = [(len(batch), batch.shape[2], batch.shape[3]) for batch in images]
        record_property(_KEY, record(name, sizes, found))
        assert found <= one.tolerance, f"{name}: {found:.1e} {one.measure}"

    return agree


def difference(values: Any, expected: Any, measure: Measure) -> float:
    """Return the largest difference of values, or of vectors in rows, from the expected ones."""
    ours, theirs = (torch.as_tensor(x, dtype=torch.float64) for x in (values, expected))
    assert ours.shape == theirs.shape
    apart, scale = (ours - theirs).abs(), theirs.abs()
    if measure == "of vectors":
        apart, scale = (ours - theirs).norm(dim=1), theirs.norm(dim=1)
    return (apart if measure == "absolute" else apart / scale).max().item()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the table; say whether the page shows it, or write it there."""
    passed, failed = (terminalreporter.getreports(kind) for kind in ("passed", "failed"))
    properties = [pair for report in (*passed, *failed) for pair in report.user_properties]
    records = [str(text) for key, text in properties if key == _KEY]
    if not records:
        return
    found = collect(records)
    table = rows(found)
    missing = [name for name in COMPARISONS if name not in found]
    terminalreporter.section("parity")
    for line in table:
        terminalreporter.line(line)
    terminalreporter.line("")
    if missing or failed:
        left = f"Not compared here: {'; '.join(missing)}. " if missing else ""
        terminalreporter.line(f"{left}docs/parity.md was left as it is.")
    else:
        page = config.rootpath / "docs" / "parity.md"
        write = config.getoption("--write-parity", default=False)
        terminalreporter.line(_about_page(page, table, write))


def _about_page(page: Path, table: list[str], write: bool) -> str:
    """Write the table to the page where that was asked for; say how the two stand."""
    text = page.read_text(encoding="utf-8")
    if write:
        page.write_text(refreshed(text, table), encoding="utf-8")
        return "docs/parity.md now shows this table."
    if without_differences(shown(text)) == without_differences(table):
        return "docs/parity.md shows this table, with the differences of the run that wrote it."
    return "docs/parity.md is out of date: make parity-page writes this table into it."
