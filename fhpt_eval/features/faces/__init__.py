"""The face of the person in an image: found, aligned and described by dlib."""

from fhpt_eval.features.faces.feature import Faces, descriptors

__all__ = ["Faces", "descriptors"]
