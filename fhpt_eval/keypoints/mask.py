"""The step ``mask``: keep where a person is, by key points, and blank the rest.

Unlike other steps it depends on whose image it is, so that features of masked images are those of
an image and a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fhpt_eval.errors import ArgumentError
from fhpt_eval.images.preparation import Names, Step
from fhpt_eval.keypoints import Box, Frame, Outside, read_keypoints
from fhpt_eval.keypoints.pose_mask import MaskForm, pose_mask


class Mask(Step):
    """Keep what is near a pose, and set all other pixels to one level.

    Fields:
        pose: whose mask both images get: the target's, or the source's.
        fill: the level outside of the mask, in [0, 255]. 0 is black; 127.5 is what zero is to a
            script that works on [-1, 1], and leaves floats.
        form: whose mask, see :func:`fhpt_eval.keypoints.pose_mask.pose_mask`: the field's, or that
            of intrinsic_flow, which takes x for y.
        keypoints: an annotation CSV or a folder of OpenPose's JSON; ``--keypoints`` sets it.
        annotation_box, outside: as of the metric ``joints``.
    """

    by_name: ClassVar[bool] = True

    step: Literal["mask"] = "mask"
    pose: Literal["target", "source"] = "target"
    fill: Annotated[float, Field(ge=0, le=255)] = 0.0
    form: MaskForm = "pose-transfer"
    keypoints: Annotated[str, Field(min_length=1)] | None = None
    annotation_box: Annotated[Box, Field(strict=False)] | None = None
    outside: Outside = "refuse"

    def apply(self, pixels: NDArray[Any]) -> NDArray[Any]:  # noqa: ARG002
        """See :meth:`Step.apply`: not without a name."""
        raise ArgumentError("a mask needs the names of the pair; use apply_to")

    def apply_to(self, pixels: NDArray[Any], names: Names) -> NDArray[Any]:
        if self.keypoints is None:
            raise ArgumentError(f"a mask {self.lacks()}")
        content = read_keypoints(self.keypoints).digest
        mask = _drawn(self, content, self._name(names), *pixels.shape[:2])
        is_level = float(self.fill).is_integer()
        masked = pixels.copy() if is_level else pixels.astype(np.float32)
        masked[~mask] = int(self.fill) if is_level else self.fill
        return masked

    def canonical(self) -> dict[str, Any]:
        """See :meth:`Step.canonical`: of key points their content counts.

        Raises:
            InputError: they cannot be read.
        """
        digest = read_keypoints(self.keypoints).digest if self.keypoints else None
        return super().canonical() | {"keypoints": digest}

    def lacks(self) -> str:
        return "" if self.keypoints else f"needs the {self.pose}s' key points (--keypoints)"

    def check(self, names: Sequence[Names], sizes: NDArray[np.int64]) -> None:
        """See :meth:`Step.check`: each pose is annotated, inside its image.

        Raises:
            InputError: says which is not.
        """
        if self.keypoints is not None:
            frame = Frame(self.annotation_box, self.outside)
            wanted = [self._name(of_pair) for of_pair in names]
            frame.positions(read_keypoints(self.keypoints), wanted, sizes)

    def _name(self, names: Names) -> str:
        return names.target if self.pose == "target" else names.source


@lru_cache(maxsize=64)
def _drawn(
    step: Mask,
    content: str,  # noqa: ARG001 - a key of the cache: a file may change
    name: str,
    height: int,
    width: int,
) -> NDArray[np.bool_]:
    """Draw a mask; the two images of a pair share it, and so do several metrics."""
    frame = Frame(step.annotation_box, step.outside)
    size = np.array([[height, width]])
    points = frame.positions(read_keypoints(step.keypoints or ""), [name], size)[0]
    mask = pose_mask(points, height, width, step.form)
    mask.flags.writeable = False
    return mask
