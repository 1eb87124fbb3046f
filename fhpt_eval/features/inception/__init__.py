"""Features of the two Inception networks that the field scores images with."""

from fhpt_eval.features.inception.feature import Inception, Inception2015, InceptionImageNet
from fhpt_eval.features.inception.network import InceptionName
from fhpt_eval.features.inception.resize import ResizeName

__all__ = ["Inception", "Inception2015", "InceptionImageNet", "InceptionName", "ResizeName"]
