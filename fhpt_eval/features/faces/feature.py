"""From images to the face that each of them shows, by dlib."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from torch import Tensor

from fhpt_eval.errors import ArgumentError, UnavailableError
from fhpt_eval.features.faces import models, pool
from fhpt_eval.features.levels import as_levels
from fhpt_eval.features.networks import Gift, Network

#: How often an image may be doubled to find a face in it.
Upsample = Annotated[int, Field(ge=0, le=4)]


class Faces(Network):
    """The clearest face of each image: its box, the detector's score and a descriptor.

    Fields:
        upsample: how often an image is doubled at most. It is doubled once, and again only as long
            as no face is found; 1 is what ``face_recognition`` does, 0 takes images as they are.
            See ``find.py``.

    Descriptors of one person lie less than 0.6 apart (Euclidean), by the training of dlib's
    network. They equal those of ``face_recognition`` 1.3.0.
    """

    name: ClassVar[str] = "dlib"
    title: ClassVar[str] = "dlib's faces"
    gives: ClassVar[frozenset[Gift]] = frozenset({"face"})
    made_for: ClassVar[str] = "photographs"
    licence: ClassVar[str] = "public domain"
    citation: ClassVar[str] = "King, JMLR 10, 2009; face_recognition 1.3.0"
    same_person: ClassVar[float | None] = 0.6

    upsample: Upsample = 2

    def compute(self, images: Tensor) -> dict[str, Tensor]:
        """Find and describe the faces of N images.

        Works in as many processes as torch may use threads (one inside a run, whose chunks are in
        threads already).

        Args:
            images: ``(N, 3, H, W)`` RGB, uint8 or float in [0, 1]; of any size.

        Returns:
            On the CPU: ``found`` (N,) int64, how many faces there are; and of the one with
            the highest score: ``box`` (N, 4) float64, its left, top, right and bottom pixel, which
            may lie outside the image, ``score`` (N,) float64, at least 0, and ``descriptor``
            (N, 128) float64; NaN where there is none.

        Raises:
            UnavailableError: dlib or its models are not installed.
            WeightsError: a model is another file than it should be.
            MetricError: dlib failed.
        """
        levels = as_levels(images).permute(0, 2, 3, 1).contiguous().cpu().numpy()
        if lacking := self.lacks():
            raise UnavailableError(f"Faces cannot be looked for: this {lacking}.")
        find = partial(pool.find, upsample=self.upsample)
        at_once = min(torch.get_num_threads(), len(levels))
        if at_once == 1:
            rows = [find(image) for image in levels]
        else:
            with ThreadPoolExecutor(at_once) as threads:
                rows = list(threads.map(find, levels))
        table = np.concatenate(rows)
        return {name: torch.from_numpy(table[name].copy()) for name in table.dtype.names or ()}

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of dlib's two models, whether they are here or not."""
        return dict((models.PREDICTOR, models.NETWORK))

    def software(self) -> dict[str, str]:
        """See :meth:`Feature.software`: dlib, which holds the detector as well."""
        return {"dlib": models.dlib_version()}

    def lacks(self) -> str:
        return models.lacks()

    def load(self, device: torch.device) -> None:  # noqa: ARG002 - dlib computes on the CPU
        """See :meth:`Feature.load`: checks the models, starts a process and lets it load them.

        Raises:
            WeightsError: a model is not there, or another file.
            MetricError: no process can be started, or dlib fails.
        """
        pool.find(np.zeros((1, 1, 3), np.uint8), 0)


def descriptors(
    images: Tensor | NDArray[np.generic], upsample: Upsample = 2
) -> NDArray[np.float64]:
    """Return the descriptor of each image's clearest face, ``(N, 128)``; NaN where there is none.

    Images are ``(N, 3, H, W)`` RGB, a tensor or an array, uint8 or float in [0, 1]. Errors are
    those of :meth:`Faces.compute`.
    """
    try:
        feature = Faces(upsample=upsample)
        if isinstance(images, np.ndarray):
            images = torch.from_numpy(np.ascontiguousarray(images))
    except ValidationError as error:
        raise ArgumentError(f"'upsample' is {upsample!r}: {error.errors()[0]['msg']}") from None
    except TypeError as error:  # an array of a type that tensors do not have
        raise ArgumentError(f"'images' cannot be used: {error}") from None
    rows: NDArray[np.float64] = feature.compute(images)["descriptor"].numpy()
    return rows
