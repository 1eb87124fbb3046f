"""Checkpoints and weights: what they hold, what is refused; nothing in them is executed."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from fhpt_eval.errors import InputError, StorageError, WeightsError
from fhpt_eval.reference_models.drn.checkpoints import (
    Checkpoint,
    Record,
    check_same,
    differences,
    export,
    load_checkpoint,
    load_model,
    read_record,
    save_checkpoint,
    tensors_digest,
)
from fhpt_eval.reference_models.drn.distributed import World
from fhpt_eval.reference_models.drn.trainer import Trainer
from tests.support.drn import CPU, configuration
from tests.support.drn_training import equal

RECORD = Record(configuration(), 12, "d" * 64, {"network": "random"}, 34.5, "cpu")


def checkpoint() -> Checkpoint:
    """Return a checkpoint of a model that has been trained for no step."""
    trainer = Trainer(RECORD.configuration, CPU, World())
    return Checkpoint(
        RECORD,
        trainer.model.state_dict(),
        trainer.discriminators.state_dict(),
        trainer.generator_optimiser.state_dict(),
        trainer.discriminator_optimiser.state_dict(),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, checkpoint())
    return path


def test_a_checkpoint_comes_back_as_it_was(path: Path) -> None:
    back, wanted = load_checkpoint(path), checkpoint()
    assert back.record == RECORD
    for name in ("model", "discriminators", "generator_optimiser", "discriminator_optimiser"):
        assert equal(dict(getattr(back, name)), dict(getattr(wanted, name))), name


def test_it_says_for_people_where_order_and_randomness_stand(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    assert content["random"] == {"seed": 0, "step": 12}
    assert content["position"] == {"pairs": 48}


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
    torch.save({"weight": torch.zeros(2)}, tmp_path / "network.pt")
    with pytest.raises(WeightsError, match="is no model of this kind"):
        load_checkpoint(tmp_path / "network.pt")
    torch.save([1, 2], tmp_path / "network.pt")
    with pytest.raises(WeightsError, match="holds a list"):
        load_checkpoint(tmp_path / "network.pt")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("format_version", 99, "format version 99"),
        ("configuration", {"name": "small", "heigth": 3}, "heigth.*Did you mean 'height'"),
        ("steps", "many", "its record is damaged"),
        ("steps", -5, "its record is damaged"),
        ("model", None, "it lacks model"),
        ("start", {"weights": torch.zeros(2)}, "start holds tensor.*, not a short text"),
        ("start", {"weights": "\x1b[31m"}, "start holds .*, not a short text"),
        ("start", ["weights"], "its record is damaged"),
        ("device", "\x1b[31mcpu", "device holds .*, not a short text"),
        ("model", {1: torch.zeros(2)}, "its model holds no tensors"),
        ("model", {"a": torch.zeros(2, device="meta")}, "its model holds no tensors"),
        ("perceptual", {"network": 3}, "perceptual holds 3, not a short text"),
    ],
)
def test_damage_is_told_by_its_place(key: str, value: object, words: str, path: Path) -> None:
    content = torch.load(path, weights_only=True)
    content[key] = value
    torch.save(content, path)
    with pytest.raises(WeightsError, match=words):
        load_checkpoint(path)


def test_a_full_disk_leaves_the_checkpoint_before(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="disk is full"):
        save_checkpoint(path, checkpoint())
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_settings_that_differ_are_named_with_both_values(tmp_path: Path) -> None:
    other = configuration({"blocks": 2}, seed=5)
    found = differences(RECORD.configuration, other)
    assert found == ["model.blocks is 1 there and 2 here", "training.seed is 0 there and 5 here"]
    with pytest.raises(InputError, match=r"another configuration: model\.blocks is 1 there"):
        check_same(RECORD, other, RECORD.data_digest, tmp_path)


def test_how_a_step_is_computed_may_differ(tmp_path: Path) -> None:
    other = configuration(precision="bfloat16", channels_last=True, compile=True)
    check_same(RECORD, other.model_copy(update={"name": "mine"}), RECORD.data_digest, tmp_path)


def test_other_data_are_refused_by_their_digest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"dddddddddddd\.\.\. there and eeeeeeeeeeee\.\.\. here"):
        check_same(RECORD, RECORD.configuration, "e" * 64, tmp_path)


def test_exported_weights_have_their_record_and_the_models_tensors(tmp_path: Path) -> None:
    state = checkpoint().model
    path = tmp_path / "weights.safetensors"
    export(path, state, RECORD, "float32")
    record, back = read_record(path)
    assert record == RECORD
    assert equal(dict(sorted(back.items())), dict(sorted(state.items())))


def test_weights_and_checkpoint_are_the_same_model(path: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    export(weights, checkpoint().model, RECORD, "float32")
    one, other = load_model(path, CPU), load_model(weights, CPU)
    assert one.digest == other.digest == tensors_digest(checkpoint().model)
    assert not one.model.training
    assert equal(dict(one.model.state_dict()), dict(other.model.state_dict()))


def test_half_as_large_weights_are_read_as_float32(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    state = checkpoint().model
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
    export(tmp_path / "ours.safetensors", checkpoint().model, RECORD, "float32")
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
    state = dict(checkpoint().model)
    state.pop(next(iter(state)))
    export(path, state, RECORD, "float32")
    with pytest.raises(WeightsError, match="of their own configuration; missing: "):
        load_model(path, CPU)


def test_a_small_file_cannot_ask_for_a_large_model(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    large = configuration({"base_channels": 4096, "blocks": 64, "detail_channels": 4096})
    record = Record(large, 12, "d" * 64, {"network": "random"}, 34.5, "cpu")
    export(path, checkpoint().model, record, "float32")
    with pytest.raises(WeightsError, match="are not of the model of their own configuration"):
        load_model(path, CPU)
