"""The whole model: three networks and the formula that puts their images together.

I_t = (1 - M_F) * (I_c + R_t) + M_F * I^_F                        (arXiv 2005.12494; docs/drn.md)
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from fhpt_eval.reference_models.drn.configuration import Configuration
from fhpt_eval.reference_models.drn.detail import FaceModule, GlobalModule
from fhpt_eval.reference_models.drn.face_frame import face_masks, place_faces
from fhpt_eval.reference_models.drn.inputs import Inputs
from fhpt_eval.reference_models.drn.perceptual import Summary
from fhpt_eval.reference_models.drn.pose_branch import PoseTransferBranch


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the model draws for N pairs; all float32.

    Attributes:
        coarse: I_c, ``(N, 3, H, W)`` in [-1, 1].
        residual: R_t, ``(N, 3, H, W)``, unbounded; ``None`` without the global module.
        face: I^_F, ``(N, 3, F, F)`` in [-1, 1], in the frame of the face box, and without meaning
            where the target has none; ``None`` without the face module.
        face_mask: M_F, ``(N, 1, H, W)`` in [0, 1]; 0 without a face box or the face module.
        final: I_t, ``(N, 3, H, W)``. It is not clamped, since beyond its bounds a clamped image
            has no gradient; clamp it to [-1, 1] before it is written.
    """

    coarse: Tensor
    residual: Tensor | None
    face: Tensor | None
    face_mask: Tensor
    final: Tensor


def compose(
    coarse: Tensor, residual: Tensor | None, face: Tensor | None, boxes: Tensor, sigma: float
) -> tuple[Tensor, Tensor]:
    """Return M_F and I_t = (1 - M_F) * (I_c + R_t) + M_F * I^_F.

    Args:
        coarse: I_c, ``(N, 3, H, W)``.
        residual: R_t of the same shape; ``None`` is 0.
        face: I^_F, ``(N, 3, F, F)``, placed at its box; with ``None`` M_F is 0.
        boxes: B_F, ``(N, 4)``, see :mod:`~fhpt_eval.reference_models.drn.face_frame`.
        sigma: of the Gaussian that blurs the box's indicator, in pixels.
    """
    height, width = coarse.shape[2:]
    image = coarse if residual is None else coarse + residual
    if face is None:
        return coarse.new_zeros(len(coarse), 1, height, width), image
    mask = face_masks(boxes, height, width, sigma)  # (N, 1, H, W)
    placed = place_faces(face, boxes, height, width)  # (N, 3, H, W)
    return mask, (1 - mask) * image + mask * placed


class Model(nn.Module):
    """The Detail Replenishing Network, or what an ablation leaves of it.

    Without both modules it is the pose transfer branch alone, whose final image is I_c.

    Attributes:
        pose_branch: G_P.
        global_module, face_module: ``None`` where the configuration leaves them out.
    """

    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        settings = configuration.model
        self.sigma = settings.face_blur_sigma
        self.pose_branch = PoseTransferBranch(settings)
        self.global_module: GlobalModule | None = None
        if settings.global_module:
            network = configuration.loss.perceptual_network
            summary = Summary(network) if settings.hears_summary else None
            self.global_module = GlobalModule(self.pose_branch.channels, settings, summary)
        self.face_module = FaceModule(settings) if settings.face_module else None

    def forward(self, inputs: Inputs, *, coarse_only: bool = False) -> Outputs:
        """Draw the target images.

        Args:
            inputs: N pairs; height and width are multiples of 2^k, k the downsamplings.
            coarse_only: leave the detail branch out, as in the first part of the training; the
                final image is then I_c.
        """
        coarse, features = self.pose_branch(inputs.source, inputs.source_pose, inputs.target_pose)
        residual = face = None
        if self.global_module is not None and not coarse_only:
            residual = self.global_module(features, inputs.source, coarse)
        if self.face_module is not None and not coarse_only:
            face = self.face_module(inputs.target_face_pose, inputs.source_face)
        mask, final = compose(coarse, residual, face, inputs.face_box, self.sigma)
        return Outputs(coarse, residual, face, mask, final)


def build_model(configuration: Configuration) -> Model:
    """Return a new model with random weights, drawn from torch's global generator, on the CPU."""
    return Model(configuration)
