"""Features: arrays computed from one image by a named network; one file or folder each.

What they share: ``base``, ``networks`` and ``weighted`` (what a network is), ``levels`` (the images
it takes), ``loading`` (weights), ``batches`` (running it). The names below are for networks of your
own.
"""

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
