"""A training goes through its stages, repeats itself to the bit, and stops where it is told."""

from __future__ import annotations

import functools
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from fhpt_eval.common.progress import Progress
from fhpt_eval.common.training import Stopped, write_checkpoint
from fhpt_eval.errors import FhptEvalError, InputError
from fhpt_eval.reference_models.drn.data.batches import Batches, open_pixels
from fhpt_eval.reference_models.drn.data.inputs import to_inputs, to_unit
from fhpt_eval.reference_models.drn.data.pairs import PairSet
from fhpt_eval.reference_models.drn.model.drn import Inputs
from fhpt_eval.reference_models.drn.training.checkpoints import CHECKPOINT_KIND, load_checkpoint
from fhpt_eval.reference_models.drn.training.distributed import World
from fhpt_eval.reference_models.drn.training.plan import Plan, prepare_folder
from fhpt_eval.reference_models.drn.training.schedule import pairs_at
from fhpt_eval.reference_models.drn.training.train import train
from fhpt_eval.reference_models.drn.training.trainer import Trainer
from tests.support.drn import ALL, CPU, configuration, draw_folder, training_pairs
from tests.support.drn_training import equal, gradient, likeness


@pytest.fixture(scope="module")
def batch(data: PairSet) -> tuple[Inputs, Tensor]:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        pixels = open_pixels(data.people, 32, 24, device=CPU, pool=pool, progress=Progress())
        made = Batches(data, pixels, 32, 24)(pairs_at(0, len(data), configuration().training))
    assert made.target is not None
    return to_inputs(made, 2.0, 16), to_unit(made.target)


def parameters(module: torch.nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


def changed(before: list[torch.Tensor], module: torch.nn.Module) -> list[bool]:
    return [not old.equal(new) for old, new in zip(before, module.parameters(), strict=True)]


def test_in_the_coarse_stage_the_pose_transfer_branch_learns_alone(
    batch: tuple[Inputs, Tensor],
) -> None:
    trainer = Trainer(configuration(), CPU, World())
    everything = parameters(trainer.model)
    branch = parameters(trainer.model.pose_branch)
    judges = parameters(trainer.discriminators)
    found = trainer.step(0, *batch)
    assert list(found) == ["total", "l1_coarse", "perceptual_coarse"]
    assert sum(changed(branch, trainer.model.pose_branch)) > len(branch) / 2
    assert sum(changed(everything, trainer.model)) == sum(
        changed(branch, trainer.model.pose_branch)
    )
    assert not any(changed(judges, trainer.discriminators))


def test_the_total_is_the_weighted_sum_of_the_generators_losses(
    batch: tuple[Inputs, Tensor],
) -> None:
    one = configuration()
    found = Trainer(one, CPU, World()).step(10, *batch)
    names = ("l1_coarse", "perceptual_coarse", "l1", "perceptual", "style", "adversarial")
    wanted = sum(getattr(one.loss, name) * found[name].item() for name in names)
    assert found["total"].item() == pytest.approx(wanted, rel=1e-5)  # float32 sums


def test_in_the_fine_stage_everything_learns(batch: tuple[Inputs, Tensor]) -> None:
    trainer = Trainer(configuration(), CPU, World())
    before = parameters(trainer.model)
    judges = parameters(trainer.discriminators)
    found = trainer.step(10, *batch)
    assert {"style", "adversarial", "discriminator_appearance", "discriminator_pose"} <= set(found)
    assert sum(changed(before, trainer.model)) > 0.8 * len(before)
    assert sum(changed(judges, trainer.discriminators)) > 0.8 * len(judges)


def test_the_pose_transfer_branch_hears_of_the_final_image_through_its_features(
    batch: tuple[Inputs, Tensor],
) -> None:
    """Through F_t alone: the final image also holds the coarse one, which would hide a cut."""
    model = Trainer(configuration(), CPU, World()).model
    inputs, _ = batch
    coarse, features = model.pose_branch(inputs.source, inputs.source_pose, inputs.target_pose)
    assert model.global_module is not None
    residual = model.global_module(features, inputs.source, coarse.detach())
    residual.square().sum().backward()
    for part in (model.pose_branch.image_encoder, model.pose_branch.cascade):
        gradients = [one.grad for one in part.parameters()]
        assert sum(g is not None and bool(g.any()) for g in gradients) > 0.7 * len(gradients)


def test_the_discriminators_are_updated_as_often_as_is_set(batch: tuple[Inputs, Tensor]) -> None:
    trainer = Trainer(configuration(discriminator_updates=3), CPU, World())
    trainer.step(10, *batch)
    trainer.step(11, *batch)
    steps = {int(s["step"]) for s in trainer.discriminator_optimiser.state.values()}
    assert steps == {6}
    assert {int(s["step"]) for s in trainer.generator_optimiser.state.values()} == {2}


def test_before_its_step_there_is_no_adversarial_loss(batch: tuple[Inputs, Tensor]) -> None:
    found = Trainer(configuration(), CPU, World()).step(6, *batch)
    assert "l1" in found
    assert "adversarial" not in found
    assert "discriminator_pose" not in found


def test_the_pose_transfer_branch_alone_has_one_loss_of_its_image(
    batch: tuple[Inputs, Tensor],
) -> None:
    alone = configuration({"global_module": False, "face_module": False}, {"style": 0.0})
    found = Trainer(alone, CPU, World()).step(10, *batch)
    assert list(found) == [
        "total", "l1", "perceptual", "adversarial", "discriminator_appearance", "discriminator_pose"
    ]  # fmt: skip


def test_a_branch_that_stays_keeps_every_bit_and_has_no_loss(batch: tuple[Inputs, Tensor]) -> None:
    trainer = Trainer(configuration(pose_branch_stays=True, coarse_steps=0), CPU, World())
    everything = parameters(trainer.model)
    branch = parameters(trainer.model.pose_branch)
    found = [trainer.step(step, *batch) for step in (0, 1)][-1]
    assert list(found) == ["total", "l1", "perceptual", "style"]
    assert not any(changed(branch, trainer.model.pose_branch))
    assert sum(changed(everything, trainer.model)) > 0.8 * (len(everything) - len(branch))


@pytest.mark.parametrize("name", ["texture", "summary"])
def test_a_loss_for_textures_counts_where_it_has_a_weight(
    name: str, batch: tuple[Inputs, Tensor]
) -> None:
    without = Trainer(configuration(), CPU, World()).step(5, *batch)
    found = Trainer(configuration(loss={name: 2.0}), CPU, World()).step(5, *batch)
    assert name not in without
    more = found["total"] - without["total"]
    assert more.item() == pytest.approx(2 * found[name].item(), rel=1e-3)


def test_the_summarys_loss_reaches_the_model(batch: tuple[Inputs, Tensor]) -> None:
    zero = dict.fromkeys(("l1_coarse", "perceptual_coarse", "perceptual", "style"), 0.0)
    one = configuration(
        loss={**zero, "l1": 1e-6, "summary": 1.0, "adversarial": 0.0}, coarse_steps=0
    )
    trainer = Trainer(one, CPU, World())
    trainer.step(5, *batch)
    gradients = [p.grad for p in trainer.model.parameters() if p.grad is not None]
    assert sum(float(one.abs().max()) > 1e-7 for one in gradients) > 0.5 * len(gradients)


def test_a_gradient_longer_than_clip_norm_is_cut_to_it(batch: tuple[Inputs, Tensor]) -> None:
    def length(**settings: Any) -> float:
        trainer = Trainer(configuration(**settings), CPU, World())
        trainer.step(5, *batch)
        gradients = [p.grad for p in trainer.model.parameters() if p.grad is not None]
        return float(torch.cat([one.flatten() for one in gradients]).norm())

    whole = length()
    assert length(clip_norm=whole / 10) == pytest.approx(whole / 10, rel=1e-3)
    assert length(clip_norm=whole * 10) == pytest.approx(whole, rel=1e-5)


def test_the_learning_rate_of_a_step_reaches_both_optimisers(batch: tuple[Inputs, Tensor]) -> None:
    trainer = Trainer(configuration(), CPU, World())
    trainer.step(19, *batch)
    for optimiser in (trainer.generator_optimiser, trainer.discriminator_optimiser):
        assert [group["lr"] for group in optimiser.param_groups] == [pytest.approx(1e-4)]


#: Sizes of the smallest model that has all parts.
SHALLOW = {"downsamplings": 1, "appearance_downsamplings": 1, "discriminator_downsamplings": 1}


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize(
    ("options", "more"),
    [
        ({"precision": "bfloat16"}, {}),
        ({"precision": "bfloat16"}, ALL),
        ({"channels_last": True}, {}),
        ({"channels_last": True}, ALL),
        ({"compile": True}, ALL),  # which has the paper's networks in it, and takes as long
    ],
)
def test_other_ways_to_compute_a_step_give_its_losses_and_gradients(
    options: dict[str, Any],
    more: dict[str, Any],
    batch: tuple[Inputs, Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As torch.compile traces and splits the networks, without the compiler, which takes a minute.
    traced = functools.partialmethod(torch.nn.Module.compile, backend="aot_eager")
    monkeypatch.setattr(torch.nn.Module, "compile", traced)
    # Every layer is there once: each takes the tracer its time.
    more = {**more, "model": {**more.get("model", {}), **SHALLOW}}
    plain = Trainer(configuration(**more), CPU, World())
    other = Trainer(configuration(**more, **options), CPU, World())
    # bfloat16 has 8 bits: some 0.4 % for each operation, of which errors in part cancel out.
    near = 0.05 if "precision" in options else 1e-4
    for step in (0, 10):  # of the branch alone, and of everything
        wanted, found = plain.step(step, *batch), other.step(step, *batch)
        assert list(found) == list(wanted)
        for name, value in wanted.items():
            assert found[name].item() == pytest.approx(value.item(), rel=near, abs=1e-4), name
        assert found["total"].dtype == torch.float32
    for one, same in ((plain.model, other.model), (plain.discriminators, other.discriminators)):
        assert likeness(gradient(one), gradient(same)) > 1 - near


def test_losses_fall(data: PairSet, tmp_path: Path) -> None:
    quick = configuration(loss={"adversarial": 0.0}, steps=30, coarse_steps=30, learning_rate=2e-2)
    plan = Plan(quick, tmp_path / "out", 30, log_every=10, sample_every=0)
    train(plan, data, CPU)
    rows = (tmp_path / "out" / "log.csv").read_text().splitlines()[1:]
    values = [float(row.split(",")[4]) for row in rows]
    assert values[-1] < 0.8 * values[0]


def test_a_seed_fixes_every_bit_whatever_is_logged_and_drawn(data: PairSet, tmp_path: Path) -> None:
    train(Plan(configuration(), tmp_path / "quiet", 8, sample_every=0), data, CPU)
    train(Plan(configuration(), tmp_path / "loud", 8, log_every=1, sample_every=2,
               checkpoint_every=3), data, CPU)  # fmt: skip
    quiet, loud = (load_checkpoint(tmp_path / n / "checkpoint.pt") for n in ("quiet", "loud"))
    assert all(equal(quiet.state[name], loud.state[name]) for name in quiet.state)


def test_more_steps_than_the_schedule_has_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--steps 21: the configuration's schedule has 20 steps"):
        Plan(configuration(), tmp_path, 21)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({"l1_coarse": 0.0, "perceptual_coarse": 0.0}, "coarse_steps"),
        ({"l1": 0.0, "perceptual": 0.0}, "final image"),
    ],
)
def test_a_stage_without_a_loss_is_refused(weights: dict[str, float], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        configuration(loss=weights)


def test_a_training_that_diverges_stops_and_says_when(data: PairSet, tmp_path: Path) -> None:
    wild = configuration()
    beyond = wild.training.model_copy(update={"learning_rate": 1e38})
    wild = wild.model_copy(update={"training": beyond})
    plan = Plan(wild, tmp_path / "out", 20, log_every=1, sample_every=0)
    with pytest.raises(FhptEvalError, match=r"diverged before step \d+: total"):
        train(plan, data, CPU)
    assert not (tmp_path / "out" / "checkpoint.pt").exists()


def test_a_training_that_diverges_names_no_checkpoint_that_is_not_there(
    data: PairSet, tmp_path: Path
) -> None:
    wild = configuration()
    beyond = wild.training.model_copy(update={"learning_rate": 1e38})
    wild = wild.model_copy(update={"training": beyond})
    with pytest.raises(FhptEvalError) as caught:
        train(Plan(wild, tmp_path / "out", 20, log_every=1, sample_every=0), data, CPU)
    assert "checkpoint" not in str(caught.value)


def test_a_model_that_is_not_finite_any_more_replaces_no_checkpoint(
    data: PairSet, tmp_path: Path
) -> None:
    """The loss of a step is of before its update, so it may be the last that is finite."""
    out = tmp_path / "out"
    train(Plan(configuration(), out, 3, sample_every=0), data, CPU)
    good = load_checkpoint(out / "checkpoint.pt")
    generator = good.state["generator_optimiser"]
    for state in generator["state"].values():
        state["exp_avg"].fill_(torch.inf)
    write_checkpoint(out / "checkpoint.pt", CHECKPOINT_KIND, good)
    before = (out / "checkpoint.pt").read_bytes()
    plan = Plan(configuration(), out, 4, resume=True, sample_every=0)
    with pytest.raises(FhptEvalError, match=r"diverged before step 4: the model, .* is not finite"):
        train(plan, data, CPU)
    assert (out / "checkpoint.pt").read_bytes() == before


class _Spoils(Progress):
    """Empties a file when the first row is logged."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def say(self, message: str) -> None:
        if message.startswith("step"):
            self.path.write_bytes(b"")


def test_an_image_that_changes_in_mid_training_costs_no_step_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where memory has no room for all images, each is read whenever its pair comes."""
    monkeypatch.setattr("fhpt_eval.reference_models.drn.data.batches.free_memory", lambda: 0)
    folder = draw_folder(tmp_path / "data")
    data = training_pairs(folder)
    settings = configuration(batch_size=1)
    first: dict[int, int] = {}
    for step in range(20):
        for place in data.pairs[pairs_at(step, len(data), settings.training)[0]].tolist():
            first.setdefault(place, step)
    place, step = max(first.items(), key=lambda one: one[1])
    assert step > 3
    late = data.people[place]
    assert late.file is not None
    spoils = _Spoils(Path(late.file.ref.path))
    plan = Plan(settings, tmp_path / "out", 20, log_every=1, sample_every=0)
    with pytest.raises(InputError, match=re.escape(late.name)):
        train(plan, data, CPU, progress=spoils)
    assert load_checkpoint(tmp_path / "out" / "checkpoint.pt").step == step


def test_weights_of_fewer_steps_do_not_outlive_a_training_that_goes_on(
    data: PairSet, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    train(Plan(configuration(), out, 3, sample_every=0), data, CPU)
    assert (out / "weights.safetensors").is_file()
    plan = Plan(configuration(), out, 20, resume=True, log_every=3, sample_every=0)
    with pytest.raises(Stopped):
        train(plan, data, CPU, progress=_Interrupts(signal.SIGTERM))
    assert not (out / "weights.safetensors").exists()


class _Interrupts(Progress):
    """Sends this process a signal when the first row is logged."""

    def __init__(self, number: int) -> None:
        self.number: int | None = number

    def say(self, message: str) -> None:
        if message.startswith("step") and self.number is not None:
            number, self.number = self.number, None
            os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_checkpoint(number: int, data: PairSet, tmp_path: Path) -> None:
    before = signal.getsignal(number)
    plan = Plan(configuration(), tmp_path / "out", 20, log_every=3, sample_every=0)
    with pytest.raises(Stopped, match="Stopped after step") as caught:
        train(plan, data, CPU, progress=_Interrupts(number))
    assert caught.value.signal == number
    assert load_checkpoint(tmp_path / "out" / "checkpoint.pt").step in (4, 5)
    assert signal.getsignal(number) == before


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="is not empty"):
        prepare_folder(tmp_path, resume=False)
    with pytest.raises(InputError, match=r"holds files, but no checkpoint\.pt"):
        prepare_folder(tmp_path, resume=True)


def test_resume_begins_where_there_is_nothing_yet(tmp_path: Path) -> None:
    assert prepare_folder(tmp_path / "new", resume=True) is False
    (tmp_path / "new" / "log.csv").touch()  # killed before its first checkpoint
    half = tmp_path / "new" / ".checkpoint.pt.6kncst4r.tmp"  # or while it was written
    half.touch()
    assert prepare_folder(tmp_path / "new", resume=True) is False
    assert not half.exists()
    with pytest.raises(InputError, match="is not empty"):
        prepare_folder(tmp_path / "new", resume=False)


def test_a_checkpoint_asks_for_resume(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").touch()
    with pytest.raises(InputError, match="Add --resume to go on"):
        prepare_folder(tmp_path, resume=False)
    assert prepare_folder(tmp_path, resume=True) is True


def test_a_batch_that_processes_cannot_share_evenly_is_refused() -> None:
    with pytest.raises(InputError, match=r"batch_size is 4.*3 processes cannot divide"):
        World(rank=0, size=3).part(4)
