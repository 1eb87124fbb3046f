"""How a person stands and from where they are seen.

The person's own axes: x to their left, y down, z to their front; lengths in heights of the body.
"""

from __future__ import annotations

from dataclasses import dataclass

from fhpt_eval.benchmarks.mannequin.exact import Dice, cos, hypot, sin
from fhpt_eval.benchmarks.mannequin.identity import Person

Point = tuple[float, float, float]
#: Views by the name in the file: its number and name in DeepFashion.
VIEWS = ("1front", "2side", "3back", "4full")

_ARMS: dict[str, tuple[Point, Point]] = {
    # Directions of the upper arm and the forearm: outwards, down, forwards.
    "down": ((0.2, 1, 0.0), (0.06, 1, 0.22)),
    "loose": ((0.42, 1, -0.06), (0.26, 1, 0.2)),
    "hip": ((0.85, 1, -0.12), (-0.85, 0.8, 0.3)),
    "bent": ((0.26, 1, 0.12), (-0.35, -0.15, 0.9)),
    "belly": ((0.34, 1, 0.1), (-1.0, 0.12, 0.42)),
    "up": ((0.95, -0.15, 0.25), (-0.35, -1, 0.05)),
    "wave": ((0.9, 0.5, 0.2), (0.45, -1, 0.25)),
    "swing": ((0.16, 1, 0.5), (0.04, 1, 0.8)),
    "behind": ((0.22, 1, -0.42), (0.05, 1, -0.2)),
    "pocket": ((0.5, 1, -0.16), (-0.22, 1, 0.34)),
}
_LEGS: dict[str, tuple[tuple[Point, Point], tuple[Point, Point]]] = {
    # Thigh and shin of the right leg, then of the left.
    "stand": (((0.06, 1, 0.02), (0.04, 1, -0.03)), ((0.06, 1, 0.02), (0.04, 1, -0.03))),
    "wide": (((0.2, 1, 0.02), (0.14, 1, -0.04)), ((0.2, 1, 0.02), (0.14, 1, -0.04))),
    "relaxed": (((0.02, 1, 0.0), (0.02, 1, -0.02)), ((0.2, 1, 0.22), (0.06, 1, -0.22))),
    "stride": (((0.03, 1, 0.34), (0.02, 1, -0.02)), ((0.03, 1, -0.2), (0.04, 1, -0.5))),
    "crossed": (((-0.08, 1, 0.14), (-0.14, 1, 0.02)), ((0.02, 1, -0.02), (0.02, 1, -0.03))),
    "kick": (((0.02, 1, 0.02), (0.03, 1, -0.02)), ((0.14, 1, 0.18), (0.04, 1, -0.8))),
}


@dataclass(frozen=True, slots=True)
class Pose:
    """Joints of the 18, and ends of hands and toes, in the camera's axes.

    ``joints`` are x to the right, y down and depth towards the viewer, in heights of the body, from
    the middle of the neck; ``yaw`` and ``head_yaw`` are the turns in radians, 0 for a front view,
    positive when the face turns to the right of the image; ``half`` shows no legs below the thigh.
    """

    view: str
    yaw: float
    head_yaw: float
    head_tilt: float
    half: bool
    joints: tuple[Point, ...]
    hands: tuple[Point, Point]
    toes: tuple[Point, Point]
    head: Point
    pelvis: Point
    zoom: float
    shift: tuple[float, float]
    names: tuple[str, str, str]


def turn(point: Point, yaw: float) -> Point:
    """Turn a point of the person's axes into the camera's."""
    x, y, z = point
    c, s = cos(yaw), sin(yaw)
    return x * c + z * s, y, z * c - x * s


def make_pose(seed: int, person: Person, view: int, take: int = 0) -> Pose:
    """Draw the pose of a view; depends on the seed, the identity, the view and the take alone.

    The benchmark has the first take, 0; others show the person again, as they might have stood.
    """
    dice = Dice(seed, person.identity, 16 + view + take * len(VIEWS))
    name = VIEWS[view]
    sign = 1.0 if dice.chance(0.5) else -1.0
    yaw = {
        "1front": dice.between(-0.4, 0.4),
        "2side": sign * dice.between(1.15, 1.62),
        "3back": 3.14159 + dice.between(-0.4, 0.4),
        "4full": dice.between(-0.7, 0.7),
    }[name]
    half = name != "4full" and dice.chance(0.5 if name == "1front" else 0.3)
    legs = dice.pick(tuple(_LEGS))
    arms = (dice.pick(tuple(_ARMS)), dice.pick(tuple(_ARMS)))
    mirror = dice.chance(0.5)
    lean, drop = dice.between(-0.012, 0.012), dice.between(-0.008, 0.008)
    pelvis = (lean, 0.335, 0.0)
    body: list[Point] = [(0.0, 0.0, 0.0)] * 18
    body[1] = (0.0, 0.012, 0.0)
    hands, toes = [], []
    for right in (True, False):
        side = -1.0 if right else 1.0
        shoulder = (side * person.shoulders * 0.88, 0.056 + side * drop, 0.0)
        upper, fore = (_jitter(dice, d, 0.06) for d in _ARMS[arms[0 if right else 1]])
        elbow = _along(shoulder, upper, 0.146, side)
        wrist = _along(elbow, fore, 0.132, side)
        hands.append(_along(wrist, fore, 0.05, side))
        first = 2 if right else 5
        body[first : first + 3] = [shoulder, elbow, wrist]
        thigh, shin = _LEGS[legs][0 if right != mirror else 1]
        hip = (pelvis[0] + side * person.hips * 0.56, pelvis[1] - side * drop, 0.0)
        knee = _along(hip, _jitter(dice, thigh, 0.03), 0.235, side)
        ankle = _along(knee, _jitter(dice, shin, 0.03), 0.23, side)
        toes.append((ankle[0] + side * 0.022, ankle[1] + 0.034, ankle[2] + 0.082))
        first = 8 if right else 11
        body[first : first + 3] = [hip, knee, ankle]
    head_yaw = yaw + dice.between(-0.35, 0.35)
    head = (0.0, -0.085 * person.head, 0.012)
    joints = [turn(point, yaw) for point in body]
    return Pose(
        view=name,
        yaw=yaw,
        head_yaw=head_yaw,
        head_tilt=dice.between(-0.1, 0.1),
        half=half,
        joints=tuple(joints),
        hands=(turn(hands[0], yaw), turn(hands[1], yaw)),
        toes=(turn(toes[0], yaw), turn(toes[1], yaw)),
        head=turn(head, yaw),
        pelvis=turn(pelvis, yaw),
        zoom=dice.between(0.96, 1.0) * person.height,
        shift=(dice.between(-0.02, 0.02), dice.between(-0.01, 0.01)),
        names=(legs, *arms),
    )


def _along(start: Point, direction: Point, length: float, side: float) -> Point:
    long = length / hypot(*direction)
    x, y, z = direction
    return start[0] + side * x * long, start[1] + y * long, start[2] + z * long


def _jitter(dice: Dice, direction: Point, most: float) -> Point:
    x, y, z = (value + dice.between(-most, most) for value in direction)
    return x, y, z
