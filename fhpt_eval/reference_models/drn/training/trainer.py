"""One step of the training: a generator update, then updates of the discriminators.

Coarse to fine, as arXiv 2005.12494 trains: first the pose transfer branch alone on I_c; then all of
the model on I_t, so that the branch hears of it through F_t, while it keeps the loss of I_c. After
each such update, the discriminators of (source, image) and (pose, image) are updated several times
on the images just made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from fhpt_eval.common.training import load_optimiser
from fhpt_eval.reference_models.drn.configuration import Configuration, LossSettings
from fhpt_eval.reference_models.drn.model.drn import (
    Discriminators,
    Inputs,
    Model,
    Outputs,
    autocast,
)
from fhpt_eval.reference_models.drn.model.perceptual import perceptual_network
from fhpt_eval.reference_models.drn.training import losses
from fhpt_eval.reference_models.drn.training.distributed import World
from fhpt_eval.reference_models.drn.training.schedule import (
    Stage,
    is_adversarial,
    learning_rate,
    seed_at,
    stage_of,
)

#: The losses that a step may give, in the order in which they are shown.
LOSSES = (
    "total", *(name for name in LossSettings.model_fields if name != "perceptual_network"),
    "discriminator_appearance", "discriminator_pose",
)  # fmt: skip


class Trainer:
    """The networks and their optimisers.

    Attributes:
        model: the generator, which :mod:`~.checkpoints` stores.
        discriminators: D_A and D_S.
        generator_optimiser: RAdam over all of the model.
        discriminator_optimiser: RAdam over both discriminators.
        perceptual_record: which network the perceptual loss takes its features from.
    """

    def __init__(self, configuration: Configuration, device: torch.device, world: World) -> None:
        """Build everything anew, from the configuration's seed.

        Raises:
            WeightsError: the perceptual network's weights are missing.
        """
        self.configuration, self.device, self.world = configuration, device, world
        settings = configuration.training
        self._perceptual = perceptual_network(configuration.loss.perceptual_network, device)
        self.perceptual_record: Mapping[str, str] = self._perceptual.record
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.model = Model(configuration)
            self.discriminators = Discriminators(configuration.model)
        layout = torch.channels_last if settings.channels_last else torch.contiguous_format
        for network in (self.model, self.discriminators, self._perceptual):
            network.to(device=device, memory_format=layout)  # type: ignore[call-overload]
            if settings.compile:
                network.compile()
        self.generator_optimiser, self.discriminator_optimiser = (
            torch.optim.RAdam(network.parameters(), settings.learning_rate, settings.betas)
            for network in (self.model, self.discriminators)
        )
        self._stage: Stage | None = None
        self._generator: nn.Module = self.model
        self._judges = world.wrap(self.discriminators, device)

    def step(self, step: int, inputs: Inputs, targets: Tensor) -> dict[str, Tensor]:
        """Do one step, and return its losses as scalars on the device, by :data:`LOSSES`.

        The targets are I_g, ``(N, 3, H, W)`` float32 in [-1, 1].
        Seeds torch's global generator, so that what is drawn depends on the step alone.
        """
        settings = self.configuration.training
        torch.manual_seed(seed_at(step, self.world.rank, settings))
        self._enter(stage_of(step, settings))
        for optimiser in (self.generator_optimiser, self.discriminator_optimiser):
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(step, settings)
        adversarial = is_adversarial(step, settings) and self.configuration.loss.adversarial > 0
        outputs, values = self._update_generator(inputs, targets, adversarial)
        if adversarial:
            final = outputs.final.detach()
            for _ in range(settings.discriminator_updates):
                values |= self._update_discriminators(inputs, targets, final)
        return {name: values[name].detach() for name in LOSSES if name in values}

    def state(self) -> dict[str, Any]:
        """Return the state dicts of networks and optimisers, by their names."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what :meth:`state` gave; whatever torch raises says what does not fit."""
        for name, part in self._parts().items():
            if isinstance(part, nn.Module):
                part.load_state_dict(state[name])
            else:
                load_optimiser(part, state[name])

    def _parts(self) -> dict[str, nn.Module | torch.optim.Optimizer]:
        return {
            "model": self.model,
            "discriminators": self.discriminators,
            "generator_optimiser": self.generator_optimiser,
            "discriminator_optimiser": self.discriminator_optimiser,
        }

    @property
    def coarse_only(self) -> bool:
        """Whether the last step was of the coarse stage."""
        return self._stage == "coarse"

    def autocast(self) -> torch.autocast:
        """Return the context in which networks compute in the configured precision."""
        return autocast(self.device, self.configuration.training.precision)

    def _enter(self, stage: Stage) -> None:
        """Begin a stage: in the coarse one the detail branch has no gradients, and a pose transfer
        branch that stays has none in any.
        """
        if stage == self._stage:
            return
        self._stage = stage
        self.model.requires_grad_(stage == "fine")
        self.model.pose_branch.requires_grad_(not self.configuration.training.pose_branch_stays)
        self._generator = self.world.wrap(self.model, self.device)

    def _update_generator(
        self, inputs: Inputs, targets: Tensor, adversarial: bool
    ) -> tuple[Outputs, dict[str, Tensor]]:
        coarse_only = self.coarse_only
        self.discriminators.requires_grad_(False)
        with self.autocast():
            outputs: Outputs = self._generator(inputs, coarse_only=coarse_only)
            values = self._image_losses(outputs, targets, coarse_only)
            if adversarial:
                scores = self.discriminators(inputs.source, inputs.target_pose, outputs.final)
                values["adversarial"] = torch.stack([*map(losses.generator_loss, scores)]).sum()
        weights = self.configuration.loss
        parts = [getattr(weights, name) * value for name, value in values.items()]
        values["total"] = torch.stack(parts).sum()
        self.generator_optimiser.zero_grad()
        values["total"].backward()  # type: ignore[no-untyped-call]
        if longest := self.configuration.training.clip_norm:
            clip_grad_norm_(self.model.parameters(), longest)
        self.generator_optimiser.step()
        self.discriminators.requires_grad_(True)
        return outputs, values

    def _image_losses(
        self, outputs: Outputs, targets: Tensor, coarse_only: bool
    ) -> dict[str, Tensor]:
        """Return the losses of I_c and I_t; one of weight 0 is not computed."""
        weights = self.configuration.loss
        values: dict[str, Tensor] = {}
        looks = (weights.perceptual, weights.style, weights.texture)
        wanted: list[Tensor] = []
        if any((weights.perceptual_coarse, *looks)):
            with torch.no_grad():
                wanted = self._perceptual(targets)
        # Without a detail branch I_t is I_c, and counts once; a branch that stays has no losses.
        has_coarse = coarse_only or self.configuration.model.has_details
        has_coarse = has_coarse and not self.configuration.training.pose_branch_stays
        if has_coarse and weights.l1_coarse:
            values["l1_coarse"] = losses.l1(outputs.coarse, targets)
        if has_coarse and weights.perceptual_coarse:
            maps = self._perceptual(outputs.coarse)
            values["perceptual_coarse"] = losses.perceptual(maps, wanted)
        if coarse_only:
            return values
        if weights.l1:
            values["l1"] = losses.l1(outputs.final, targets)
        maps = self._perceptual(outputs.final) if any(looks) else []
        for loss in (losses.perceptual, losses.style, losses.texture):
            if getattr(weights, loss.__name__):
                values[loss.__name__] = loss(maps, wanted)
        if weights.summary:
            with torch.no_grad():
                meant = self._summary(targets)
            values["summary"] = losses.summary(self._summary(outputs.final), meant)
        return values

    def _summary(self, image: Tensor) -> Tensor:
        summary: Tensor = self._perceptual.summary((image.clamp(-1, 1) + 1) / 2)
        return summary

    def _update_discriminators(
        self, inputs: Inputs, targets: Tensor, final: Tensor
    ) -> dict[str, Tensor]:
        """Update D_A and D_S once; real and generated images go through them together."""
        count = len(final)
        with self.autocast():
            scores = self._judges(
                torch.cat([inputs.source, inputs.source]),
                torch.cat([inputs.target_pose, inputs.target_pose]),
                torch.cat([targets, final]),
            )
            appearance, pose = (losses.discriminator_loss(s[:count], s[count:]) for s in scores)
        self.discriminator_optimiser.zero_grad()
        (appearance + pose).backward()  # type: ignore[no-untyped-call]
        self.discriminator_optimiser.step()
        return {"discriminator_appearance": appearance, "discriminator_pose": pose}
