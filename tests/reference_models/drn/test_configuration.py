"""What a configuration may hold, how faults are told, and what the shipped ones are."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhpt_eval.common.shipped import MAX_BYTES
from fhpt_eval.errors import InputError
from fhpt_eval.reference_models.drn.configuration import (
    Configuration,
    configuration_names,
    load_configuration,
    parse_configuration,
)
from tests.support.drn import configuration as small


def fault(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse_configuration(text, "x")
    return str(caught.value)


def test_the_shipped_ones_are_the_model_and_its_pose_branch_in_two_sizes() -> None:
    names = ["drn-256", "drn-tiny", "drn-tiny-details", "patn-256", "patn-tiny"]
    assert configuration_names() == names
    for name in configuration_names():
        found = load_configuration(name)
        assert found.name == name
        assert found.model.has_details == name.startswith("drn")
        assert (found.height, found.width) == ((256, 176) if "256" in name else (128, 88))


@pytest.mark.parametrize("size", ["256", "tiny"])
def test_patn_is_drn_without_its_details(size: str) -> None:
    """So that what they differ in is the detail branch, and nothing else."""
    drn, patn = load_configuration(f"drn-{size}"), load_configuration(f"patn-{size}")
    for key in ("base_channels", "downsamplings", "blocks", "stem_kernel", "pose_width",
                "discriminator_channels", "discriminator_downsamplings",
                "discriminator_blocks"):  # fmt: skip
        assert getattr(drn.model, key) == getattr(patn.model, key)
    assert drn.training == patn.training
    assert drn.heatmap_sigma == patn.heatmap_sigma
    assert drn.loss.model_copy(update={"style": 0.0}) == patn.loss


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"discriminator_downsamplings": 5}, "model.discriminator_downsamplings"),
        ({"downsamplings": 3, "face_size": 8}, "model.downsamplings"),
    ],
)
def test_halvings_that_leave_a_normalisation_one_place_are_refused(
    settings: dict[str, int], key: str
) -> None:
    with pytest.raises(ValueError, match=rf"{key} \(\d\) leaves"):
        small(settings)


def test_defaults_are_those_of_drn_256() -> None:
    found = load_configuration("drn-256")
    assert found == Configuration(name="drn-256")
    # Of the paper, or where it is silent, of what it builds on.
    assert found.model.blocks == 9
    assert found.training.batch_size == 7
    assert found.training.learning_rate == 2e-4
    assert found.training.discriminator_updates == 3


def test_an_unknown_name_is_answered_with_near_misses_and_the_list() -> None:
    with pytest.raises(InputError, match=r"Did you mean 'drn-tiny'\? Shipped: drn-256"):
        load_configuration("drn-tyni")


def test_a_missing_file_is_not_taken_for_a_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no configuration file"):
        load_configuration(tmp_path / "mine.toml")
    with pytest.raises(InputError, match="no configuration file"):
        load_configuration("mine.toml")


def test_a_name_that_no_file_can_have_is_an_unknown_name() -> None:
    with pytest.raises(InputError):
        load_configuration("a" * 5000)
    with pytest.raises(InputError):
        load_configuration("a\0b")


def test_a_file_of_ones_own_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\n[model]\nblocks = 3\n', "utf-8-sig")
    assert load_configuration(path).model.blocks == 3
    assert load_configuration(str(path)) == load_configuration(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"name = ", "is not valid TOML"),
        (b"name = '\xff'", "is not UTF-8 text"),
        (b"#" * (MAX_BYTES + 1), "larger than"),
    ],
)
def test_what_is_no_configuration_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        load_configuration(path)
    assert str(path) in str(caught.value)


def test_every_fault_is_named_with_its_key() -> None:
    text = fault('name = "a"\n[model]\nblokcs = 3\n[training]\nprecision = "half"\nsteps = 0\n')
    assert "x.model.blokcs: there is no such key. Did you mean 'blocks'?" in text
    assert "x.training.precision: must be 'float32' or 'bfloat16', not 'half'." in text
    assert "x.training.steps: Input should be greater than or equal to 1" in text


def test_a_number_is_not_taken_for_a_switch() -> None:
    assert "model.global_module" in fault('name = "a"\n[model]\nglobal_module = 1\n')


def test_nan_is_no_weight() -> None:
    assert "loss.l1" in fault('name = "a"\n[loss]\nl1 = nan\n')


@given(st.integers(16, 600))
def test_a_size_that_cannot_be_halved_so_often_is_refused_with_the_next_ones(height: int) -> None:
    text = f'name = "a"\nheight = {height}\n[model]\ndownsamplings = 3\nface_size = 64\n'
    if height % 8 == 0:
        assert parse_configuration(text, "x").height == height
        return
    below = height // 8 * 8
    assert f"height ({height}) must be a multiple of 8" in fault(text)
    assert f"the next ones are {below} and {below + 8}" in fault(text)


def test_more_coarse_steps_than_steps_are_refused() -> None:
    assert "coarse_steps (30) are among the 20 steps" in fault(
        'name = "a"\n[training]\nsteps = 20\ncoarse_steps = 30\nadversarial_from = 0\n'
    )


def test_details_start_from_the_same_model_and_add_what_it_lacks() -> None:
    first, later = load_configuration("drn-tiny"), load_configuration("drn-tiny-details")
    added = {"style_summary": True, "even_doubling": True, "coarse_filter": 5}
    assert later.model == first.model.model_copy(update=added)
    assert later.heatmap_sigma == first.heatmap_sigma
    assert later.training.pose_branch_stays


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("[training]\npose_branch_stays = true\n", "coarse_steps (60000) train the pose transfer"),
        (
            "[training]\npose_branch_stays = true\ncoarse_steps = 0\n"
            "[model]\nglobal_module = false\nface_module = false\n",
            "pose_branch_stays leaves nothing to train",
        ),
    ],
)
def test_a_branch_that_stays_leaves_something_to_train(settings: str, words: str) -> None:
    assert words in fault('name = "a"\n' + settings)


def test_an_adversarial_loss_that_would_never_be_used_is_refused() -> None:
    late = 'name = "a"\n[training]\nsteps = 20\ncoarse_steps = {}\nadversarial_from = {}\n'
    assert "would set in at step 20 of 20, which are counted from 0" in fault(late.format(5, 20))
    assert "would set in at step 20 of 20" in fault(late.format(20, 0))
    parse_configuration(late.format(5, 19), "x")
    parse_configuration(late.format(20, 20) + "[loss]\nadversarial = 0.0\n", "x")


def test_it_cannot_be_changed_and_survives_json() -> None:
    found = load_configuration("drn-tiny")
    with pytest.raises(ValueError, match="frozen"):
        found.height = 64  # type: ignore[misc]
    assert Configuration.model_validate_json(found.model_dump_json()) == found
