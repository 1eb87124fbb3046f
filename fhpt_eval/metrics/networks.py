"""Metrics that see images with a network, which is chosen by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from fhpt_eval.errors import InputError, ProtocolError
from fhpt_eval.features.base import Feature
from fhpt_eval.features.networks import (
    Gift,
    Network,
    load_network,
    network_names,
    network_package,
    network_type,
    networks_that_give,
)
from fhpt_eval.metrics.base import Metric, Shown
from fhpt_eval.metrics.on_features import FeatureSetMetric

#: Settings of networks that count by what is in the files, and a name that the network's has in it.
_BY_CONTENT = {"weights", "path", "model"}

Text = Annotated[str, Field(min_length=1)]


def _refuse_floats(metric: NetworkMetric, shown: Shown) -> None:
    """Refuse a preparation that leaves floats where the network takes 8-bit images alone."""
    floats = any(step.get("result") == "float" for step in shown.steps)
    if floats and not metric.chosen().takes_floats:
        raise InputError(
            f"{metric.name}: network '{metric.network}' takes 8-bit images, and the protocol's "
            "resize leaves floats (result = 'float'). Give it a preparation of its own."
        )


class NetworkMetric(Metric):
    """What such metrics share; any installed network that gives what the metric wants will do.

    Parameters:
        network: the name of the network; see ``fhpt-eval networks``.
        network_weights: a registered name or a file, where they are not the registered ones.
        network_settings: further settings of the network, by their names.

    Class attributes:
        wants: what the network must give.
        of_network: parameters that are the network's own settings of these names. One that the
            network has not is refused; one that is left out is as the network has it.
    """

    by_content: ClassVar[frozenset[str]] = frozenset({"network_weights"})
    checks: ClassVar[tuple[Callable[[Any, Shown], None], ...]] = (_refuse_floats,)
    wants: ClassVar[Gift]
    of_network: ClassVar[tuple[str, ...]] = ()

    network: Text
    network_weights: Text | None = None
    network_settings: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_a_network(self) -> Self:
        try:
            gives = network_type(self.network).gives
            if self.wants not in gives:
                raise ProtocolError(
                    f"network '{self.network}' gives {', '.join(sorted(gives))}, and "
                    f"{self.name} wants {self.wants}: {', '.join(networks_that_give(self.wants))}"
                )
            self.chosen()
        except ProtocolError as error:
            raise ValueError(str(error).removesuffix(".")) from None
        return self

    def __hash__(self) -> int:
        """Return a hash that settings in a table do not stand in the way of."""
        return hash((type(self), self.model_dump_json()))

    def chosen(self) -> Network:
        """Return the network with its settings.

        Raises:
            ProtocolError: there is none of that name, or it has no such setting.
        """
        own = {name: getattr(self, name) for name in self.of_network}
        settings = dict(self.network_settings)
        settings |= {name: value for name, value in own.items() if value is not None}
        if self.network_weights is not None:
            settings["weights"] = self.network_weights
        known = network_type(self.network).model_fields
        for name in settings:
            if name not in known:
                parameter = "network_weights" if name == "weights" else name
                settings_of = f"it has {', '.join(known)}" if name in self.network_settings else ""
                raise ProtocolError(
                    f"network '{self.network}' has no {parameter}; {settings_of or 'leave it out'}"
                )
        return load_network(self.network, settings)

    def software(self) -> Mapping[str, str]:
        """See :meth:`Metric.software`: with the package that brings the network."""
        versions = super().software()
        if self.network in network_names():
            package, version = network_package(self.network)
            return versions if package == "fhpt-eval" else {**versions, package: version}
        return versions

    def canonical(self) -> Mapping[str, Any]:
        """See :meth:`Metric.canonical`: with all settings that the network has."""
        network = self.chosen()
        settings = network.model_dump(mode="json", exclude=_BY_CONTENT)
        of_network = {name: settings.pop(name, None) for name in self.of_network}
        parameters = {**super().canonical(), "network": network.label, **of_network}
        del parameters["network_settings"]
        return {**parameters, "network_settings": settings} if settings else parameters


class SetNetworkMetric(NetworkMetric, FeatureSetMetric):
    """A metric over sets on the rows or logits of a network.

    Parameters:
        network, network_weights: see :class:`NetworkMetric`.
        resize: what makes the network's input of an image, where it knows several ways; see
            :class:`fhpt_eval.features.inception.Inception`.
    """

    takes_floats: ClassVar[bool] = True
    of_network: ClassVar[tuple[str, ...]] = ("resize",)

    network: Text = "inception-2015"
    resize: Text | None = None

    def features(self) -> Mapping[str, Feature]:
        """See :meth:`FeatureMetric.features`; equal settings are one pass, whoever asks."""
        return {"network": self.chosen()}
