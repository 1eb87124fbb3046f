"""Two processes with half of the batch each train as one with the whole batch does."""

from __future__ import annotations

import csv
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fhpt_eval.errors import InputError
from fhpt_eval.reference_models.drn.training.checkpoints import load_checkpoint
from fhpt_eval.reference_models.drn.training.distributed import World, joined
from fhpt_eval.reference_models.drn.training.plan import Plan
from fhpt_eval.reference_models.drn.training.train import train
from fhpt_eval.reference_models.drn.training.trainer import LOSSES, Trainer
from tests.support.drn import (
    ALL,
    CPU,
    configuration,
    draw_folder,
    toml_of,
    training_pairs,
)

#: One of the branch alone, one of everything, and two with discriminators.
STEPS = 4
#: All there is, but for the loss whose windows each process draws for itself.
ONE = configuration(
    **ALL | {"loss": {"summary": 1.0}}, steps=STEPS, coarse_steps=1, adversarial_from=2
)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def start(folder: Path, out: Path, rank: int, port: int) -> subprocess.Popen[str]:
    """Start one of two processes, as torchrun does."""
    config = out.parent / "small.toml"
    environment = os.environ | {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    return subprocess.Popen(
        [
            sys.executable, "-m", "fhpt_eval", "drn", "train", "--data", str(folder), "--config",
            str(config), "--out", str(out), "--device", "cpu", "--threads", "1",
            "--log-every", "1", "--sample-every", "0",
        ],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def flat(state: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([one.flatten() for one in state.values()])


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "log.csv").open() as file:
        return list(csv.DictReader(file))


def test_two_processes_give_the_losses_and_weights_of_one(tmp_path: Path) -> None:
    folder = draw_folder(tmp_path / "data", identities=2)
    (tmp_path / "small.toml").write_text(toml_of(ONE))
    port = free_port()
    both = [start(folder, tmp_path / "two", rank, port) for rank in range(2)]
    told = [process.communicate(timeout=240) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert "step 4 of 4" in told[0][1]
    assert "step" not in told[1][1]  # only process 0 talks and writes
    assert told[1][0] == ""
    plan = Plan(ONE, tmp_path / "one", STEPS, log_every=1, sample_every=0)
    train(plan, training_pairs(folder), CPU)

    for one, two in zip(rows(tmp_path / "one"), rows(tmp_path / "two"), strict=True):
        for name in LOSSES:
            wanted = float(one[name] or "nan")
            # float32, added up in another order; the steps carry that on.
            assert float(two[name] or "nan") == pytest.approx(wanted, rel=1e-3, nan_ok=True), name
    first, second = (load_checkpoint(tmp_path / n / "checkpoint.pt") for n in ("one", "two"))
    assert second.about["device"] == "2 x cpu"
    start_of = Trainer(ONE, CPU, World())
    for part in ("model", "discriminators"):
        begun = flat(getattr(start_of, part).state_dict())
        ways = [flat(one.state[part]) - begun for one in (first, second)]
        apart, gone = ((ways[0] - ways[1]).norm().item(), ways[0].norm().item())
        assert apart < 0.02 * gone, part  # of the way that the weights have gone


def test_without_torchrun_this_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined("cpu") as (world, device):
        assert (world, device) == (World(), CPU)
        assert world.leads
        assert world.part(7) == slice(0, 7)
        value = torch.ones(3)
        assert world.mean(value).equal(value)
        assert world.largest(5, device) == 5


def test_a_half_set_environment_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(InputError, match="start the processes with torchrun"), joined("cpu"):
        pass


def test_an_environment_without_a_meeting_place_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As some launchers of clusters leave it."""
    place = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}
    for key, value in place.items():
        monkeypatch.setenv(key, value)
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    message = r"2 processes cannot find each other .*MASTER_ADDR.* start them with torchrun"
    with pytest.raises(InputError, match=message), joined("cpu"):
        pass


def test_an_error_of_the_leading_process_is_everybodys() -> None:
    with pytest.raises(InputError, match="refused"):
        World().of_leader(InputError("refused"))


def test_parts_of_a_batch_make_up_the_whole() -> None:
    parts = [World(rank=rank, size=4).part(12) for rank in range(4)]
    assert [(p.start, p.stop) for p in parts] == [(0, 3), (3, 6), (6, 9), (9, 12)]
