"""Time training steps and drawing of a configuration in each way to compute them, side by side.

    python -m bench.drn_speed [CONFIGURATION] [DEVICE] [BATCH]

Images are noise that lies on the device: what is timed is the networks, not the disk. On a CPU
without CUDA only the ways that need no compiler are timed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from fhpt_eval.reference_models.drn.assembly import Batch, to_bytes, to_inputs, to_targets
from fhpt_eval.reference_models.drn.configuration import Configuration, load_configuration
from fhpt_eval.reference_models.drn.distributed import World
from fhpt_eval.reference_models.drn.trainer import Trainer

WAYS: dict[str, dict[str, Any]] = {
    "float32": {},
    "float32, channels last": {"channels_last": True},
    "bfloat16": {"precision": "bfloat16"},
    "bfloat16, channels last": {"precision": "bfloat16", "channels_last": True},
    "float32, compiled": {"compile": True},
    "bfloat16, channels last, compiled": {
        "precision": "bfloat16", "channels_last": True, "compile": True,
    },
}  # fmt: skip


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


def per_second(work: Callable[[int], object], images: int, device: torch.device) -> float:
    """Return images per second: the best of three rounds of at least a second, after warming up."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    for number in range(3):
        work(number)
    wait()
    best = 0.0
    for _ in range(3):
        start, times = time.perf_counter(), 0
        while time.perf_counter() - start < 1:
            for _ in range(4):
                work(times)
                times += 1
            wait()
        best = max(best, times * images / (time.perf_counter() - start))
    return best


def measure(configuration: Configuration, device: torch.device, batch: int) -> tuple[float, ...]:
    """Return images per second of a coarse step, of a full step, and of drawing."""
    settings = configuration.training
    trainer = Trainer(configuration, device, World())
    pairs = noise(configuration, batch, device)
    full = max(settings.coarse_steps, settings.adversarial_from)
    sigma, face = configuration.heatmap_sigma, configuration.model.face_size

    def step(first: int) -> Callable[[int], object]:
        def work(number: int) -> object:
            last = settings.channels_last
            inputs = to_inputs(pairs, sigma, face).to(device, channels_last=last)
            targets = to_targets(pairs).to(device, channels_last=last)
            return trainer.step(first + number % 100, inputs, targets)

        return work

    def draw(_: int) -> object:
        inputs = to_inputs(pairs, sigma, face).to(device, channels_last=settings.channels_last)
        with torch.inference_mode(), trainer.autocast():
            return to_bytes(trainer.model(inputs).final)

    rates = [per_second(step(0), batch, device), per_second(step(full), batch, device)]
    trainer.model.eval().requires_grad_(False)
    return (*rates, per_second(draw, batch, device))


def main() -> None:
    """Print a table."""
    given = (
        sys.argv[1:]
        + ["drn-256", "cuda" if torch.cuda.is_available() else "cpu", ""][len(sys.argv) - 1 :]
    )
    configuration = load_configuration(given[0])
    loss = configuration.loss.model_copy(update={"perceptual_network": "random"})
    device, batch = torch.device(given[1]), int(given[2] or configuration.training.batch_size)
    torch.backends.cudnn.benchmark = True
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(
        f"{configuration.name}, batch {batch}, {name}, torch {torch.__version__}; images per second"
    )
    print(f"{'':36}{'coarse step':>12}{'full step':>12}{'drawing':>12}")
    first: tuple[float, ...] = ()
    for title, options in WAYS.items():
        if options.get("compile") and device.type != "cuda":
            continue
        training = configuration.training.model_copy(update=options)
        changed = configuration.model_copy(update={"training": training, "loss": loss})
        rates = measure(changed, device, batch)
        first = first or rates
        cells = [f"{rate:7.1f}{rate / base:4.1f}x" for rate, base in zip(rates, first, strict=True)]
        print(f"{title:36}{''.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
