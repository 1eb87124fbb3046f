"""A data folder and a configuration so small that a step takes a few hundredths of a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from fhpt_eval.benchmarks.mannequin.layout import Settings, write_benchmark
from fhpt_eval.reference_models.drn.configuration import Configuration
from fhpt_eval.reference_models.drn.data.pairs import PairSet, read_data

CPU = torch.device("cpu")

MODEL: dict[str, Any] = {
    "base_channels": 4,
    "downsamplings": 2,
    "blocks": 1,
    "stem_kernel": 3,
    "pose_width": 0.5,
    "style_dimension": 8,
    "appearance_channels": 4,
    "detail_channels": 8,
    "detail_blocks": 1,
    "face_size": 16,
    "discriminator_channels": 4,
    "discriminator_downsamplings": 2,
    "discriminator_blocks": 1,
}
TRAINING: dict[str, Any] = {
    "steps": 20,
    "coarse_steps": 4,
    "adversarial_from": 7,
    "batch_size": 4,
    "learning_rate": 1e-3,
}


def configuration(
    model: dict[str, Any] | None = None, loss: dict[str, Any] | None = None, **training: Any
) -> Configuration:
    """Return a configuration for images of 32 x 24; what is given stands instead of its own."""
    return Configuration.model_validate(
        {
            "name": "small",
            "height": 32,
            "width": 24,
            "heatmap_sigma": 2.0,
            "model": MODEL | (model or {}),
            "loss": {"perceptual_network": "random"} | (loss or {}),
            "training": TRAINING | training,
        }
    )


#: A configuration with all that the paper does not have, and that a shipped one uses.
ALL: dict[str, Any] = {
    "model": {"style_summary": True, "even_doubling": True, "coarse_filter": 3},
    "loss": {"texture": 1.0, "summary": 1.0},
    "clip_norm": 1.0,
}


def toml_of(one: Configuration) -> str:
    """Return a configuration as TOML."""

    def text(value: object) -> str:
        return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')

    values = one.model_dump(mode="json")
    lines = [f"{key} = {text(v)}" for key, v in values.items() if not isinstance(v, dict)]
    for section in (key for key, value in values.items() if isinstance(value, dict)):
        lines += [f"[{section}]", *(f"{key} = {text(v)}" for key, v in values[section].items())]
    return "\n".join(lines) + "\n"


def draw_folder(folder: Path, identities: int = 4) -> Path:
    """Draw people of 48 x 32, twelve pairs each; every fifth, the first too, is for the test."""
    write_benchmark(folder, Settings(identities=identities, seed=5, height=48, width=32))
    return folder


def training_pairs(folder: Path) -> PairSet:
    """Read the training split of such a folder."""
    return read_data(folder, "train")
