"""Networks: features that metrics choose by name, found among installed packages.

A network is a :class:`~fhpt_eval.features.base.Feature` that declares what it gives. Ours and
anyone's register alike, by an entry point in the group ``fhpt_eval.networks``; a model of timm and
a file with a network are named by form, ``timm:MODEL`` and ``FILE.pt``, ``.ts`` or ``.onnx``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from fhpt_eval.common.plugins import Group, fault_of_class
from fhpt_eval.common.validation import explained
from fhpt_eval.errors import ArgumentError, ProtocolError
from fhpt_eval.features.base import Feature

Gift = Literal["rows", "logits", "joints", "face", "maps"]

#: What a network may give, in the order in which people read it.
GIFTS: tuple[Gift, ...] = get_args(Gift)
#: Arrays that hold rows for a distance; a network has one of them or both.
ROWS = ("pool", "embedding")

_TIMM = "timm:"


class Network(Feature):
    """A network's declaration and settings; its fields are the settings.

    What :meth:`compute` returns depends on ``gives``:

    - ``"rows"``: ``pool`` or ``embedding``, ``(N, D)`` finite floats, or both: ``pool`` is what a
      distance of sets takes first, ``embedding`` what retrieval does;
    - ``"logits"``: ``logits`` and ``logits_unbiased`` (without the classifier's bias), ``(N, K)``;
    - ``"joints"``: ``keypoints`` ``(N, 18, 3)``, x and y in pixels of the image, pixel centres at
      whole numbers, and confidence, in the order of COCO, NaN where missing; ``size`` ``(N, 2)``,
      height and width of the image; ``persons`` ``(N,)``, how many persons were found in it;
    - ``"face"``: ``found`` ``(N,)``, how many faces there are, and of the clearest one ``box``
      ``(N, 4)``, ``score`` ``(N,)`` and ``descriptor`` ``(N, D)``, NaN where there is none.

    ``"maps"`` are what :meth:`maps` returns.

    Class attributes:
        title: its name for people.
        gives: see above.
        dimensions: the size of a row, by the name of its array, where it is known beforehand.
        made_for: what images it was made for, such as "photographs".
        licence: of its weights.
        citation: where it comes from.
        same_person: how far apart two descriptors of one person may lie, where it gives faces.
        takes_floats: whether it takes images as a resize leaves them, floats beyond 8 bits.
        smallest: the least height and width, in pixels, of which it gives maps.
    """

    title: ClassVar[str]
    gives: ClassVar[frozenset[Gift]]
    dimensions: ClassVar[Mapping[str, int]] = {}
    made_for: ClassVar[str]
    licence: ClassVar[str] = ""
    citation: ClassVar[str] = ""
    same_person: ClassVar[float | None] = None
    takes_floats: ClassVar[bool] = False
    smallest: ClassVar[int] = 1

    @property
    def label(self) -> str:
        """What a protocol's digest calls the network, its weights and settings apart."""
        return self.name if self.version == 1 else f"{self.name}, version {self.version}"

    def maps(self, images: Tensor) -> list[Tensor]:  # noqa: ARG002
        """Return feature maps, ``(N, C, h, w)`` float32 each, of the layers that it is read at.

        Two images at a time are what a perceptual distance asks for on a CPU. A map depends on its
        own image alone.

        Args:
            images: ``(N, 3, H, W)``, uint8 or float in [0, 1]; of at least :attr:`smallest` pixels.

        Raises:
            ArgumentError: the network gives no maps, or as :meth:`Feature.compute`.
            WeightsError: likewise.
        """
        raise ArgumentError(f"network '{self.name}' gives no maps")

    def channel_weights(self, device: torch.device) -> Sequence[Tensor]:  # noqa: ARG002
        """Return how much each channel of :meth:`maps` counts in a distance, ``(C,)`` per layer.

        Nothing, by default: all channels count alike.
        """
        return ()


_GROUP = Group(
    "fhpt_eval.networks",
    "network",
    error=ProtocolError,
    fault=lambda kind, name: fault_of_class(
        kind, name, Network, ("name", "title", "gives", "made_for")
    ),
    also="; also timm:MODEL, or a file that ends in .pt, .ts or .onnx",
)

#: The names of all installed networks, sorted; imports none of them.
network_names = _GROUP.names
#: The name and version of the package that brings an installed network, by the network's name.
network_package = _GROUP.distribution


def network_type(name: str) -> type[Network]:
    """Import the network of that name: an installed one, ``timm:MODEL``, or the path of a file.

    The file ends in ``.pt``, ``.ts`` or ``.onnx``.

    Raises:
        ProtocolError: there is none of that name (near misses are named), two packages claim it, or
            it cannot be imported or is no network.
    """
    from fhpt_eval.features.embedding.files import NetworkFile, is_network_file

    if name.startswith(_TIMM):
        from fhpt_eval.features.embedding.networks import Timm

        return Timm
    if is_network_file(name):
        return NetworkFile
    kind: type[Network] = _GROUP.load(name)
    return kind


def load_network(name: str, settings: Mapping[str, Any] | None = None) -> Network:
    """Return a network with its settings, such as ``weights`` or ``resize``; loads no weights.

    Raises:
        ProtocolError: see :func:`network_type`; or the network has no such setting.
    """
    kind = network_type(name)
    fields = dict(settings or {})
    if name.startswith(_TIMM):
        fields["model"] = name.removeprefix(_TIMM)
    elif name not in network_names():
        fields["path"] = name
    with explained(kind, f"network {name}", ProtocolError):
        return kind.model_validate(fields)


def networks_that_give(gift: Gift) -> list[str]:
    """Return the names of the installed networks that give it; those that are broken are not."""

    def gives(name: str) -> bool:
        try:
            return gift in network_type(name).gives
        except ProtocolError:
            return False

    return list(filter(gives, network_names()))


def vectors_of(arrays: Mapping[str, Any], names: Iterable[str] = ROWS) -> Any:
    """Return the first of the named arrays of rows that a network gave."""
    return next(arrays[name] for name in names if name in arrays)
