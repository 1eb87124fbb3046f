"""What reaches a terminal, a pipe or a full disk, and the exit status that goes with it."""

from __future__ import annotations

import ast
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fhpt_eval._version import __version__
from tests.support.command import fhpt_eval

COMMANDS = Path(__file__).parents[2] / "fhpt_eval" / "cli"
HOSTILE = "\x1b]0;owned\x07\x1b[2J"


def test_no_command_prints_past_the_door() -> None:
    for path in COMMANDS.glob("*.py"):
        if path.name == "screen.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            assert called not in {"click.echo", "click.secho", "print", "sys.stdout.write"}, path


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--pred", HOSTILE, "--gt", HOSTILE),
        ("run", "--pred", ".", "--gt", ".", "--metrics", HOSTILE),
        ("run", "--pred", ".", "--gt", ".", "--set", f"{HOSTILE}=1"),
        ("run", f"--{HOSTILE}"),
        (HOSTILE,),
        ("leaderboard", HOSTILE),
        ("protocols", "show", HOSTILE),
        ("networks", HOSTILE),
        ("weights", "pull", HOSTILE),
    ],
)
def test_no_option_or_name_steers_the_terminal(arguments: tuple[str, ...]) -> None:
    done = fhpt_eval(*arguments)
    assert done.status == 2
    assert "\x1b" not in done.out + done.err
    assert "\x07" not in done.out + done.err


def test_no_key_of_a_file_steers_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text('id="x"\n"\\u001b]0;owned\\u0007"=1\n[metrics.psnr]\n')
    done = fhpt_eval("protocols", "show", path)
    assert (done.status, "\x1b" in done.err) == (2, False)
    assert "u001b]0;owned" in done.err


class Refusing(io.StringIO):
    """Standard output that takes nothing."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def write(self, _text: str) -> int:
        raise self.error


def refused(*arguments: str | Path, to: str) -> subprocess.CompletedProcess[str]:
    """Run a command whose output goes to a full disk, or to a pipe that nobody reads."""
    command = [sys.executable, "-m", "fhpt_eval", *map(str, arguments)]
    if to == "full":
        with Path("/dev/full").open("w") as full:
            return subprocess.run(command, stdout=full, stderr=-1, text=True, check=False)
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(command, stdout=writer, stderr=-1, text=True, check=False)
    finally:
        os.close(writer)


@pytest.mark.parametrize(
    ("to", "reason"), [("full", "No space left on device"), ("closed", "that reads the output")]
)
def test_output_that_cannot_be_printed_is_said_in_one_line(to: str, reason: str) -> None:
    done = refused("protocols", "--help", to=to)
    assert done.returncode == 2
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1"])
def test_a_table_is_printed_in_any_encoding(
    encoding: str, monkeypatch: pytest.MonkeyPatch, make_pairs: object, tmp_path: Path
) -> None:
    from fhpt_eval.cli.main import main

    folders = make_pairs(2)  # type: ignore[operator]
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding))
    arguments = ["--pred", folders.generated, "--gt", folders.ground_truth, "--metrics", "psnr"]
    with pytest.raises(SystemExit) as stop:
        main(["run", *map(str, arguments), "--out", str(tmp_path / "out")])
    assert stop.value.code == 0
    assert "| psnr ^ |" in raw.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device", "a/b"), "Error: a/b: No space left on device."),
        (MemoryError(), "Error: The memory of this machine does not suffice."),
        (RuntimeError("[enforce] can't allocate memory: 9 bytes"), "Error: The memory of this"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "Error: A text cannot"),
    ],
)
def test_what_the_system_refuses_is_an_error_of_one_line(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fhpt_eval.metrics.registry.metric_names", lambda: raise_(error))
    done = fhpt_eval("metrics")
    assert done.status == 2
    assert done.err.startswith(said)
    assert done.err.count("\n") == 1


def test_a_fault_of_ours_shows_itself_and_asks_to_be_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fhpt_eval.metrics.registry.metric_names", lambda: raise_(KeyError("x")))
    done = fhpt_eval("metrics")
    assert done.status == 1
    assert "Traceback" in done.err
    assert f"a fault of fhpt-eval {__version__} or of a plugin" in done.err
    assert "Please report it" in done.err


def raise_(error: Exception) -> list[str]:
    raise error
