"""The command ``fhpt-eval``: its group, and what an error says and exits with.

Exit status: 0 all scores were computed; 1 a fault of ours or of a plugin; 2 bad input or usage, or
what cannot be written or printed; 3 finished, but some scores are unavailable; 130 interrupted.
"""

from __future__ import annotations

import io
import platform
import sys
import traceback
import warnings
from importlib import import_module
from typing import NoReturn

import click

from fhpt_eval._version import __version__
from fhpt_eval.cli.screen import finish, give_up, say, take_any_encoding
from fhpt_eval.errors import FhptEvalError, MetricError, did_you_mean, of_the_system

#: In the order of ``--help``: modules of this package, each with a command of its own name.
_COMMANDS = (
    "run", "leaderboard", "sensitivity", "metrics", "networks", "protocols", "stats", "keypoints",
    "weights", "doctor", "benchmark", "drn", "demo",
)  # fmt: skip


class _Group(click.Group):
    """A group that names near misses of a mistyped command."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            known = self.list_commands(ctx)
            ctx.fail(
                f"There is no command '{name}'.{did_you_mean(name, known)} "
                f"Commands: {', '.join(known)}."
            )
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "show_default": True}
)
@click.version_option(__version__, prog_name="fhpt-eval")
def cli() -> None:
    """Evaluate human pose transfer: every protocol, one command.

    \b
    fhpt-eval run --pred results/ --gt test/
    fhpt-eval leaderboard fhpt-eval-runs/fhpt/* --csv leaderboard.csv
    """


for _name in _COMMANDS:
    cli.add_command(getattr(import_module(f"fhpt_eval.cli.{_name}"), _name))


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line; errors that are meant for people come without a traceback."""
    # Images above our own limit are refused by name; Pillow's warning on the way adds nothing.
    warnings.filterwarnings("ignore", message="Image size .* exceeds limit")
    take_any_encoding()
    out, err = sys.stdout, sys.stderr
    try:
        status = cli(args, standalone_mode=False)
        finish()
    except (click.exceptions.Abort, KeyboardInterrupt):
        say("Interrupted. Finished chunks are kept: the same command goes on from there.", err=True)
        status = 130
    except SystemExit:
        if sys.stdout is out:
            raise
        # Where nobody reads the output, click puts a stream that never complains in its place.
        sys.stdout, sys.stderr = out, err
        status = _explain(BrokenPipeError())
    except Exception as error:  # noqa: BLE001 - the last one who can say it to a person
        status = _explain(error)
    try:
        finish()
    except OSError:
        give_up()
    sys.exit(status if isinstance(status, int) else 0)


def _explain(error: Exception) -> int:
    """Say what ended a command, and return its exit status."""
    if isinstance(error, click.ClickException):
        shown = io.StringIO()
        error.show(shown)
        say(shown.getvalue(), err=True, nl=False)
        return 2
    if isinstance(error, FhptEvalError):
        say(f"Error: {error}", err=True)
        return 1 if isinstance(error, MetricError) else 2
    if text := of_the_system(error):
        say(f"Error: {text}", err=True)
        return 2
    say(traceback.format_exc(), err=True)
    say(
        f"This is a fault of fhpt-eval {__version__} or of a plugin, not yours. Please report it "
        f"with the lines above (Python {platform.python_version()}, {platform.system()}). "
        "Finished chunks are kept.",
        err=True,
    )
    return 1
