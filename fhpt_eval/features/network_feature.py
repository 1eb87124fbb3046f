"""What features of one network have in common: whose weights they use, how they tell it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any

from pydantic import Field

from fhpt_eval import weights
from fhpt_eval.features.base import Feature


class NetworkFeature(Feature):
    """A feature computed by a network whose weights are registered or in a file.

    Fields:
        weights: a registered name or a file, where they are not the registered ones.
    """

    weights: Annotated[str, Field(min_length=1)] | None = None

    @property
    @abstractmethod
    def registered(self) -> str:
        """The name of the network's registered weights."""

    @property
    def source(self) -> str:
        """The name or file of the weights that are used."""
        return self.weights or self.registered

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of the weights; of registered ones without a file.

        Raises:
            WeightsError: an explicit file is not there.
        """
        return {self.registered: weights.digest_of(self.source)}

    def canonical(self) -> dict[str, Any]:
        """See :meth:`Feature.canonical`: of weights the digest counts, not where they lie."""
        return super().canonical() | {
            "parameters": self.model_dump(mode="json", exclude={"weights"}),
            "weights": sorted(self.digests().values()),
        }

    def lacks(self) -> str:
        """Say which weights are missing on this machine and what would cure it, or nothing."""
        return weights.available(self.source)
