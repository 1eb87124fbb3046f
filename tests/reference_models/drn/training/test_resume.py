"""Twenty steps equal ten, a kill, and ten more: to the bit, on a CPU."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from fhpt_eval.common.training import write_checkpoint
from fhpt_eval.errors import InputError, WeightsError
from fhpt_eval.reference_models.drn.training.checkpoints import (
    CHECKPOINT_KIND,
    load_checkpoint,
    read_record,
)
from fhpt_eval.reference_models.drn.training.plan import Plan
from fhpt_eval.reference_models.drn.training.train import train
from tests.support.command import fhpt_eval
from tests.support.drn import (
    ALL,
    CPU,
    configuration,
    draw_folder,
    toml_of,
    training_pairs,
)
from tests.support.drn_training import equal

PARTS = ("model", "discriminators", "generator_optimiser", "discriminator_optimiser")


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training whose twenty steps were done in one go."""
    out = tmp_path_factory.mktemp("whole") / "out"
    train(Plan(configuration(**ALL), out, 20, sample_every=0), training_pairs(folder), CPU)
    return out


def command(folder: Path, out: Path) -> list[str]:
    """Return the command that trains for twenty steps, with a checkpoint every ten."""
    config = out.parent / "small.toml"
    config.write_text(toml_of(configuration(**ALL)))
    return [
        sys.executable, "-m", "fhpt_eval", "drn", "train", "--data", str(folder), "--config",
        str(config), "--out", str(out), "--device", "cpu", "--threads", "1",
        "--checkpoint-every", "10", "--sample-every", "0", "--log-every", "5", "--resume",
    ]  # fmt: skip


def assert_equal_to_the_bit(one: Path, other: Path) -> None:
    first, second = load_checkpoint(one / "checkpoint.pt"), load_checkpoint(other / "checkpoint.pt")
    assert first.step == second.step == 20
    for part in PARTS:
        assert equal(first.state[part], second.state[part]), part


def test_twenty_steps_equal_ten_a_kill_and_ten_more(
    whole: Path, folder: Path, tmp_path: Path
) -> None:
    killed = tmp_path / "killed"
    process = subprocess.Popen(command(folder, killed), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not (killed / "checkpoint.pt").exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert load_checkpoint(killed / "checkpoint.pt").step == 10
    again = fhpt_eval(*command(folder, killed)[3:])
    assert again.status == 0, again.err
    assert "Going on after step 10" in again.err
    assert_equal_to_the_bit(killed, whole)
    rows = (killed / "log.csv").read_text().splitlines()
    assert [row.partition(",")[0] for row in rows] == ["step", "5", "10", "15", "20"]


def test_wherever_it_is_stopped_the_end_is_the_same(
    whole: Path, folder: Path, tmp_path: Path
) -> None:
    data = training_pairs(folder)
    # Where the fine stage begins, one step behind where the adversarial loss sets in, the end.
    for stop in (4, 8, 20):
        torch.manual_seed(stop)  # whatever else draws random numbers in between
        plan = Plan(configuration(**ALL), tmp_path / "parts", stop, resume=True, sample_every=0)
        train(plan, data, CPU)
    assert_equal_to_the_bit(tmp_path / "parts", whole)


def test_another_configuration_or_other_data_are_refused(folder: Path, tmp_path: Path) -> None:
    data = training_pairs(folder)
    out = tmp_path / "out"
    train(Plan(configuration(), out, 2, sample_every=0), data, CPU)
    other = configuration(learning_rate=2e-3)
    with pytest.raises(InputError, match=r"training\.learning_rate is 0\.001 there and 0\.002"):
        train(Plan(other, out, 4, resume=True, sample_every=0), data, CPU)
    fewer = training_pairs(draw_folder(tmp_path / "other", identities=3))
    with pytest.raises(InputError, match="was trained on other data"):
        train(Plan(configuration(), out, 4, resume=True, sample_every=0), fewer, CPU)


def test_a_finished_training_is_left_as_it_is(folder: Path, tmp_path: Path) -> None:
    data = training_pairs(folder)
    plan = Plan(configuration(), tmp_path / "out", 4, resume=True, sample_every=0)
    train(plan, data, CPU)
    before = (tmp_path / "out" / "checkpoint.pt").read_bytes()
    (tmp_path / "out" / "weights.safetensors").unlink()
    assert train(plan, data, CPU).steps == 4
    assert (tmp_path / "out" / "checkpoint.pt").read_bytes() == before
    record, _ = read_record(tmp_path / "out" / "weights.safetensors")
    assert record.seconds > 0
    other = Plan(configuration(precision="bfloat16"), tmp_path / "out", 4, resume=True)
    assert train(other, data, CPU) == record  # as nothing was computed in this precision
    assert read_record(tmp_path / "out" / "weights.safetensors")[0] == record


def test_an_optimisers_state_of_other_shapes_is_told(folder: Path, tmp_path: Path) -> None:
    data, path = training_pairs(folder), tmp_path / "out" / "checkpoint.pt"
    train(Plan(configuration(), path.parent, 2, sample_every=0), data, CPU)
    checkpoint = load_checkpoint(path)
    next(iter(checkpoint.state["generator_optimiser"]["state"].values()))["exp_avg"] = torch.zeros(
        7
    )
    write_checkpoint(path, CHECKPOINT_KIND, checkpoint)
    with pytest.raises(WeightsError, match=r"does not fit.*exp_avg is \(7,\) for a parameter of"):
        train(Plan(configuration(), path.parent, 4, resume=True, sample_every=0), data, CPU)
