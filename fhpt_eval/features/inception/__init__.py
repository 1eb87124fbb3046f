"""Features of the two Inception networks that the field scores images with."""

from fhpt_eval.features.inception.feature import Inception
from fhpt_eval.features.inception.network import NetworkName
from fhpt_eval.features.inception.resize import ResizeName

__all__ = ["Inception", "NetworkName", "ResizeName"]
