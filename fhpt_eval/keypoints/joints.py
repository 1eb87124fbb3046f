"""The 18 joints of a person, in OpenPose's COCO order.

Right and left are the person's own. Pose-Transfer's text (tool/ of tengteng95/Pose-Transfer) calls
joints 14 to 17 left eye, right eye, left ear, right ear; its figures are OpenPose's, with the right
ones first, and so are the published annotations: of the 949 front views among DeepFashion's test
images that show both shoulders and both eyes, 917 have joint 14 on the side of the right shoulder.
"""

from __future__ import annotations

#: Names of the joints by their number (POSE_COCO_BODY_PARTS of OpenPose).
JOINTS = (
    "nose",
    "neck",
    "right_shoulder",
    "right_elbow",
    "right_wrist",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "right_hip",
    "right_knee",
    "right_ankle",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_eye",
    "left_eye",
    "right_ear",
    "left_ear",
)

#: The joints whose bounding box is the head's (PARTS_SEL of calPCKH_fashion.py in Pose-Transfer).
HEAD = (0, 1, 14, 15, 16, 17)

#: Parts of the body; every joint belongs to one.
REGIONS = {
    "head": (0, 14, 15, 16, 17),
    "torso": (1, 2, 5, 8, 11),
    "arms": (3, 4, 6, 7),
    "legs": (9, 10, 12, 13),
}

#: Where each joint stands among the 25 of OpenPose's BODY_25, which has the middle of the hips at 8
#: and the feet from 19 on (POSE_BODY_25_BODY_PARTS of OpenPose).
BODY_25 = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
