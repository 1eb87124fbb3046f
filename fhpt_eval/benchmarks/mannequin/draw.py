"""From a person and a pose to an image and its exact truth."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fhpt_eval.benchmarks.mannequin import face, limbs, trunk
from fhpt_eval.benchmarks.mannequin.canvas import SAMPLES, XY, Canvas
from fhpt_eval.benchmarks.mannequin.exact import cos
from fhpt_eval.benchmarks.mannequin.figure import (
    HAIR,
    HEAD,
    LEFT_ARM,
    LEFT_LEG,
    LOWER,
    RIGHT_ARM,
    RIGHT_LEG,
    TORSO,
    Figure,
)
from fhpt_eval.benchmarks.mannequin.identity import Person, make_person
from fhpt_eval.benchmarks.mannequin.pose import Pose, make_pose

#: Where a joint may be seen: the parts that do not hide it.
_OWN = {
    1: {TORSO},
    2: {TORSO, RIGHT_ARM},
    3: {RIGHT_ARM},
    4: {RIGHT_ARM},
    5: {TORSO, LEFT_ARM},
    6: {LEFT_ARM},
    7: {LEFT_ARM},
    8: {TORSO, LOWER, RIGHT_LEG},
    9: {LOWER, RIGHT_LEG},
    10: {LOWER, RIGHT_LEG},
    11: {TORSO, LOWER, LEFT_LEG},
    12: {LOWER, LEFT_LEG},
    13: {LOWER, LEFT_LEG},
}
#: Angle, share of the head's height and distance of the joints that are on the head.
_ON_HEAD = {
    0: (0.0, 0.67, 1.15),
    14: (-0.43, 0.52, 1.0),
    15: (0.43, 0.52, 1.0),
    16: (-1.6, 0.6, 1.0),
    17: (1.6, 0.6, 1.0),
}
OUTSIDE, HIDDEN, SEEN = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Drawing:
    """An image and what is known of it; places in pixels, pixel centres at whole numbers.

    ``image`` is ``(H, W, 3)`` uint8 and ``parsing`` ``(H, W)`` uint8, labels as in
    ``canvas.LABELS``. ``keypoints`` is ``(18, 2)`` float64, and ``visible`` says of each joint
    whether it is outside of the image (0), hidden by another part (1), or seen (2): clothes do not
    hide what they are worn on. ``face_box`` is left, top, right, bottom, or ``None`` where no face
    is seen; ``landmarks`` are the places of features that are seen.
    """

    image: NDArray[np.uint8]
    parsing: NDArray[np.uint8]
    keypoints: NDArray[np.float64]
    visible: NDArray[np.uint8]
    face_box: tuple[float, float, float, float] | None
    landmarks: dict[str, tuple[float, float]]
    person: Person
    pose: Pose


def draw(seed: int, identity: int, view: int, height: int = 256, width: int = 176) -> Drawing:
    """Draw a view of an identity; depends on the arguments alone."""
    person = make_person(seed, identity)
    return render(person, make_pose(seed, person, view), height, width)


def render(person: Person, pose: Pose, height: int = 256, width: int = 176) -> Drawing:
    """Draw anybody in any pose; depends on the arguments alone."""
    canvas = Canvas(height, width)
    figure = _figure(canvas, person, pose)
    head = face.head_of(figure)
    _shadow(figure)
    _paint(figure, head)
    points, turned = _joints(figure, head)
    parts, parsing = canvas.middles(canvas.part), canvas.middles(canvas.label)
    visible = _visible(points, turned, parts)
    box, landmarks = _face_truth(head, parsing.shape)
    return Drawing(canvas.reduced(), parsing, points, visible, box, landmarks, person, pose)


def _figure(canvas: Canvas, person: Person, pose: Pose) -> Figure:
    fit = min(canvas.height, canvas.width / 0.52)
    scale = fit * 0.945 * pose.zoom * (1.62 if pose.half else 1.0)
    top = -0.155 * person.head
    if pose.half:
        y = canvas.height * 0.05 - top * scale
    else:
        y = canvas.height * 0.5 + (0.155 - 0.85) / 2 * scale
    x = canvas.width * (0.5 + pose.shift[0])
    return Figure(canvas, person, pose, scale, (x, y + pose.shift[1] * canvas.height * 0.5))


def _shadow(figure: Figure) -> None:
    if figure.pose.half:
        return
    right, left = figure.joint(10), figure.joint(13)
    low = max(figure.place(toe)[1] for toe in figure.pose.toes)
    size = figure.scale
    middle = (right[0] + left[0]) / 2 + 0.02 * size
    wide = abs(right[0] - left[0]) / 2 + 0.13 * size
    figure.canvas.dot(middle, low + 0.005 * size, wide, 0.026 * size, (120, 118, 124),
                      opacity=0.5, soft=1.0)  # fmt: skip


def _paint(figure: Figure, head: face.Head) -> None:
    """Paint all parts, from the back to the front."""
    pose = figure.pose
    # Depths of arms and legs, the person's right one first.
    arms = {right: pose.joints[3 if right else 6][2] + pose.joints[4 if right else 7][2]
            for right in (True, False)}  # fmt: skip
    legs = {right: pose.joints[9 if right else 12][2] + pose.joints[10 if right else 13][2]
            for right in (True, False)}  # fmt: skip
    facing = cos(head.yaw) > 0.05
    if facing:
        face.long_hair(figure, head)
    back = [right for right in sorted(arms, key=arms.__getitem__) if arms[right] < -0.03]
    for right in back:
        limbs.arm(figure, right)
    for right in sorted(legs, key=legs.__getitem__):
        limbs.leg(figure, right)
    trunk.neck(figure)
    trunk.trunk(figure)
    trunk.top(figure)
    face.head(figure, head)
    if not facing:
        face.long_hair(figure, head)
    for right in sorted(arms, key=arms.__getitem__):
        if right not in back:
            limbs.arm(figure, right)


def _pixel(place: XY) -> tuple[float, float]:
    """Return a place of sub-pixels in pixels, rounded so that no machine's last bit shows."""
    x, y = (math.floor((v / SAMPLES - 0.5) * 64 + 0.5) / 64 for v in place)
    return x, y


def _joints(figure: Figure, head: face.Head) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the 18 joints, and which of them the head turns away from the viewer."""
    places = [_pixel(figure.joint(number)) for number in range(18)]
    turned = np.zeros(18, bool)
    gap = figure.person.face.eye_gap
    for joint, (angle, down, out) in _ON_HEAD.items():
        angle = angle * (gap if joint in (14, 15) else 1.0)
        places[joint] = _pixel(head.place(angle, down, out))
        turned[joint] = head.facing(angle) < (-0.2 if joint in (0, 16, 17) else 0.05)
    return np.array(places, np.float64), turned


def _visible(
    points: NDArray[np.float64], turned: NDArray[np.bool_], parts: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Say of each joint whether it is outside, hidden or seen."""
    height, width = parts.shape
    states = np.full(18, HIDDEN, np.uint8)
    arms = {RIGHT_ARM, LEFT_ARM}
    for joint, (x, y) in enumerate(points):
        column, row = math.floor(x + 0.5), math.floor(y + 0.5)
        if not (0 <= column < width and 0 <= row < height):
            states[joint] = OUTSIDE
            continue
        part = int(parts[row, column])
        # Ears and noses stand out of the head's outline, and hair covers ears as clothes do.
        drawn = part in _OWN[joint] if joint in _OWN else not turned[joint] and part not in arms
        # The head's chin hangs over the neck.
        if drawn or (joint == 1 and part in (HEAD, HAIR)):
            states[joint] = SEEN
    return states


def _face_truth(
    head: face.Head, shape: tuple[int, ...]
) -> tuple[tuple[float, float, float, float] | None, dict[str, tuple[float, float]]]:
    """Return the box around what is seen of the face, and its landmarks."""
    if head.facing(0.0) < -0.25:
        return None, {}
    features = {
        "right_eye": (-0.43, 0.52), "left_eye": (0.43, 0.52), "nose": (0.0, 0.67),
        "right_mouth": (-0.36, 0.82), "left_mouth": (0.36, 0.82), "chin": (0.0, 0.99),
    }  # fmt: skip
    height, width = shape
    landmarks = {}
    for name, (angle, down) in features.items():
        x, y = _pixel(head.place(angle, down, 1.15 if name == "nose" else 1.0))
        if head.facing(angle) > -0.1 and -0.5 <= x < width - 0.5 and -0.5 <= y < height - 0.5:
            landmarks[name] = (x, y)
    outline = [head.place(angle * 0.1, down) for angle in range(-12, 13, 2)
               for down in (0.22, 0.5, 0.7, 0.85, 1.0)
               if head.facing(angle * 0.1) > -0.15]  # fmt: skip
    xs, ys = zip(*(_pixel(place) for place in outline), strict=True)
    box = (max(min(xs), 0.0), max(min(ys), 0.0),
           min(max(xs), width - 1.0), min(max(ys), height - 1.0))  # fmt: skip
    return box, landmarks
