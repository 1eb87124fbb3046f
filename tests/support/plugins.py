"""Packages with entry points, installed for real in a folder of the test's own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fhpt_eval.common import plugins

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Return a function that installs version 1.2 of a package with one module and one plugin.

    The modules of packages whose names begin with ``plugin_`` are forgotten afterwards.
    """
    modules = set(sys.modules)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def install(
        package: str,
        name: str,
        value: str,
        code: str,
        folder: str = "site",
        group: str = "fhpt_eval.metrics",
    ) -> None:
        site = tmp_path / folder
        info = site / f"{package}-1.2.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {value}\n")
        (site / f"{package}.py").write_text(code)
        monkeypatch.syspath_prepend(str(site))
        plugins.installed.cache_clear()

    plugins.installed.cache_clear()
    yield install
    plugins.installed.cache_clear()
    for module in set(sys.modules) - modules:
        if module.startswith("plugin_"):
            del sys.modules[module]
