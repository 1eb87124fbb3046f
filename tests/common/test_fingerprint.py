"""What an address counts: the code that is reached by import, and nothing that only speaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fhpt_eval.common import fingerprint
from fhpt_eval.common.fingerprint import _reached, code_digest

Package = Callable[[dict[str, str]], None]

TREE = {
    "metric.py": "from ours.front import helper\n\ndef value(x):\n    return helper(x) + 1\n",
    "front/__init__.py": "from ours.front.help import helper\nfrom ours.front.pull import pull\n",
    "front/help.py": '"""Help."""\n\ndef helper(x):\n    if x < 0:\n'
    '        raise ValueError("too small")\n    return x * 2\n',
    "front/pull.py": "def pull():\n    return 'address'\n",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    """Return a function that writes a package ``ours``, of which addresses are then made."""
    root = tmp_path / "ours"
    monkeypatch.setattr(fingerprint, "_PACKAGE", root)
    monkeypatch.setattr(fingerprint, "_NAME", "ours")

    def write(files: dict[str, str]) -> None:
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        for function in ("_read", "_file_of", "code_digest"):
            getattr(fingerprint, function).cache_clear()

    yield write
    monkeypatch.undo()
    write({})


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("front/pull.py", "def pull():\n    return 'another address'\n"),
        ("front/help.py", TREE["front/help.py"].replace("too small", "must not be negative")),
        ("front/help.py", TREE["front/help.py"].replace("Help.", "What helps.")),
        ("front/help.py", TREE["front/help.py"] + "# a comment\n"),
        ("page.py", "a page that nobody imports"),
    ],
)
def test_a_downloader_a_phrase_or_a_page_recomputes_nothing(
    package: Package, file: str, text: str
) -> None:
    package(TREE)
    before = code_digest("ours.metric")
    package({file: text})
    assert code_digest("ours.metric") == before


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("front/help.py", TREE["front/help.py"].replace("x * 2", "x * 3")),
        ("front/help.py", TREE["front/help.py"].replace("x < 0", "x < 1")),
        ("metric.py", TREE["metric.py"].replace("+ 1", "+ 2")),
    ],
)
def test_what_a_metric_reaches_counts(package: Package, file: str, text: str) -> None:
    package(TREE)
    before = code_digest("ours.metric")
    package({file: text})
    assert code_digest("ours.metric") != before


def test_a_metric_reaches_what_it_computes_with_and_no_downloader() -> None:
    inside = _reached(["fhpt_eval.metrics.fid"])
    assert {"fhpt_eval.metrics.sets.frechet", "fhpt_eval.metrics.sets.moments"} <= inside
    assert "fhpt_eval.weights.download" not in inside
    assert not any(name.startswith(("fhpt_eval.cli", "fhpt_eval.evaluation")) for name in inside)
    assert all(name.startswith("fhpt_eval.") for name in inside)


def test_a_plugin_counts_with_its_own_code_and_what_it_takes_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a_plugin_of_mine.py"
    file.write_text("from fhpt_eval.metrics import PairMetric\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert {"a_plugin_of_mine", "fhpt_eval.metrics.base"} <= _reached(["a_plugin_of_mine"])
    before = code_digest("a_plugin_of_mine")
    for function in ("_read", "_of_plugin", "code_digest"):
        getattr(fingerprint, function).cache_clear()
    file.write_text("from fhpt_eval.metrics import PairMetric\nX = 1\n")
    assert code_digest("a_plugin_of_mine") != before
