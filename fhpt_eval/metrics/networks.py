"""The network that FID, KID and the Inception score see images with.

They name an Inception network as their papers do, or the network of the mannequin benchmark, whose
scores then are others, with a name that says so (``fid[mannequin]``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from fhpt_eval.features import inception
from fhpt_eval.features.base import Feature
from fhpt_eval.features.mannequin.garments import Garments
from fhpt_eval.metrics.on_features import FeatureSetMetric

NetworkName = Literal["inception-2015", "inception_v3-imagenet", "mannequin"]

#: Of the pool features of each network.
DIMENSIONS: Mapping[NetworkName, int] = {
    "inception-2015": 2048,
    "inception_v3-imagenet": 2048,
    "mannequin": 128,
}


class NetworkMetric(FeatureSetMetric):
    """What such metrics share.

    Parameters:
        network: the network; ``"mannequin"`` is trained on the drawn people of the package.
        resize: what makes an Inception network's input of an image; see
            :class:`fhpt_eval.features.inception.Inception`.
        network_weights: a registered name or a file, where they are not the registered ones.
    """

    by_content: ClassVar[frozenset[str]] = frozenset({"network_weights"})
    takes_floats: ClassVar[bool] = True

    network: NetworkName = "inception-2015"
    resize: inception.ResizeName = "pytorch-fid"
    network_weights: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _resizes_by_itself(self) -> Self:
        if self.network == "mannequin" and self.resize != "pytorch-fid":
            raise ValueError(
                "the network 'mannequin' has a resize of its own; leave resize out, or choose an "
                "Inception network"
            )
        return self

    @property
    def dimensions(self) -> int:
        """The number of the pool features."""
        return DIMENSIONS[self.network]

    def features(self) -> Mapping[str, Feature]:
        """See :meth:`FeatureMetric.features`; equal settings are one pass, whoever asks."""
        if self.network == "mannequin":
            return {"network": Garments.model_validate({"weights": self.network_weights})}
        fields = {"network": self.network, "resize": self.resize, "weights": self.network_weights}
        return {"network": inception.Inception.model_validate(fields)}

    def canonical(self) -> Mapping[str, Any]:
        """See :meth:`Metric.canonical`: the mannequin benchmark's network resizes by itself."""
        settings = dict(super().canonical())
        return settings | {"resize": None} if self.network == "mannequin" else settings
