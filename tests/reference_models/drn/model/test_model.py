"""The whole model: its outputs, its ablations, and that every parameter learns."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from fhpt_eval.reference_models.drn import load_configuration
from fhpt_eval.reference_models.drn.configuration import ModelSettings, configuration_names
from fhpt_eval.reference_models.drn.model.drn import Discriminators, Model, place_faces
from tests.support import drn_models as tiny

ABLATIONS: dict[str, dict[str, bool]] = {
    "drn": {},
    "no global module": {"global_module": False},
    "no face module": {"face_module": False},
    "no style code": {"style_code": False},
    "patn": {"global_module": False, "face_module": False},
}


def build(**changes: Any) -> Model:
    torch.manual_seed(0)
    return Model(tiny.configuration(**changes))


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_outputs_are_what_the_ablation_leaves(ablation: str) -> None:
    changes = ABLATIONS[ablation]
    model, x = build(**changes), tiny.inputs()
    found = model(x)
    size = (2, 3, tiny.HEIGHT, tiny.WIDTH)
    assert found.coarse.shape == found.final.shape == size
    assert found.face_mask.shape == (2, 1, tiny.HEIGHT, tiny.WIDTH)
    assert (found.residual is not None) == (model.global_module is not None)
    assert (found.residual is None) == (changes.get("global_module") is False)
    assert (found.face is None) == (changes.get("face_module") is False)
    if found.residual is not None:
        assert found.residual.shape == size
    if found.face is not None:
        assert found.face.shape == (2, 3, tiny.FACE, tiny.FACE)
    assert (found.face_mask.max() > 0.5) == (found.face is not None)


def test_the_final_image_is_composed_of_the_outputs() -> None:
    x = tiny.inputs()
    found = build()(x)
    assert found.residual is not None
    assert found.face is not None
    placed = place_faces(found.face, x.face_box, tiny.HEIGHT, tiny.WIDTH)
    mask = found.face_mask
    expected = (1 - mask) * (found.coarse + found.residual) + mask * placed
    assert torch.equal(found.final, expected)


def test_the_pose_branch_alone_has_its_image_as_the_final_one() -> None:
    found = build(global_module=False, face_module=False)(tiny.inputs())
    assert found.final is found.coarse


def test_coarse_only_leaves_the_detail_branch_out() -> None:
    model, x = build(), tiny.inputs()
    found = model(x, coarse_only=True)
    assert found.residual is None
    assert found.face is None
    assert found.final is found.coarse
    assert torch.equal(found.coarse, model(x).coarse)
    found.final.mean().backward()
    assert model.global_module is not None
    assert all(p.grad is None for p in model.global_module.parameters())


@pytest.mark.parametrize("ablation", ABLATIONS)
def test_gradients_of_the_final_image_reach_every_parameter(ablation: str) -> None:
    model, x = build(**ABLATIONS[ablation]), tiny.inputs()
    weight = torch.rand(x.source.shape, generator=torch.Generator().manual_seed(4))
    (model(x).final * weight).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_the_pose_branch_learns_of_the_details_through_its_features() -> None:
    model, x = build(), tiny.inputs()
    residual = model(x).residual
    assert residual is not None
    residual.square().sum().backward()
    reached = {n for n, p in model.pose_branch.named_parameters() if p.grad is not None}
    assert any(name.startswith("cascade") for name in reached)
    assert not any(name.startswith("decoder") for name in reached)


def test_a_target_without_a_face_leaves_finite_gradients() -> None:
    model = build()
    x = replace(tiny.inputs(), face_box=torch.full((2, 4), float("nan")))
    found = model(x)
    found.final.square().mean().backward()
    assert found.residual is not None
    assert torch.equal(found.final, found.coarse + found.residual)
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_an_image_depends_on_its_own_pair_alone() -> None:
    model, x = build(), tiny.inputs(3)
    alone = replace(x, **{field.name: getattr(x, field.name)[1:2] for field in fields(x)})
    torch.testing.assert_close(model(x).final[1:2], model(alone).final, atol=1e-5, rtol=0)


def test_bfloat16_and_channels_last_draw_nearly_the_same() -> None:
    model, x = build(), tiny.inputs()
    expected = model(x).final
    with torch.autocast("cpu", torch.bfloat16):
        found = model(x)
    assert found.final.dtype == found.coarse.dtype == torch.float32
    # 8 bits of precision over a dozen layers.
    torch.testing.assert_close(found.final, expected, atol=0.1, rtol=0)
    assert (found.final - expected).abs().mean() < 0.02
    model.to(memory_format=torch.channels_last)
    torch.testing.assert_close(
        model(x.to("cpu", channels_last=True)).final, expected, atol=1e-4, rtol=0
    )


def test_a_model_is_made_by_the_seed() -> None:
    one, other = build().state_dict(), build().state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


#: Another value for each setting that a model is made of.
OTHERS: dict[str, Any] = {
    "base_channels": 6, "downsamplings": 1, "blocks": 3, "stem_kernel": 5, "pose_width": 0.5,
    "style_dimension": 6, "style_grid": (1, 1), "style_summary": True, "appearance_channels": 6,
    "appearance_downsamplings": 1, "detail_channels": 12, "detail_blocks": 2,
    "even_doubling": True, "coarse_filter": 5, "waves": 2, "face_blur_sigma": 3.0,
    "global_module": False, "face_module": False, "style_code": False,
    "discriminator_channels": 6, "discriminator_downsamplings": 1, "discriminator_blocks": 2,
}  # fmt: skip


def made(**changes: Any) -> object:
    """Return all that a test can see of the networks: their layouts and what one draws."""
    settings = tiny.settings(**changes)
    networks = [build(**changes), Discriminators(settings)]
    layouts = [{k: tuple(v.shape) for k, v in n.state_dict().items()} for n in networks]
    outputs = networks[0](tiny.inputs())
    return layouts, outputs.final.detach().double().sum().item()


def test_every_setting_changes_the_networks() -> None:
    # Faces are cut out, in face_size, before the networks see them.
    assert OTHERS.keys() == ModelSettings.model_fields.keys() - {"face_size"}
    usual = made()
    for name, value in OTHERS.items():
        assert made(**{name: value}) != usual, name


@pytest.mark.parametrize("name", configuration_names())
def test_the_shipped_configurations_have_the_sizes_that_are_documented(name: str) -> None:
    with torch.device("meta"):
        model = Model(load_configuration(name))
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    document = (Path(__file__).parents[4] / "docs" / "drn.md").read_text()
    row = next(line for line in document.splitlines() if line.startswith(f"| `{name}` |"))
    told = row.split("|")[3].removesuffix(" million ").strip()
    assert f"{millions:.{len(told.partition('.')[2])}f}" == told
