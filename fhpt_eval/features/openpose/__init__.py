"""Key points of persons, by OpenPose's networks or a small one, and a fast decoder.

``layout`` says what the channels mean; ``network``, ``load`` and ``prepare`` run a network;
``bands``, ``surface``, ``peaks``, ``persons`` and ``decode`` read its maps, by the numbers in
``settings``.
"""

from fhpt_eval.features.openpose.decode import decode
from fhpt_eval.features.openpose.feature import (
    MannequinPose,
    OpenPose,
    OpenPoseBody25,
    PoseNetwork,
    estimate,
)
from fhpt_eval.features.openpose.layout import BODY_25, COCO_18, Layout, Limb
from fhpt_eval.features.openpose.network import PoseNetworkName
from fhpt_eval.features.openpose.persons import choose_person
from fhpt_eval.features.openpose.settings import Decoding

__all__ = [
    "BODY_25",
    "COCO_18",
    "Decoding",
    "Layout",
    "Limb",
    "MannequinPose",
    "OpenPose",
    "OpenPoseBody25",
    "PoseNetwork",
    "PoseNetworkName",
    "choose_person",
    "decode",
    "estimate",
]
