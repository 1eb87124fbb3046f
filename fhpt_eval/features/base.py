"""What a feature is: arrays computed from one image by a named network or algorithm.

Knows nothing of metrics.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from fhpt_eval.common.validation import Frozen


class Feature(Frozen):
    """A feature's declaration and parameters; equal features are computed once, whoever asks.

    Class attributes:
        name: the feature's name in addresses.
        version: raised whenever the same image gives other arrays.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1

    @abstractmethod
    def compute(self, images: Tensor) -> Mapping[str, Tensor]:
        """Return named arrays, a row per image, for ``(N, 3, H, W)`` uint8 images.

        A row may depend on its own image alone, to the bit: not on the others in the batch, nor on
        its place among them.

        Raises:
            ArgumentError: the tensor has the wrong type, shape or range.
            WeightsError: there are no weights, or they are not the feature's.
        """

    def digests(self) -> Mapping[str, str]:
        """Return the SHA-256 of every file of learned figures that the arrays rest on, by name."""
        return {}

    def software(self) -> Mapping[str, str]:
        """Return the versions of libraries that the arrays rest on, beyond those of the package."""
        return {}

    def lacks(self) -> str:
        """Say what this machine lacks for the feature and what would cure it, or nothing."""
        return ""

    def load(self, device: torch.device) -> None:
        """Load what it computes with, so that a fault shows before any work.

        Raises:
            WeightsError: a file of weights cannot be used.
        """

    def canonical(self) -> dict[str, Any]:
        """Return all that fixes the arrays, as JSON values."""
        return {
            "feature": self.name,
            "version": self.version,
            "parameters": self.model_dump(mode="json"),
            "weights": dict(self.digests()),
            "software": dict(self.software()),
        }
