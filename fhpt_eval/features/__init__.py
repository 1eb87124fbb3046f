"""Features: arrays computed from one image by a named network; one file or folder each.

What they share: ``base``, ``networks`` and ``weighted`` (what a network is), ``levels`` (the images
it takes), ``loading`` (weights), ``batches`` (running it). The names below are for networks of your
own; they are imported when they are first used: a process that finds faces does not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fhpt_eval.features.base import Feature
    from fhpt_eval.features.batches import run_in_batches
    from fhpt_eval.features.levels import as_levels, checked_images
    from fhpt_eval.features.loading import module_of
    from fhpt_eval.features.networks import Gift, Network, load_network, network_names
    from fhpt_eval.features.weighted import WeightedNetwork

__all__ = [
    "Feature",
    "Gift",
    "Network",
    "WeightedNetwork",
    "as_levels",
    "checked_images",
    "load_network",
    "module_of",
    "network_names",
    "run_in_batches",
]

_HOMES = {
    "Feature": "base",
    "WeightedNetwork": "weighted",
    "as_levels": "levels",
    "checked_images": "levels",
    "module_of": "loading",
    "run_in_batches": "batches",
}


def __getattr__(name: str) -> Any:
    if name in __all__:
        home = _HOMES.get(name, "networks")
        return getattr(import_module(f"fhpt_eval.features.{home}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
