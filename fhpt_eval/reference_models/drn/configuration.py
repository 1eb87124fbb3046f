"""Configurations: every size, weight and schedule of a model in one checked, frozen record.

Configurations are TOML files; those in ``configurations/`` are shipped and known by name. The
sections' docstrings explain every key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from fhpt_eval.common.files import toml_table
from fhpt_eval.common.shipped import Shipped
from fhpt_eval.common.validation import Frozen, explained

_SHIPPED = Shipped(
    "fhpt_eval.reference_models.drn.configurations", "configuration", "a configuration"
)
#: The names of the shipped configurations, sorted.
configuration_names = _SHIPPED.names

PerceptualName = Literal["vgg19-imagenet", "mannequin", "random"]
Precision = Literal["float32", "bfloat16"]

_Count = Annotated[int, Field(ge=1, le=4096)]
_Weight = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Steps = Annotated[int, Field(ge=0, le=10**9)]


class ModelSettings(Frozen):
    """Sizes of the networks, and what is left out of them for an ablation.

    Parameters:
        base_channels: of the pose transfer branch at full size; doubled by each downsampling.
        downsamplings: halvings between the image and the pose-attentional blocks.
        blocks: pose-attentional transfer blocks.
        stem_kernel: side of the kernels that work at full size, first and last; odd.
        pose_width: channels inside a block's pose path, as a multiple of its image path's.
        style_dimension: length of the style code.
        style_grid: rows and columns of the adaptive average pooling before the style code.
        style_summary: whether a linear map of the perceptual network's summary of the source image
            is added to the global module's style code; the paper has nothing of the kind.
        appearance_channels: of the style encoders at full size; doubled by each downsampling block
            up to eight times as many.
        appearance_downsamplings: residual down-sampling blocks of the style encoders.
        detail_channels: of the detail paths where they start (before their upsampling).
        detail_blocks: adaptive residual blocks of the detail paths before their upsampling.
        even_doubling: whether the detail paths' transposed convolutions are kept from drawing
            checkerboards (:class:`~fhpt_eval.reference_models.drn.model.extensions.EvenDoubling`).
        coarse_filter: side of a linear filter of I_c, odd, that the global module adds to R_t, in
            pixels; 0, as in the paper, for none.
        waves: number of sine waves, each of another length and in four directions, that the global
            module's path is given at full size to make textures of; 0, as in the paper, for none.
        face_size: F, side of the square in which the face is drawn, in pixels.
        face_blur_sigma: of the Gaussian that softens the face mask, in pixels of the working size.
        global_module, face_module: whether the model has the module at all.
        style_code: whether the detail paths are normalised by a style code, or plainly.
        discriminator_channels: of a discriminator's first layer.
        discriminator_downsamplings: halvings before a discriminator's residual blocks.
        discriminator_blocks: residual blocks of a discriminator.
    """

    base_channels: _Count = 64
    downsamplings: Annotated[int, Field(ge=1, le=5)] = 2
    blocks: Annotated[int, Field(ge=1, le=64)] = 9
    stem_kernel: Literal[1, 3, 5, 7, 9] = 7
    pose_width: Annotated[float, Field(gt=0, le=4)] = 2.0
    style_dimension: _Count = 256
    style_grid: Annotated[
        tuple[Annotated[int, Field(ge=1, le=16)], Annotated[int, Field(ge=1, le=16)]],
        Field(strict=False),
    ] = (4, 2)
    style_summary: bool = False
    appearance_channels: _Count = 64
    appearance_downsamplings: Annotated[int, Field(ge=1, le=6)] = 4
    detail_channels: _Count = 256
    detail_blocks: Annotated[int, Field(ge=1, le=64)] = 4
    even_doubling: bool = False
    coarse_filter: Literal[0, 3, 5, 7, 9] = 0
    waves: Annotated[int, Field(ge=0, le=16)] = 0
    face_size: Annotated[int, Field(ge=8, le=1024)] = 64
    face_blur_sigma: Annotated[float, Field(ge=0.1, le=100)] = 4.0
    global_module: bool = True
    face_module: bool = True
    style_code: bool = True
    discriminator_channels: _Count = 64
    discriminator_downsamplings: Annotated[int, Field(ge=1, le=6)] = 3
    discriminator_blocks: Annotated[int, Field(ge=0, le=64)] = 3

    @property
    def hears_summary(self) -> bool:
        """Whether there is a style code that :attr:`style_summary` can be added to."""
        return self.style_summary and self.style_code and self.global_module

    @property
    def has_details(self) -> bool:
        """Whether there is a detail branch; without one the model is the pose transfer branch."""
        return self.global_module or self.face_module


class LossSettings(Frozen):
    """Weights of the losses; those that end in ``_coarse`` are of I_c, the others of I_t.

    What each one measures is told in :mod:`~fhpt_eval.reference_models.drn.training.losses`.
    ``texture``, of the perceptual network's first three maps, and ``summary``, of what it says of
    the whole image, are not the paper's.
    """

    l1_coarse: _Weight = 5.0
    perceptual_coarse: _Weight = 1.0
    l1: _Weight = 5.0
    perceptual: _Weight = 1.0
    style: _Weight = 500.0
    texture: _Weight = 0.0
    summary: _Weight = 0.0
    adversarial: _Weight = 1.0
    perceptual_network: PerceptualName = "vgg19-imagenet"


class TrainingSettings(Frozen):
    """How long, how fast and in which order a model is trained.

    Parameters:
        steps: updates of the generator in all.
        coarse_steps: how many of them, at the start, are of the pose transfer branch alone.
        pose_branch_stays: whether the pose transfer branch keeps the weights that the training
            starts from, so that all steps are the detail branch's.
        batch_size: pairs per step, on all devices together.
        decay_from: share of the steps after which the learning rate falls linearly to 0.
        discriminator_updates: of each discriminator per update of the generator.
        learning_rate: of both RAdam optimisers, at the start.
        betas: RAdam's decay rates, of the gradients' mean and of their variance.
        clip_norm: largest L2 norm of all gradients of the generator together, to which longer ones
            are shortened; 0, as in the paper, leaves them as they are.
        adversarial_from: the step at which the adversarial loss sets in.
        seed: of the first weights, of the order of the pairs and of every other random number.
        precision: what the networks compute in; parameters and losses are float32 throughout.
        channels_last: whether images lie in memory with their channels together.
        compile: whether the networks are compiled first (``torch.compile``).
    """

    steps: Annotated[int, Field(ge=1, le=10**9)] = 200_000
    coarse_steps: _Steps = 60_000
    pose_branch_stays: bool = False
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 7
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 2e-4
    decay_from: _Share = 0.5
    betas: Annotated[
        tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]],
        Field(strict=False),
    ] = (0.5, 0.999)
    clip_norm: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] = 0.0
    discriminator_updates: Annotated[int, Field(ge=1, le=100)] = 3
    adversarial_from: _Steps = 60_000
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    precision: Precision = "float32"
    channels_last: bool = False
    compile: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.coarse_steps > self.steps:
            raise ValueError(
                f"coarse_steps ({self.coarse_steps}) are among the {self.steps} steps; there "
                "cannot be more of them"
            )
        if self.pose_branch_stays and self.coarse_steps:
            raise ValueError(
                f"coarse_steps ({self.coarse_steps}) train the pose transfer branch, and "
                "pose_branch_stays keeps it as it is; set coarse_steps to 0, or pose_branch_stays "
                "to false"
            )
        return self


class Configuration(Frozen):
    """A model and its training. Height and width are the working size, in pixels."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._+-]*$", max_length=100)]
    height: Annotated[int, Field(ge=16, le=4096)] = 256
    width: Annotated[int, Field(ge=16, le=4096)] = 176
    #: Of a joint's heatmap, in pixels of the working size.
    heatmap_sigma: Annotated[float, Field(ge=0.1, le=100)] = 6.0
    model: ModelSettings = ModelSettings()
    loss: LossSettings = LossSettings()
    training: TrainingSettings = TrainingSettings()

    def computed(self, ways: Mapping[str, Any]) -> Self:
        """Return the configuration with other values of precision, channels_last or compile."""
        return self.model_copy(update={"training": self.training.model_copy(update=ways)})

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        for fault in (*self._without_effect(), *self._indivisible(), *self._without_pixels()):
            raise ValueError(fault)
        return self

    def _without_effect(self) -> Iterator[str]:
        """Yield what would never be used, or never learn."""
        loss, training = self.loss, self.training
        first = max(training.adversarial_from, training.coarse_steps)  # steps count from 0
        if loss.adversarial and first >= training.steps:
            yield (
                f"the adversarial loss would set in at step {first} of {training.steps}, which "
                "are counted from 0, so that it would never be used; set an earlier "
                "training.adversarial_from, fewer training.coarse_steps, or loss.adversarial to 0"
            )
        if training.coarse_steps and not (loss.l1_coarse or loss.perceptual_coarse):
            yield (
                "loss.l1_coarse and loss.perceptual_coarse are both 0, so the coarse_steps have "
                "no loss; set one, or training.coarse_steps to 0"
            )
        if training.coarse_steps < training.steps and not (loss.l1 or loss.perceptual):
            yield (
                "loss.l1 and loss.perceptual are both 0, so nothing draws the final image towards "
                "the target; set one of them"
            )
        if training.pose_branch_stays and not self.model.has_details:
            yield (
                "training.pose_branch_stays leaves nothing to train, as model.global_module and "
                "model.face_module are false; set it to false, or one of them to true"
            )

    def _indivisible(self) -> Iterator[str]:
        """Yield sides that the halvings leave a rest of."""
        step = 2**self.model.downsamplings
        sides = (("height", self.height), ("width", self.width),
                 ("model.face_size", self.model.face_size))  # fmt: skip
        for key, side in sides:
            if side % step:
                yield (
                    f"{key} ({side}) must be a multiple of {step}, as model.downsamplings is "
                    f"{self.model.downsamplings}; the next ones are {side - side % step} and "
                    f"{side - side % step + step}"
                )

    def _without_pixels(self) -> Iterator[str]:
        """Yield halvings after which a normalisation over all places would see a single one."""
        model, face = self.model, self.model.face_size
        frames = [("downsamplings", self.height, self.width)]
        frames += [("downsamplings", face, face)] if model.face_module else []
        frames += [("discriminator_downsamplings", self.height, self.width)]
        for name, height, width in frames:
            halvings = getattr(model, name)
            left = [side // 2**halvings for side in (height, width)]
            if min(left) < 1 or max(left) < 2:
                yield (
                    f"model.{name} ({halvings}) leaves {left[0]} x {left[1]} places of {height} x "
                    f"{width} pixels, and at least 2 x 1 are needed; set fewer"
                )


def load_configuration(name: str | Path) -> Configuration:
    """Load a shipped configuration by name, or one of your own from a TOML file.

    Raises:
        InputError: there is no such configuration, or the file has faults; the message names each
            key, what is allowed, and near misses.
    """
    return parse_configuration(*_SHIPPED.read(name))


def parse_configuration(text: str, label: str) -> Configuration:
    """Check the text of a configuration file; ``label`` names it in messages.

    Raises:
        InputError: lists every fault.
    """
    with explained(Configuration, label):
        return Configuration.model_validate(toml_table(text, label))
