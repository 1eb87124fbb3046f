"""``fhpt-eval networks``: what is installed, what it gives, whether its weights are here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fhpt_eval.cli import networks as command
from fhpt_eval.cli.networks import _show
from fhpt_eval.features.networks import network_names
from tests.support.command import fhpt_eval


def test_every_installed_network_is_listed_with_what_it_gives() -> None:
    rows = {row["name"]: row for row in json.loads(fhpt_eval("networks", "--json").out)}
    assert list(rows) == network_names()
    assert rows["mannequin"]["gives"] == ["rows", "logits", "maps"]
    assert rows["mannequin"]["row size"] == {"pool": 128, "embedding": 64}
    assert rows["mannequin"]["made for"] == "drawn people"
    assert rows["mannequin"]["package"].startswith("fhpt-eval ")
    assert (rows["mannequin"]["weights"], rows["alex"]["weights"]) == ("here", "missing")


def test_the_table_in_a_pipe_has_a_line_for_each() -> None:
    lines = fhpt_eval("networks").out.splitlines()
    assert lines[0] == "| name | gives | row size | made for | weights | package |"
    assert len(lines) == 2 + len(network_names())
    assert any(
        line.startswith("| resnet50 | rows | 2048 | photographs | missing |") for line in lines
    )


def test_a_network_says_all_of_itself() -> None:
    out = fhpt_eval("networks", "resnet50").out
    assert "ResNet-50 (torchvision's)" in out
    assert "fhpt-eval weights pull resnet50-imagenet" in out
    assert "input_size 224, 224" in out
    faces = json.loads(fhpt_eval("networks", "mannequin-faces", "--json").out)
    assert faces["same person"] == 1.01
    assert len(faces["sha-256"][0]) == 64


def test_a_misspelt_name_gets_near_misses() -> None:
    finished = fhpt_eval("networks", "resnet5O")
    assert finished.status == 2
    assert "Did you mean 'resnet50'?" in finished.err


def test_names_by_form_are_described_too(tmp_path: Path) -> None:
    assert "There is no file" in fhpt_eval("networks", str(tmp_path / "none.onnx")).out


def test_a_broken_plugin_does_not_hide_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _show([{"name": "gone", "broken": "cannot be imported"}, command._row("classical")])
    lines = capsys.readouterr().out.splitlines()
    assert "broken: cannot be imported" in lines[2]
    assert "1572" in lines[3]


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminals here")
def test_on_a_terminal_of_80_columns_no_digit_is_cut() -> None:
    script = (
        "import sys; from fhpt_eval.cli.main import main; sys.stdout.isatty = lambda: True;"
        "main(['networks'])"
    )
    environment = {**os.environ, "COLUMNS": "80", "TERM": "dumb"}
    finished = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert max(map(len, finished.stdout.splitlines())) <= 80
    for text in ("1572", "2048", "128, 64", "inception_v3-imagenet", "fhpt-eval"):
        assert text in finished.stdout
