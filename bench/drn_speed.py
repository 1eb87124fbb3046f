"""Time training steps and drawing of a configuration in each way to compute them, side by side.

    python -m bench.drn_speed [CONFIGURATION] [--device D] [--batch N] [--threads N]

Images are noise that lies on the device: what is timed is the networks, not the disk. Each figure
is the best of some rounds, in which the ways take turns, so that what else a machine does meets
them alike.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch

from fhpt_eval.reference_models.drn.configuration import Configuration, load_configuration
from fhpt_eval.reference_models.drn.data.inputs import Batch, to_bytes, to_inputs, to_unit
from fhpt_eval.reference_models.drn.training.distributed import World
from fhpt_eval.reference_models.drn.training.trainer import Trainer

WAYS: dict[str, dict[str, Any]] = {
    "float32": {},
    "float32, channels last": {"channels_last": True},
    "float32, compiled": {"compile": True},
    "bfloat16": {"precision": "bfloat16"},
    "bfloat16, channels last": {"precision": "bfloat16", "channels_last": True},
    "bfloat16, compiled": {"precision": "bfloat16", "compile": True},
    "bfloat16, channels last, compiled": {
        "precision": "bfloat16", "channels_last": True, "compile": True,
    },
}  # fmt: skip
#: What is timed of each way, in the order of the table's columns.
WORK = ("coarse step", "fine step", "adversarial step", "drawing")
_ROUNDS = 3

Work = Callable[[], object]


def noise(configuration: Configuration, batch: int, device: torch.device) -> Batch:
    """Return pairs of noise with a face each."""
    generator = torch.Generator().manual_seed(0)
    height, width = configuration.height, configuration.width
    images = torch.randint(
        0, 256, (2, batch, 3, height, width), generator=generator, dtype=torch.uint8
    )
    sides = torch.tensor([width, height])
    points = torch.rand(2, batch, 18, 2, generator=generator) * sides
    box = torch.tensor([0.3, 0.1, 0.7, 0.4]) * sides.repeat(2)
    boxes = box.repeat(batch, 1)
    return Batch(images[0], images[1], points[0], points[1], boxes, boxes).to(device)


def work_in(configuration: Configuration) -> list[str]:
    """Return what there is to time of a configuration, of :data:`WORK`."""
    idle = set()
    if configuration.training.pose_branch_stays:
        idle.add("coarse step")
    if not configuration.loss.adversarial:
        idle.add("adversarial step")
    return [name for name in WORK if name not in idle]


def with_stages(configuration: Configuration, options: dict[str, Any]) -> Configuration:
    """Return the configuration, computed in one of the ways, with one step in each stage."""
    coarse = 0 if configuration.training.pose_branch_stays else 1
    stages = {"steps": 3, "coarse_steps": coarse, "adversarial_from": 2, "precision": "float32"}
    training = configuration.training.model_copy(update=stages | options)
    # Weights of a pretrained network need not be there, and take a time that is not the model's.
    loss = configuration.loss.model_copy(update={"perceptual_network": "random"})
    return configuration.model_copy(update={"training": training, "loss": loss})


def work_of(name: str, configuration: Configuration, device: torch.device, batch: int) -> Work:
    """Return what is to be timed, by its name in :data:`WORK`, with networks of its own.

    Of its own, as a stage changes which parameters want gradients, and a compiled network would be
    compiled anew at each change.
    """
    last = configuration.training.channels_last
    pairs = noise(configuration, batch, device)
    sigma, face = configuration.heatmap_sigma, configuration.model.face_size
    trainer = Trainer(configuration, device, World())

    def step() -> object:
        assert pairs.target is not None
        inputs = to_inputs(pairs, sigma, face).to(device, channels_last=last)
        targets = to_unit(pairs.target)
        if last:
            targets = targets.contiguous(memory_format=torch.channels_last)
        return trainer.step(WORK.index(name), inputs, targets)

    def draw() -> object:
        inputs = to_inputs(pairs, sigma, face).to(device, channels_last=last)
        with torch.inference_mode(), trainer.autocast():
            return to_bytes(trainer.model(inputs).final)

    if name != "drawing":
        return step
    trainer.model.eval().requires_grad_(False)
    return draw


def per_second(work: Work, images: int, device: torch.device) -> float:
    """Return images per second over at least a second."""
    start, times = time.perf_counter(), 0
    while time.perf_counter() - start < 1:
        for _ in range(4):
            work()
        times += 4
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    return times * images / (time.perf_counter() - start)


def measure(
    name: str, configuration: Configuration, device: torch.device, batch: int
) -> list[float]:
    """Return images per second of one kind of work, in each way."""
    torch._dynamo.reset()  # else a network that is compiled once more often is not compiled at all
    works = [
        work_of(name, with_stages(configuration, options), device, batch)
        for options in WAYS.values()
    ]
    for work in works:
        for _ in range(3):  # compiles, and lets cuDNN try out
            work()
    best = [0.0] * len(works)
    for _ in range(_ROUNDS):
        rates = [per_second(work, batch, device) for work in works]
        best = [max(pair) for pair in zip(best, rates, strict=True)]
    return best


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("configuration", nargs="?", default="drn-256")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, help="[default: the configuration's]")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = False
    configuration = load_configuration(given.configuration)
    device, batch = torch.device(given.device), given.batch or configuration.training.batch_size
    name = f"CPU, {given.threads} threads"
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    works = work_in(configuration)
    print(
        f"{configuration.name}, batch {batch}, {name}, torch {torch.__version__}; images per "
        f"second\n\n| | {' | '.join(works)} |\n| --- |{' ---: |' * len(works)}"
    )
    columns = [measure(name, configuration, device, batch) for name in works]
    for title, rates in zip(WAYS, zip(*columns, strict=True), strict=True):
        pairs = zip(rates, (column[0] for column in columns), strict=True)
        cells = [f"{rate:.1f} ({rate / base:.2f}x)" for rate, base in pairs]
        print(f"| {title} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
