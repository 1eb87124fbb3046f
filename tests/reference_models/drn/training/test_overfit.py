"""The model can learn: four pairs of drawn people by heart."""

from __future__ import annotations

import torch

from fhpt_eval.reference_models.drn.model.drn import Model
from fhpt_eval.reference_models.drn.training import losses
from tests.support import drn_models as tiny


def test_four_pairs_are_learnt_by_heart() -> None:
    """To a mean absolute difference below 0.03 of images in [0, 1]: 8 of 255 grey levels."""
    torch.manual_seed(0)
    x, target = tiny.drawn_pairs(4, height=48, width=32, size=16)
    assert 1 <= x.face_box.isnan().all(dim=1).sum() <= 3  # with and without a face
    model = Model(
        tiny.configuration(
            48, 32, base_channels=12, blocks=1, detail_channels=32, style_dimension=32,
            appearance_channels=8,
        )
    )  # fmt: skip
    # RAdam holds back until it trusts its variances: with 0.999 for more steps than there are here.
    optimiser = torch.optim.RAdam(model.parameters(), lr=1e-2, betas=(0.5, 0.95))
    steps = 80
    decay = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(1, 2 - 2 * step / steps))
    for _ in range(steps):
        optimiser.zero_grad()
        losses.l1(model(x).final, target).backward()
        optimiser.step()
        decay.step()
    with torch.no_grad():
        found = model(x).final.clamp(-1, 1)
    assert losses.l1(found, target) / 2 < 0.03  # half, since they are in [-1, 1] here
