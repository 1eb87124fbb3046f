"""Ways to spoil a drawing by degrees, each of which one metric should see above all others.

``noise`` spoils pixels, as ``blur`` of the methods does; the others draw the same picture again
with something wrong in it, as methods get it wrong.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fhpt_eval.benchmarks.mannequin.exact import PI, Dice, cos, sin
from fhpt_eval.benchmarks.mannequin.identity import TEXTURES, Person
from fhpt_eval.benchmarks.mannequin.methods import Pixels
from fhpt_eval.benchmarks.mannequin.pose import Point, Pose

#: Joints of each limb from its root outwards: arms, whose ends are hands, then legs, with toes.
_LIMBS = ((2, 3, 4), (5, 6, 7), (8, 9, 10), (11, 12, 13))


def noise(image: Pixels, sigma: float, seed: int) -> Pixels:
    """Add Gaussian noise of so many levels to an ``(H, W, 3)`` image; 0 leaves it."""
    generator = np.random.Generator(np.random.PCG64(seed))
    noisy = image + sigma * generator.standard_normal(image.shape)
    return np.asarray(noisy.round().clip(0, 255), dtype=np.uint8)


def with_wrong_texture(person: Person, seed: int) -> Person:
    """Return the person in clothes of the same cut and colours, and of another texture."""
    dice = Dice(seed, person.identity, 1)
    kinds = [kind for kind in TEXTURES if kind not in ("plain", person.top.texture.kind)]
    texture = replace(person.top.texture, kind=dice.pick(kinds), salt=int(dice.share() * 2**31))
    bottom = person.bottom
    if bottom.kind == "dress":
        bottom = replace(bottom, texture=texture)
    return replace(person, top=replace(person.top, texture=texture), bottom=bottom)


def with_face_of(person: Person, donor: Person) -> Person:
    """Return the person with the other's face and hair; skin and clothes stay."""
    return replace(
        person, face=donor.face, hair=donor.hair, hair_colour=donor.hair_colour,
        fringe=donor.fringe, head=donor.head,
    )  # fmt: skip


def with_displaced_limbs(pose: Pose, degrees: float, seed: int) -> Pose:
    """Turn arms and legs about their roots, and their lower halves once more, by so many degrees.

    All turns are in the plane of the image; which way is drawn from the seed, limb by limb.
    """
    dice = Dice(seed, 2)
    joints, hands, toes = list(pose.joints), list(pose.hands), list(pose.toes)
    for number, (root, middle, end) in enumerate(_LIMBS):
        ends = hands if number < 2 else toes
        for pivot, moved in ((root, (middle, end)), (middle, (end,))):
            angle = degrees * PI / 180 * (1 if dice.chance(0.5) else -1)
            centre = joints[pivot]
            for joint in moved:
                joints[joint] = _turned(joints[joint], centre, angle)
            ends[number % 2] = _turned(ends[number % 2], centre, angle)
    return replace(pose, joints=tuple(joints), hands=(hands[0], hands[1]), toes=(toes[0], toes[1]))


def _turned(point: Point, centre: Point, angle: float) -> Point:
    x, y = point[0] - centre[0], point[1] - centre[1]
    c, s = cos(angle), sin(angle)
    return centre[0] + x * c - y * s, centre[1] + x * s + y * c, point[2]
