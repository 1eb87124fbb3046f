"""``fhpt-eval benchmark mannequin train-...``: train the small networks of the benchmark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fhpt_eval.cli import options
from fhpt_eval.cli.screen import say

if TYPE_CHECKING:
    import torch

    from fhpt_eval.benchmarks.mannequin.training.pictures import Pictures
    from fhpt_eval.common.progress import Progress
    from fhpt_eval.common.validation import CheckedSettings

#: The items and the seed are those that the shipped networks have learnt from.
_COMMON = (
    options.path(
        "--out", "DIR", "The folder of this training; the same command goes on in it.",
        required=True,
    ),
    options.path(
        "--pictures", "DIR",
        "Where pictures are, or are drawn to; 135 kB each.  [default: DIR/pictures]",
    ),
    options.number(
        "--items", "Items of the train split to learn from, in eight pictures each.", default=2000
    ),
    options.number("--pictures-seed", "Of the people who are drawn.", default=2026, metavar="S"),
    options.number("--seed", "Of the training.", metavar="S"),
    options.number(
        "--threads",
        "Of torch. Another number adds in another order, and gives other last bits.",
        1, 256, default=1,
    ),
    options.device,
    options.number(
        "--workers", "Processes that draw pictures.  [default: the number of cores]", 1, 256
    ),
)  # fmt: skip


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_COMMON):
        command = option(command)
    return command


@click.command("train-garments")
@_common
@options.number("--steps", "Steps.")
def train_garments(**values: Any) -> int:
    """Train the network of fid, is, lpips and retrieval; half an hour on one core.

    \b
    fhpt-eval benchmark mannequin train-garments --out runs/garments
    """
    from fhpt_eval.benchmarks.mannequin.training.garments import GarmentSettings, train

    return _train(train, GarmentSettings, values)


@click.command("train-pose")
@_common
@options.number("--steps", "Steps.")
def train_pose(**values: Any) -> int:
    """Train the network of joints; half an hour on one core.

    \b
    fhpt-eval benchmark mannequin train-pose --out runs/pose
    """
    from fhpt_eval.benchmarks.mannequin.training.pose import PoseSettings, train

    return _train(train, PoseSettings, values)


@click.command("train-faces")
@_common
@options.number("--finder-steps", "Steps of the network that finds a face.")
@options.number("--descriptor-steps", "Steps of the network that describes it.")
@options.number("--held-out", "People no step sees, to measure on.")
def train_faces(**values: Any) -> int:
    """Train the networks of face_identity; an hour on one core.

    \b
    fhpt-eval benchmark mannequin train-faces --out runs/faces
    """
    from fhpt_eval.benchmarks.mannequin.training.faces import FaceSettings, train

    return _train(train, FaceSettings, values)


def _train(
    train: Callable[[Pictures, Path, Any, torch.device, Progress], Path],
    kind: type[CheckedSettings],
    values: dict[str, Any],
) -> int:
    """Draw the pictures, train with the settings that were typed, and return the exit status."""
    import torch

    from fhpt_eval.benchmarks.mannequin.training.pictures import PictureSettings, load_pictures
    from fhpt_eval.cli.show import TerminalProgress
    from fhpt_eval.common.machine import available_cores, choose_device
    from fhpt_eval.common.training import Stopped

    progress = TerminalProgress()
    typed = {name: values[name] for name in kind.model_fields if values.get(name) is not None}
    settings = kind(**typed)
    wanted = PictureSettings(items=values["items"], seed=values["pictures_seed"])
    device = torch.device(choose_device(values["device"]))
    folder = values["pictures"] or values["out"] / "pictures"
    progress.say(f"{wanted.items * 8:,} pictures in {folder}")
    pictures = load_pictures(folder, wanted, values["workers"] or available_cores())
    torch.set_num_threads(values["threads"])
    try:
        path = train(pictures, values["out"], settings, device, progress)
    except Stopped as stopped:
        say(f"{stopped} The same command goes on.", err=True)
        return 128 + stopped.signal
    say(path)
    return 0
