"""Weights that are missing, damaged or hostile: ``run`` has a message, and no number."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.command import Finished, fhpt_eval
from tests.support.photographs import PairFolders
from tests.support.random_trunks import seeded_state

Maker = Callable[..., PairFolders]

ADDRESS = "https://127.0.0.1:9/toy.pth"  # the port of a service that discards: nobody listens


class Trap:
    """Writes a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@dataclass(frozen=True)
class Lab:
    """A folder of weights whose registry has a small network, and a protocol that wants it."""

    weights: Path
    protocol: Path
    pairs: PairFolders
    out: Path

    @property
    def file(self) -> Path:
        """Where the network's file should lie."""
        return self.weights / "toy.pth"

    def run(self, *arguments: str) -> Finished:
        """Score with the protocol."""
        return fhpt_eval(
            "run", "--pred", self.pairs.generated, "--gt", self.pairs.ground_truth, "--protocol",
            self.protocol, "--weights-dir", self.weights, "--out", self.out, *arguments,
        )  # fmt: skip

    def scores(self) -> dict[str, Any]:
        """Read the scores of the last run."""
        scores: dict[str, Any] = json.loads((self.out / "result.json").read_text())["scores"]
        return scores


@pytest.fixture(scope="module")
def sound() -> bytes:
    """The bytes of a sound file of weights."""
    stream = io.BytesIO()
    torch.save(seeded_state("squeeze"), stream)
    return stream.getvalue()


@pytest.fixture
def lab(tmp_path: Path, make_pairs: Maker, sound: bytes) -> Lab:
    made = Lab(tmp_path / "weights", tmp_path / "lab.toml", make_pairs(4), tmp_path / "out")
    made.weights.mkdir()
    register(made, sound)
    made.protocol.write_text(
        'id = "lab"\n[metrics.psnr]\n[metrics.lpips]\n'
        'network = "squeeze"\nnetwork_weights = "toy"\n'
    )
    return made


def register(lab: Lab, content: bytes) -> None:
    digest = hashlib.sha256(content).hexdigest()
    (lab.weights / "registry.toml").write_text(
        'schema_version = 1\n[weights.toy]\nfile = "toy.pth"\nlicence = "ours"\n'
        f'addresses = ["{ADDRESS}"]\nsha256 = "{digest}"\nsize = {len(content)}\n'
    )


def refused(lab: Lab, message: str) -> None:
    """Check that there is no number: unavailable beside others, and an error when asked for."""
    finished = lab.run()
    assert finished.status == 3
    assert "Traceback" not in finished.err
    scores = lab.scores()
    assert scores["psnr"]["value"] is not None
    assert scores["lpips"]["value"] is None
    assert message in scores["lpips"]["reason"]
    assert message in finished.err
    (lab.out / "result.json").unlink()
    finished = lab.run("--metrics", "lpips")
    assert finished.status == 2
    assert message in finished.err
    assert "Nothing was scored" in finished.err
    assert not (lab.out / "result.json").exists()


def test_sound_weights_give_a_number(lab: Lab, sound: bytes) -> None:
    lab.file.write_bytes(sound)
    assert lab.run().status == 0
    assert lab.scores()["lpips"]["value"] > 0


def test_weights_that_are_not_there_name_the_command_that_brings_them(lab: Lab) -> None:
    refused(lab, "fhpt-eval weights pull toy --weights-dir")


def test_a_truncated_file_is_no_weights(lab: Lab, sound: bytes) -> None:
    lab.file.write_bytes(sound[: len(sound) // 2])
    refused(lab, f"has {len(sound) // 2:,} bytes and should have {len(sound):,}")


def test_a_file_of_the_right_size_and_wrong_bytes_is_told_by_both_digests(lab: Lab) -> None:
    stream = io.BytesIO()
    torch.save(seeded_state("squeeze", seed=1), stream)  # that no other test has loaded
    content = stream.getvalue()
    register(lab, content)
    wrong = content[:-1] + bytes([content[-1] ^ 1])
    lab.file.write_bytes(wrong)
    refused(lab, hashlib.sha256(wrong).hexdigest())
    assert hashlib.sha256(content).hexdigest() in lab.run("--metrics", "lpips").err


def test_a_half_finished_download_is_not_taken_for_the_file(lab: Lab, sound: bytes) -> None:
    lab.file.with_suffix(".pth.part").write_bytes(sound)
    refused(lab, "fhpt-eval weights pull toy")


@pytest.mark.parametrize("registered", [True, False], ids=["registered", "named by path"])
def test_a_pickle_that_would_execute_code_does_not(
    lab: Lab, tmp_path: Path, registered: bool
) -> None:
    trace = tmp_path / "trace"
    content = pickle.dumps(Trap(trace))
    if registered:
        register(lab, content)
        lab.file.write_bytes(content)
    else:
        own = tmp_path / "own.pth"
        own.write_bytes(content)
        text = lab.protocol.read_text()
        lab.protocol.write_text(text.replace('"toy"', f'"{own}"'))
    refused(lab, "nothing is executed")
    assert not trace.exists()


def test_weights_of_another_network_are_told_by_their_names(lab: Lab) -> None:
    stream = io.BytesIO()
    torch.save({"some.weight": torch.zeros(3)}, stream)
    register(lab, stream.getvalue())
    lab.file.write_bytes(stream.getvalue())
    refused(lab, "missing: features.0.weight, features.0.bias")


def test_without_a_network_pull_says_what_it_tried(lab: Lab) -> None:
    finished = fhpt_eval("weights", "pull", "toy", "--weights-dir", lab.weights)
    assert finished.status == 2
    assert ADDRESS in finished.err
    assert "Traceback" not in finished.err
    refused(lab, "fhpt-eval weights pull toy")
