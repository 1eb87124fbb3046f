"""A training starts from the weights of another: all of them, and nothing but them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from fhpt_eval.errors import InputError, WeightsError
from fhpt_eval.reference_models.drn.configuration import Configuration
from fhpt_eval.reference_models.drn.data.pairs import PairSet
from fhpt_eval.reference_models.drn.model.drn import Model
from fhpt_eval.reference_models.drn.training.checkpoints import export, read_record, tensors_digest
from fhpt_eval.reference_models.drn.training.plan import Plan, read_start, start_of
from fhpt_eval.reference_models.drn.training.train import train
from tests.support.drn import (
    CPU,
    configuration,
)
from tests.support.progress import Kept

#: Trainings of a few steps are over before discriminators could set in.
OFF = {"adversarial": 0.0}


@pytest.fixture(scope="module")
def first(data: PairSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of a short training."""
    return weights_of(data, tmp_path_factory.mktemp("first") / "out")


def weights_of(data: PairSet, out: Path, **changes: Any) -> Path:
    one = configuration(loss=OFF, steps=3, coarse_steps=1, **changes)
    train(Plan(one, out, 3, sample_every=0), data, CPU)
    return out / "weights.safetensors"


def details(**model: Any) -> Configuration:
    return configuration(
        model, OFF | {"texture": 1.0}, steps=4, coarse_steps=0, pose_branch_stays=True
    )


def test_a_model_gets_every_tensor_of_the_weights(first: Path) -> None:
    record, state = read_record(first)
    start = read_start(str(first), configuration())
    torch.manual_seed(1)
    model = Model(configuration())
    model.load_state_dict(dict(start.state), strict=False)
    found = model.state_dict()
    assert set(found) == set(state)
    assert all(found[name].equal(one) for name, one in state.items())
    assert start.anew == start.differing == ()
    assert str(start) == f"Starting from {first}, 'small' after 3 steps."
    assert start.values() == {
        "configuration": "small",
        "steps": "3",
        "weights": tensors_digest(state),
        "data_digest": record.data_digest,
    }


def test_a_training_starts_there_says_so_and_needs_it_no_longer(
    data: PairSet, tmp_path: Path
) -> None:
    weights = weights_of(data, tmp_path / "first")
    digest = tensors_digest(read_record(weights)[1])
    said, out = Kept(), tmp_path / "later"
    plan = Plan(details(), out, 2, sample_every=0, start_from=str(weights))
    record = train(plan, data, CPU, progress=said)
    assert record.start["weights"] == digest
    assert any(line.startswith(f"Starting from {weights}") for line in said.said)
    _, before = read_record(weights)
    _, after = read_record(out / "weights.safetensors")
    kept = {name for name, one in before.items() if one.equal(after[name])}
    branch = {name for name in before if name.startswith("pose_branch.")}
    assert branch <= kept
    assert len(kept - branch) < 0.3 * len(before)  # the details have moved on
    weights.unlink()
    on = Plan(details(), out, 4, resume=True, sample_every=0, start_from=str(weights))
    assert train(on, data, CPU, progress=said).start == record.start
    assert f"{weights} is not there any more, and not needed." in said.said


def test_parts_that_the_weights_lack_start_as_in_a_new_model(data: PairSet, tmp_path: Path) -> None:
    """So a pose transfer branch can be given its details later, and a style code its summary."""
    alone = configuration(
        {"global_module": False, "face_module": False}, OFF | {"style": 0.0},
        steps=3, coarse_steps=1,
    )  # fmt: skip
    train(Plan(alone, tmp_path / "patn", 3, sample_every=0), data, CPU)
    start = read_start(str(tmp_path / "patn" / "weights.safetensors"), details(style_summary=True))
    assert not any(name.startswith("pose_branch.") for name in start.anew)
    assert "global_module.style_encoder.told.weight" in start.anew
    assert "It lacks global_module." in str(start)


def test_weights_of_another_size_are_refused_with_what_to_give(first: Path) -> None:
    with pytest.raises(WeightsError, match=r"not of the model of .* same settings in \[model\]"):
        read_start(str(first), configuration({"style_dimension": 9}))
    with pytest.raises(WeightsError, match="unknown: face_module"):
        read_start(str(first), configuration({"face_module": False}))


def test_settings_that_no_shape_shows_are_told(first: Path) -> None:
    wider = configuration().model_copy(update={"width": 28, "heatmap_sigma": 3.0})
    told = str(read_start(str(first), wider))
    assert told.endswith(
        "It was trained otherwise: width was 24, and is 28; heatmap_sigma was 2.0, and is 3.0."
    )


def test_another_order_of_the_style_grid_is_told_though_shapes_fit(first: Path) -> None:
    told = str(read_start(str(first), configuration({"style_grid": (2, 4)})))
    assert "model.style_grid was [4, 2], and is [2, 4]" in told


def test_a_summary_of_another_network_is_refused(
    data: PairSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = configuration({"style_summary": True}, OFF, steps=3, coarse_steps=1)
    train(Plan(told, tmp_path / "out", 3, sample_every=0), data, CPU)
    weights = str(tmp_path / "out" / "weights.safetensors")
    assert read_start(weights, told).differing == ()
    state, record = read_record(weights)[1], read_record(weights)[0]
    export(
        Path(weights),
        state,
        record.model_copy(update={"perceptual": {"network": "older"}}),
        "float32",
    )
    with pytest.raises(WeightsError, match=r"another one here: \{'network': 'older'\} then"):
        read_start(weights, told)


def test_to_go_on_with_another_start_is_refused(data: PairSet, first: Path, tmp_path: Path) -> None:
    other = weights_of(data, tmp_path / "other", seed=3)
    out = tmp_path / "later"
    train(Plan(details(), out, 2, sample_every=0, start_from=str(first)), data, CPU)
    with pytest.raises(InputError, match=r"did not start from .* \(but from small\)"):
        train(Plan(details(), out, 4, resume=True, start_from=str(other)), data, CPU)
    again = configuration(loss=OFF, steps=3, coarse_steps=1)
    with pytest.raises(InputError, match=r"\(but from random weights\)"):
        train(Plan(again, first.parent, 3, resume=True, start_from=str(other)), data, CPU)


def test_a_branch_that_nobody_has_trained_cannot_stay(data: PairSet, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"needs a trained one: .* --start-from"):
        train(Plan(details(), tmp_path / "out", 2, sample_every=0), data, CPU)


def test_weights_that_the_training_would_replace_are_refused(first: Path) -> None:
    with pytest.raises(InputError, match=r"lies in --out.*Choose another --out"):
        start_of(str(first), configuration(), first.parent)
