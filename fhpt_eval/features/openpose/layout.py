"""What OpenPose's channels mean: joints, limbs, and which field belongs to which limb.

Sources: ``src/openpose/pose/poseParameters.cpp`` of CMU-Perceptual-Computing-Lab/openpose (names,
pairs and channels of both networks) and its papers. Right and left are the person's own.

Heatmaps have a channel per joint and, last, the background. Part affinity fields have two channels
per limb, x then y of the unit vector from the limb's first joint to its second one.
"""

from __future__ import annotations

from dataclasses import dataclass

from fhpt_eval.keypoints.joints import JOINTS


@dataclass(frozen=True, slots=True)
class Limb:
    """Two joints that a part affinity field connects.

    The field points away from joint ``start`` and to joint ``end``; ``channel`` is that of its x
    component, and y the next one. Whether the limb ``founds``, that is may be the first one of, a
    person: shoulder to ear may not, as it lies across limbs of others too often, and is there to
    join what is already found.
    """

    start: int
    end: int
    channel: int
    founds: bool = True


@dataclass(frozen=True, slots=True)
class Layout:
    """The joints and limbs of a network, limbs in the order in which persons are put together."""

    name: str
    joints: tuple[str, ...]
    limbs: tuple[Limb, ...]

    @property
    def heatmaps(self) -> int:
        """Number of heatmap channels, the background included."""
        return len(self.joints) + 1

    @property
    def pafs(self) -> int:
        """Number of part affinity field channels."""
        return 2 * len(self.limbs)


def _limbs(*rows: tuple[int, int, int]) -> tuple[Limb, ...]:
    return tuple(Limb(start, end, channel) for start, end, channel in rows)


#: The order of joints of the field's annotation files, and of everything that this room returns.
COCO_18 = Layout(
    name="COCO_18",
    joints=JOINTS,
    limbs=(
        *_limbs(
            (1, 2, 12), (1, 5, 20), (2, 3, 14), (3, 4, 16), (5, 6, 22), (6, 7, 24),
            (1, 8, 0), (8, 9, 2), (9, 10, 4), (1, 11, 6), (11, 12, 8), (12, 13, 10),
            (1, 0, 28), (0, 14, 30), (14, 16, 34), (0, 15, 32), (15, 17, 36),
        ),
        Limb(2, 16, 18, founds=False),
        Limb(5, 17, 26, founds=False),
    ),
)  # fmt: skip

BODY_25 = Layout(
    name="BODY_25",
    joints=(
        "nose", "neck",
        "right_shoulder", "right_elbow", "right_wrist",
        "left_shoulder", "left_elbow", "left_wrist",
        "middle_hip", "right_hip", "right_knee", "right_ankle",
        "left_hip", "left_knee", "left_ankle",
        "right_eye", "left_eye", "right_ear", "left_ear",
        "left_big_toe", "left_small_toe", "left_heel",
        "right_big_toe", "right_small_toe", "right_heel",
    ),
    limbs=(
        *_limbs(
            (1, 8, 0), (1, 2, 14), (1, 5, 22), (2, 3, 16), (3, 4, 18), (5, 6, 24), (6, 7, 26),
            (8, 9, 6), (9, 10, 2), (10, 11, 4), (8, 12, 8), (12, 13, 10), (13, 14, 12),
            (1, 0, 30), (0, 15, 32), (15, 17, 36), (0, 16, 34), (16, 18, 38),
        ),
        Limb(2, 17, 20, founds=False),
        Limb(5, 18, 28, founds=False),
        *_limbs((14, 19, 40), (19, 20, 42), (14, 21, 44), (11, 22, 46), (22, 23, 48), (11, 24, 50)),
    ),
)  # fmt: skip

#: For each joint of COCO_18 the joint of BODY_25 of the same name; middle hip and feet have none.
COCO_18_OF_BODY_25 = tuple(BODY_25.joints.index(joint) for joint in COCO_18.joints)
