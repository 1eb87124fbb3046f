"""Networks with weights of their own, registered ones or a file: checked, loaded once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from fhpt_eval.features.loading import loaded_once
from fhpt_eval.features.networks import Network
from fhpt_eval.weights.state import load_state
from fhpt_eval.weights.store import available, digest_of

#: Networks that stay in memory, on all devices together; the last used ones.
_KEPT = 12


class WeightedNetwork(Network):
    """A network whose weights are registered, or in a file.

    Fields:
        weights: a registered name or a file, where they are not the registered ones.

    Class attributes:
        registered: the name of its registered weights.
    """

    registered: ClassVar[str]

    weights: Annotated[str, Field(min_length=1)] | None = None

    @classmethod
    @abstractmethod
    def build(cls, state: Mapping[str, Tensor], device: torch.device, label: str) -> Any:
        """Make what computes on a device of a state dict, which errors call ``label``.

        Raises:
            WeightsError: an entry is missing, unknown, of another shape, or not of finite floats.
        """

    @property
    def weights_used(self) -> str:
        """The name or file of the weights that are used."""
        return self.weights or self.registered

    def loaded(self, device: torch.device) -> Any:
        """Return what :meth:`build` makes of the weights, once per process and device.

        However many threads ask at the same time; a file that has changed is another. It is shared,
        and must not be changed.

        Raises:
            WeightsError: there are no such weights, or they are not of this network.
        """
        return _built(self.weights_used, type(self), device)

    def load(self, device: torch.device) -> None:
        self.loaded(device)

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of the weights; of registered ones without a file.

        Raises:
            WeightsError: an explicit file is not there.
        """
        return {self.registered: digest_of(self.weights_used)}

    def canonical(self) -> dict[str, Any]:
        """See :meth:`Feature.canonical`: of weights the digest counts, not where they lie."""
        return super().canonical() | {
            "parameters": self.model_dump(mode="json", exclude={"weights"}),
            "weights": sorted(self.digests().values()),
        }

    def lacks(self) -> str:
        return available(self.weights_used)


@loaded_once(_KEPT)
def _built(source: str, kind: type[WeightedNetwork], device: torch.device) -> Any:
    return kind.build(load_state(source), device, source)
