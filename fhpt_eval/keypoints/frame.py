"""Put annotated key points into the pixels of the images that are compared.

Annotations say nothing of the frame that they were made in: DeepFashion's lists come 256 wide and,
under the same names, 176 wide. So nothing is guessed: what does not lie in its image is refused,
with what to say to settle it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.errors import InputError
from fhpt_eval.keypoints.joints import JOINTS
from fhpt_eval.keypoints.points import Keypoints

#: What becomes of joints that lie outside of their image.
Outside = Literal["refuse", "absent", "keep"]
#: Left, top, right, bottom: columns ``[left, right)`` and rows ``[top, bottom)``.
Box = tuple[int, int, int, int]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Frame:
    """How annotated positions become pixels of images.

    ``box`` is the part of the annotated frame that the images show, scaled to an image where their
    sizes differ; ``None``: the frame is the image. ``outside`` says what becomes of joints outside
    of their image: they are refused, count as absent, or are kept as they are.
    """

    box: Box | None = None
    outside: Outside = "refuse"

    def positions(self, keypoints: Keypoints, names: Sequence[str], size: NDArray[Any]) -> Floats:
        """Return positions in N images, ``(N, 18, 2)`` float64 in their pixels, NaN where missing.

        Names may repeat; ``size`` is ``(N, 2)``, height and width of the images in pixels.

        Raises:
            InputError: an image is not annotated, or a joint outside of its image is refused.
        """
        annotated = keypoints.of(names)[..., :2]
        positions = self._moved(annotated, size)
        beyond = _beyond(positions, size)
        if not beyond.any() or self.outside == "keep":
            return positions
        if self.outside == "absent":
            return np.where(beyond[..., None], np.nan, positions)
        text = _first_beyond(positions, beyond, size, names)
        if not _beyond(self._moved(annotated[..., ::-1], size), size).any():
            text += " With x and y exchanged all of them fit: the list of y goes first."
        raise InputError(
            f"{keypoints.origin}: {text} If the key points were annotated in a larger frame, say "
            "which part of it the images show (parameter annotation_box of joints, such as "
            "[40, 0, 216, 256] for crops 176 wide out of a frame 256 wide). If these joints were "
            'cut off from the images, say outside = "absent".'
        )

    def _moved(self, positions: Floats, size: NDArray[Any]) -> Floats:
        if self.box is None:
            return positions
        left, top, right, bottom = self.box
        scale = size[:, ::-1] / np.array([right - left, bottom - top], dtype=np.float64)
        # Pixel centres are at whole numbers, so an image begins half a pixel before 0.
        moved: Floats = (positions - (left, top) + 0.5) * scale[:, None] - 0.5
        return moved


def _beyond(positions: Floats, size: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which joints lie outside of their image, ``(N, 18)``; missing ones do not."""
    last = size[:, None, ::-1] - 0.5
    beyond: NDArray[np.bool_] = np.asarray(((positions < -0.5) | (positions > last)).any(axis=2))
    return beyond


def _first_beyond(
    positions: Floats, beyond: NDArray[np.bool_], size: NDArray[Any], names: Sequence[str]
) -> str:
    rows, joints = (places.tolist() for places in np.nonzero(beyond))
    row, joint = rows[0], joints[0]
    (x, y), (height, width) = positions[row, joint], size[row]
    images = len({names[number] for number in rows})
    return (
        f"{images:,} of {len(set(names)):,} images have joints outside of "
        f"the image, such as '{names[row]}': the {JOINTS[joint]} is at x = {x:g}, y = {y:g} of an "
        f"image {width} x {height}."
    )
