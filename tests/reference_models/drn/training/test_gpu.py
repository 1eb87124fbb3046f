"""Training and drawing on a GPU, in each way that a step can be computed there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from fhpt_eval.common.progress import Progress
from fhpt_eval.reference_models.drn.data.batches import Batches, open_pixels
from fhpt_eval.reference_models.drn.data.inputs import to_inputs, to_unit
from fhpt_eval.reference_models.drn.data.pairs import PairSet, read_data
from fhpt_eval.reference_models.drn.generate import generate
from fhpt_eval.reference_models.drn.training.checkpoints import load_checkpoint, load_model
from fhpt_eval.reference_models.drn.training.distributed import World
from fhpt_eval.reference_models.drn.training.plan import Plan
from fhpt_eval.reference_models.drn.training.schedule import pairs_at
from fhpt_eval.reference_models.drn.training.train import train
from fhpt_eval.reference_models.drn.training.trainer import Trainer
from tests.support.drn import ALL, CPU, configuration, training_pairs
from tests.support.drn_training import gradient, likeness

CUDA = torch.device("cuda")

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


PARTS = pytest.mark.parametrize("more", [{}, ALL], ids=["the paper", "all"])


@pytest.fixture(autouse=True)
def _whole_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the command line sets it: else convolutions round to 10 bits."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture(scope="module")
def data(folder: Path) -> PairSet:
    return training_pairs(folder)


def losses(out: Path) -> list[float]:
    return [float(row.split(",")[3]) for row in (out / "log.csv").read_text().splitlines()[1:]]


@PARTS
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"channels_last": True},
        {"precision": "bfloat16", "channels_last": True},
        {"precision": "bfloat16", "compile": True},
    ],
    ids=["plain", "channels last", "bfloat16", "compiled"],
)
def test_losses_are_those_of_a_cpu(
    options: dict[str, Any], more: dict[str, Any], data: PairSet, tmp_path: Path
) -> None:
    for name, device, settings in (
        ("cpu", CPU, configuration(**more)),
        ("gpu", CUDA, configuration(**more, **options)),
    ):
        train(Plan(settings, tmp_path / name, 10, log_every=1), data, device)
    cpu, gpu = losses(tmp_path / "cpu"), losses(tmp_path / "gpu")
    # bfloat16 has 8 bits; ten small steps drift apart only slowly.
    assert gpu == pytest.approx(cpu, rel=0.05 if options.get("precision") else 0.01)


@PARTS
@pytest.mark.parametrize(
    "options",
    [{}, {"precision": "bfloat16", "channels_last": True}, {"compile": True}],
    ids=["plain", "bfloat16", "compiled"],
)
def test_gradients_are_those_of_a_cpu(
    options: dict[str, Any], more: dict[str, Any], data: PairSet
) -> None:
    with ThreadPoolExecutor(1) as pool:
        pixels = open_pixels(data.people, 32, 24, device=CPU, pool=pool, progress=Progress())
    batch = Batches(data, pixels, 32, 24)(pairs_at(0, len(data), configuration().training))
    found = []
    for device, settings in (
        (CPU, configuration(**more)),
        (CUDA, configuration(**more, **options)),
    ):
        trainer = Trainer(settings, device, World())
        there = batch.to(device)
        assert there.target is not None
        trainer.step(10, to_inputs(there, 2.0, 16), to_unit(there.target))
        parts = (trainer.model, trainer.discriminators)
        found.append([gradient(part).cpu() for part in parts])
    for cpu, gpu in zip(*found, strict=True):
        assert likeness(cpu, gpu) > (0.95 if options.get("precision") else 0.999)


def test_a_training_goes_on_from_cpu_to_gpu_and_back(data: PairSet, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for stop, device in ((5, CPU), (9, torch.device("cuda")), (12, CPU)):
        train(Plan(configuration(), out, stop, resume=True, sample_every=0), data, device)
    assert load_checkpoint(out / "checkpoint.pt").step == 12


@PARTS
def test_it_draws_what_a_cpu_draws(
    more: dict[str, Any], folder: Path, data: PairSet, tmp_path: Path
) -> None:
    import numpy as np
    from PIL import Image

    train(Plan(configuration(**more), tmp_path / "out", 3, sample_every=0), data, CPU)
    test = read_data(folder, "test", targets=False)
    for device in ("cpu", "cuda"):
        loaded = load_model(tmp_path / "out" / "weights.safetensors", torch.device(device))
        generate(loaded, test, tmp_path / device, device=torch.device(device))
    for path in (tmp_path / "cpu").glob("*.png"):
        with Image.open(path) as one, Image.open(tmp_path / "cuda" / path.name) as other:
            difference = np.abs(np.asarray(one, int) - np.asarray(other, int)).max()
        assert difference <= 2  # a rounding, carried through the resize
