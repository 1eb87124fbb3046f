"""Features of the two Inception networks that the field scores images with.

May import: errors, weights, numpy, Pillow, pydantic, torch. :class:`Inception` is the feature;
``network`` holds the networks, ``resize`` what is done to images before them, ``load`` reads
weights once per process and device.
"""

from fhpt_eval.features.inception.feature import Inception
from fhpt_eval.features.inception.network import NetworkName
from fhpt_eval.features.inception.resize import ResizeName

__all__ = ["Inception", "NetworkName", "ResizeName"]
