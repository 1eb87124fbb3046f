"""``fhpt-eval drn``: train the reference model, and draw with it."""

from __future__ import annotations

import os
import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fhpt_eval.cli import options
from fhpt_eval.cli.screen import say

if TYPE_CHECKING:
    import torch

    from fhpt_eval.reference_models.drn.configuration import Configuration
    from fhpt_eval.reference_models.drn.data.pairs import PairSet
    from fhpt_eval.reference_models.drn.training.distributed import World

_data = options.path(
    "--data",
    "DIR",
    "A folder laid out as DeepFashion's, Market-1501's or mannequin's.",
    required=True,
)
_pairs = options.path(
    "--pairs",
    "CSV",
    "Another list of pairs: columns from,to.  [default: DIR's list of the split]",
)
_keypoints = options.path(
    "--keypoints",
    "CSV|DIR",
    "Other key points: an annotation CSV, or OpenPose's JSON.  [default: DIR's of the split]",
)
_allow_missing = click.option(
    "--allow-missing",
    is_flag=True,
    help="Leave out pairs whose files or key points are missing, and say so.",
)
_threads = options.number(
    "--threads", "CPU threads of this process.  [default: the number of cores]", 1, 1024
)


@click.group()
def drn() -> None:
    """Train the Detail Replenishing Network, and draw with it."""


@drn.command()
@_data
@click.option(
    "--config", required=True, metavar="NAME|FILE",
    help="A shipped configuration, such as drn-256 or drn-tiny, or a TOML file.",
)  # fmt: skip
@options.path("--out", "DIR", "A new or empty folder.", required=True)
@click.option(
    "--start-from", metavar="NAME|FILE",
    help="Weights of a model of the same sizes to start from.  [default: random ones]",
)  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on with the training in --out, if there is one.")
@options.number(
    "--steps",
    "Stop after N steps in all; the schedule stays.  [default: the configuration's]",
    1,
)
@click.option("--split", default="train", help="Which lists of DIR to take.")
@_pairs
@_keypoints
@_allow_missing
@options.device
@click.option(
    "--precision", type=click.Choice(["float32", "bfloat16"]),
    help="What the networks compute in.  [default: the configuration's]",
)  # fmt: skip
@click.option("--channels-last", is_flag=True, help="Store images channels last.")
@click.option("--compile", is_flag=True, help="Compile the networks first.")
@_threads
@options.number("--checkpoint-every", "Steps between two checkpoints.", 1, default=500)
@options.number("--log-every", "Steps between two rows of the log.", 1, default=50)
@options.number("--sample-every", "Steps between two grids of samples; 0 for none.", 0, default=500)
@options.weights_dir
@click.pass_context
def train(context: click.Context, /, **values: Any) -> int:
    """Train a model, or go on with a training.

    Writes checkpoint.pt, log.csv, samples/ and, at the end, weights.safetensors to --out. Ctrl-C
    writes a checkpoint and ends with exit status 130. Several GPUs: start it with torchrun.

    \b
    fhpt-eval drn train --data mannequin --config drn-tiny --out runs/drn
    fhpt-eval drn train --data mannequin --config drn-tiny --out runs/drn --resume
    torchrun --nproc-per-node 4 -m fhpt_eval drn train --data fashion --config mine.toml ...
    """
    from fhpt_eval.common.machine import choose_device
    from fhpt_eval.common.training import Stopped
    from fhpt_eval.reference_models.drn.configuration import load_configuration
    from fhpt_eval.reference_models.drn.training.distributed import joined

    ways = {name: values[name] for name in ("precision", "channels_last", "compile")}
    configuration = load_configuration(values["config"])
    configuration = configuration.computed({name: way for name, way in ways.items() if way})
    with joined(choose_device(values["device"])) as (world, device):
        try:
            _train(configuration, world, device, values)
        except Stopped as stopped:
            if world.leads:
                say(f"{stopped} Go on with:\n  {_command(context)}", err=True)
            return 128 + stopped.signal
        except KeyboardInterrupt:
            say(
                "Interrupted at once. What came after the last checkpoint, if any, is lost; the "
                "same command with --resume goes on from it.",
                err=True,
            )
            return 128 + signal.SIGINT
    return 0


def _train(
    configuration: Configuration, world: World, device: torch.device, values: dict[str, Any]
) -> None:
    from fhpt_eval.cli.show import TerminalProgress
    from fhpt_eval.common.machine import available_cores
    from fhpt_eval.common.training import duration
    from fhpt_eval.reference_models.drn.data.pairs import read_data
    from fhpt_eval.reference_models.drn.training.plan import WEIGHTS, Plan, check_plan
    from fhpt_eval.reference_models.drn.training.train import train

    threads = values["threads"] or max(1, available_cores() // world.local_size)
    _set_up(threads)
    plan = Plan(
        configuration, values["out"], values["steps"] or configuration.training.steps,
        values["resume"], threads, values["checkpoint_every"], values["log_every"],
        values["sample_every"], values["start_from"],
    )  # fmt: skip
    check_plan(plan, world)
    with TerminalProgress() as terminal:
        progress = terminal if world.leads else None
        data = read_data(
            values["data"], values["split"], pairs=values["pairs"], keypoints=values["keypoints"],
            allow_missing=values["allow_missing"], threads=threads, progress=progress,
        )  # fmt: skip
        wants_samples = plan.sample_every > 0 and world.leads
        samples = _held_out(values, threads) if wants_samples else None
        record = train(plan, data, device, samples=samples, world=world, progress=progress)
    if world.leads:
        say(
            f"{record.steps:,} steps in {duration(record.seconds)}. Weights: {plan.out / WEIGHTS}\n"
            f"Draw with them: fhpt-eval drn generate --checkpoint {plan.out / WEIGHTS} "
            f"--data {values['data']} --out results"
        )


def _held_out(values: dict[str, Any], threads: int) -> PairSet | None:
    """Return the test split's pairs for grids of samples, if it can be read."""
    from fhpt_eval.errors import InputError
    from fhpt_eval.reference_models.drn.data.pairs import read_data

    if values["split"] == "test":
        return None
    try:
        return read_data(values["data"], "test", allow_missing=True, threads=threads)
    except InputError:  # then samples are of the pairs that are trained on
        return None


@drn.command()
@click.option(
    "--checkpoint", required=True, metavar="NAME|FILE",
    help="A name of the registry of weights, exported weights, or a training's checkpoint.",
)  # fmt: skip
@_data
@click.option("--split", default="test", help="Which lists of DIR to take.")
@_pairs
@_keypoints
@options.path("--out", "DIR", "Where the images go.", required=True)
@_allow_missing
@options.device
@click.option(
    "--precision", type=click.Choice(["float32", "bfloat16"]), default="float32",
    help="What the networks compute in, whatever the model was trained in.",
)  # fmt: skip
@options.number("--batch-size", "Images drawn at a time.", 1, 4096, default=32)
@click.option("--compile", "compiled", is_flag=True, help="Compile the model first.")
@_threads
@click.option("--overwrite", is_flag=True, help="Replace images that another model made.")
@options.weights_dir
def generate(checkpoint: str, out: Path, **values: Any) -> None:
    """Draw one image per pair, at the size of the data's images.

    Files are named so that fhpt-eval run matches them. Repeating the command draws what is missing.

    \b
    fhpt-eval drn generate --checkpoint runs/drn/weights.safetensors --data mannequin --out results
    fhpt-eval run --pred results --gt mannequin/test
    """
    import torch

    from fhpt_eval.cli.show import TerminalProgress
    from fhpt_eval.common.machine import available_cores, choose_device
    from fhpt_eval.reference_models.drn.data.pairs import read_data
    from fhpt_eval.reference_models.drn.generate import generate as draw
    from fhpt_eval.reference_models.drn.training.checkpoints import load_model

    threads = values["threads"] or available_cores()
    _set_up(threads)
    device = torch.device(choose_device(values["device"]))
    loaded = load_model(checkpoint, device)
    with TerminalProgress() as progress:
        data = read_data(
            values["data"], values["split"], pairs=values["pairs"], keypoints=values["keypoints"],
            targets=False, allow_missing=values["allow_missing"], threads=threads,
            progress=progress,
        )  # fmt: skip
        done = draw(
            loaded, data, out, device=device, batch_size=values["batch_size"],
            precision=values["precision"], compiled=values["compiled"],
            threads=threads, overwrite=values["overwrite"], progress=progress,
        )  # fmt: skip
    rate = f" ({done.per_second:.1f} per second)" if done.written else ""
    kept = f", {done.skipped:,} were there already" if done.skipped else ""
    say(f"{out}: {done.written:,} new images{rate}{kept}")


@drn.command()
@click.argument("checkpoint", metavar="NAME|FILE")
@options.weights_dir
def info(checkpoint: str) -> None:
    """Say what a checkpoint or a file of weights is: configuration, steps, data, parameters."""
    from fhpt_eval.reference_models.drn.training.checkpoints import describe

    say(describe(checkpoint))


@drn.command()
@click.argument("checkpoint", metavar="NAME|FILE")
@options.path("--out", "FILE.safetensors", "The file to write.", required=True)
@click.option(
    "--as", "stored", type=click.Choice(["float32", "float16", "bfloat16"]), default="float32",
    help="The type that the file has; it is read as float32.",
)  # fmt: skip
@options.weights_dir
def export(checkpoint: str, out: Path, stored: Any) -> None:
    """Write a checkpoint's weights as safetensors, with its record."""
    from fhpt_eval.errors import InputError
    from fhpt_eval.reference_models.drn.training.checkpoints import export as write
    from fhpt_eval.reference_models.drn.training.checkpoints import read_record

    if out.suffix != ".safetensors":  # a checkpoint itself, above all
        raise InputError(f"--out {out}: the file must end in .safetensors.")
    record, state = read_record(checkpoint)
    write(out, state, record, stored)
    say(f"{out}: {out.stat().st_size:,} bytes")


def _command(context: click.Context) -> str:
    """Return the command that goes on where this one was stopped."""
    from fhpt_eval.weights import folder

    words = ["fhpt-eval", "drn", "train"]
    if "WORLD_SIZE" in os.environ:
        each = os.environ.get("LOCAL_WORLD_SIZE", os.environ["WORLD_SIZE"])
        words = ["torchrun", "--nproc-per-node", each, "-m", "fhpt_eval", "drn", "train"]
    for parameter in context.command.params:
        name = parameter.name or ""
        typed = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if not typed or name == "resume":
            continue
        # Where weights lie is no value of the command's; it was set for the time of it.
        value = folder() if name == "weights_dir" else context.params[name]
        words += [parameter.opts[0], *([] if value is True else [str(value)])]
    return shlex.join([*words, "--resume"])


def _set_up(threads: int) -> None:
    """Set this process's threads, and let a GPU try out how best to compute the one shape."""
    import torch

    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = False  # float32 is to mean float32
