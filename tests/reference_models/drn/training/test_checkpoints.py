"""Checkpoints and weights: what they hold, what is refused; nothing in them is executed."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from fhpt_eval.common.training import Checkpoint, write_checkpoint
from fhpt_eval.errors import InputError, StorageError, WeightsError
from fhpt_eval.reference_models.drn.training.checkpoints import (
    CHECKPOINT_KIND,
    Record,
    check_same,
    export,
    load_checkpoint,
    load_model,
    read_record,
    tensors_digest,
)
from fhpt_eval.reference_models.drn.training.distributed import World
from fhpt_eval.reference_models.drn.training.trainer import Trainer
from tests.support.drn import CPU, configuration
from tests.support.drn_training import equal

RECORD = Record(
    configuration=configuration(), steps=12, data_digest="d" * 64,
    perceptual={"network": "random"}, seconds=34.5, device="cpu",
)  # fmt: skip


def checkpoint() -> Checkpoint:
    """Return a checkpoint of a model that has been trained for no step."""
    state = Trainer(RECORD.configuration, CPU, World()).state()
    return Checkpoint(RECORD.values(), RECORD.steps, RECORD.seconds, state)


def model() -> dict[str, torch.Tensor]:
    """Return the tensors of such a model."""
    return dict(checkpoint().state["model"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoint.pt"
    write_checkpoint(path, CHECKPOINT_KIND, checkpoint())
    return path


def test_a_checkpoint_comes_back_as_it_was(path: Path) -> None:
    back, wanted = load_checkpoint(path), checkpoint()
    assert Record.of_checkpoint(back, "it") == RECORD
    assert equal(back.state, {name: dict(part) for name, part in wanted.state.items()})


def test_only_tensors_and_plain_values_are_read(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "executed"),)

    path = tmp_path / "checkpoint.pt"
    for write in (torch.save, lambda value, file: file.write_bytes(pickle.dumps(value))):
        write({"format": Hostile()}, path)
        with pytest.raises(WeightsError, match="cannot be read as a checkpoint"):
            load_checkpoint(path)
    assert not (tmp_path / "executed").exists()


def test_a_truncated_checkpoint_is_told(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(WeightsError, match="cannot be read as a checkpoint"):
        load_checkpoint(path)


def test_another_pytorch_file_is_told(tmp_path: Path) -> None:
    for content in ({"weight": torch.zeros(2)}, [1, 2]):
        torch.save(content, tmp_path / "network.pt")
        with pytest.raises(WeightsError, match="is no checkpoint of this kind"):
            load_checkpoint(tmp_path / "network.pt")


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("format_version", 99, "format version 99"),
        ("state", None, "damaged checkpoint: state"),
        ("step", "many", "damaged checkpoint: step"),
        ("step", -5, "its record is damaged: record.steps"),
        ("about.configuration", {"name": "small", "heigth": 3}, "heigth.*Did you mean 'height'"),
        ("about.start", {"weights": torch.zeros(2)}, "its record is damaged"),
        ("about.start", {"weights": "\x1b[31m"}, "record.start.weights: .* cannot be printed"),
        ("about.start", ["weights"], "record.start: "),
        ("about.device", "\x1b[31mcpu", "record.device: .* cannot be printed"),
        ("about.perceptual", {"network": 3}, "record.perceptual.network: "),
        ("state.model", None, "its model holds no tensors"),
        ("state.model", {1: torch.zeros(2)}, "its model holds no tensors"),
        ("state.model", {"a": torch.zeros(2, device="meta")}, "damaged checkpoint: its tensors"),
    ],
)
def test_damage_is_told_by_its_place(place: str, value: object, words: str, path: Path) -> None:
    content = torch.load(path, weights_only=True)
    part, _, key = place.rpartition(".")
    (content[part] if part else content)[key] = value
    torch.save(content, path)
    with pytest.raises(WeightsError, match=words):
        read_record(path)


def test_a_full_disk_leaves_the_checkpoint_before(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="disk is full"):
        write_checkpoint(path, CHECKPOINT_KIND, checkpoint())
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_settings_that_differ_are_named_with_both_values(tmp_path: Path) -> None:
    other = configuration({"blocks": 2}, seed=5)
    both = r"another configuration: model\.blocks is 1 there and 2 here; training\.seed is 0 there"
    with pytest.raises(InputError, match=both):
        check_same(RECORD, other, RECORD.data_digest, tmp_path)


def test_how_a_step_is_computed_may_differ(tmp_path: Path) -> None:
    other = configuration(precision="bfloat16", channels_last=True, compile=True)
    check_same(RECORD, other.model_copy(update={"name": "mine"}), RECORD.data_digest, tmp_path)


def test_other_data_are_refused_by_their_digest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"dddddddddddd\.\.\. there and eeeeeeeeeeee\.\.\. here"):
        check_same(RECORD, RECORD.configuration, "e" * 64, tmp_path)


def test_exported_weights_have_their_record_and_the_models_tensors(tmp_path: Path) -> None:
    state = model()
    path = tmp_path / "weights.safetensors"
    export(path, state, RECORD, "float32")
    record, back = read_record(path)
    assert record == RECORD
    assert equal(dict(sorted(back.items())), dict(sorted(state.items())))


def test_weights_and_checkpoint_are_the_same_model(path: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    export(weights, model(), RECORD, "float32")
    one, other = load_model(path, CPU), load_model(weights, CPU)
    assert one.digest == other.digest == tensors_digest(model())
    assert not one.model.training
    assert equal(dict(one.model.state_dict()), dict(other.model.state_dict()))


def test_half_as_large_weights_are_read_as_float32(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    state = model()
    export(path, state, RECORD, "float16")
    _, back = read_record(path)
    for name, one in state.items():
        assert back[name].dtype == torch.float32, name
        assert back[name].equal(one.half().float()), name
    assert tensors_digest(back) == load_model(path, CPU).digest


def test_weights_are_found_by_their_name_in_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FHPT_WEIGHTS", str(tmp_path))
    export(tmp_path / "ours.safetensors", model(), RECORD, "float32")
    import hashlib

    digest = hashlib.sha256((tmp_path / "ours.safetensors").read_bytes()).hexdigest()
    (tmp_path / "registry.toml").write_text(
        f'schema_version = 1\n[weights.drn-ours]\nfile = "ours.safetensors"\nsha256 = "{digest}"\n'
    )
    assert load_model("drn-ours", CPU).record == RECORD


def test_an_unknown_name_is_told() -> None:
    with pytest.raises(WeightsError, match="drn-of-nobody"):
        load_model("drn-of-nobody", CPU)


def test_other_safetensors_are_told(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match="is no model of this kind"):
        load_model(path, CPU)


def test_weights_that_do_not_fit_their_configuration_are_told(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    state = dict(model())
    state.pop(next(iter(state)))
    export(path, state, RECORD, "float32")
    with pytest.raises(WeightsError, match="of their own configuration; missing: "):
        load_model(path, CPU)


def test_a_small_file_cannot_ask_for_a_large_model(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    large = configuration({"base_channels": 4096, "blocks": 64, "detail_channels": 4096})
    record = RECORD.model_copy(update={"configuration": large})
    export(path, model(), record, "float32")
    with pytest.raises(WeightsError, match="are not of the model of their own configuration"):
        load_model(path, CPU)
