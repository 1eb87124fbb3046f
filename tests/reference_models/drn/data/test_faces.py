"""Face boxes from key points, against where the benchmark's drawn faces truly are."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fhpt_eval.benchmarks.mannequin.draw import SEEN, draw
from fhpt_eval.errors import ArgumentError
from fhpt_eval.reference_models.drn.data.faces import face_boxes

NOSE, RIGHT_EYE, LEFT_EYE, RIGHT_EAR, LEFT_EAR = 0, 14, 15, 16, 17


def person(**places: tuple[float, float]) -> NDArray[np.float64]:
    """Return the key points of one person, ``(1, 18, 2)``; whoever is not named is missing."""
    numbers = {
        "nose": NOSE, "right_eye": RIGHT_EYE, "left_eye": LEFT_EYE, "right_ear": RIGHT_EAR,
        "left_ear": LEFT_EAR, "neck": 1,
    }  # fmt: skip
    points = np.full((1, 18, 2), np.nan)
    for name, place in places.items():
        points[0, numbers[name]] = place
    return points


FRONT = person(nose=(50, 50), right_eye=(45, 44), left_eye=(55, 44))


def test_a_front_view_has_a_square_box_around_its_nose() -> None:
    left, top, right, bottom = face_boxes(FRONT)[0]
    # Eyes 10 pixels apart; 34 pixels, 2.5 above the nose, whose centre is at 50.5 as an edge.
    # Nose to eye is 7.81, a little more than 7.3, which 10 pixels would allow: 10.7 counts.
    eyes = np.hypot(5, 6) / 0.73
    assert right - left == pytest.approx(3.4 * eyes)
    assert bottom - top == pytest.approx(3.4 * eyes)
    assert (left + right) / 2 == pytest.approx(50.5)
    assert (top + bottom) / 2 == pytest.approx(50.5 - 0.25 * eyes)


def test_a_turned_head_is_measured_by_what_is_least_foreshortened() -> None:
    profile = person(nose=(60, 50), left_eye=(56, 46), left_ear=(43, 47))
    box = face_boxes(profile)[0]
    assert box[2] - box[0] == pytest.approx(3.4 * np.hypot(17, 3) / 1.72)


@pytest.mark.parametrize(
    "points",
    [
        person(),
        person(nose=(50, 50)),
        person(right_eye=(45, 44), left_eye=(55, 44)),
        person(right_ear=(40, 45), left_ear=(60, 45), neck=(50, 80)),
        person(nose=(50, 50), right_eye=(50, 49.5), left_eye=(50.2, 49.5)),
    ],
    ids=["nothing", "a nose", "eyes", "ears from behind", "a tiny face"],
)
def test_without_nose_and_eye_and_some_size_there_is_no_face(points: NDArray[np.float64]) -> None:
    assert np.isnan(face_boxes(points)).all()


def test_a_box_moves_and_grows_with_its_person() -> None:
    moved = face_boxes(FRONT + np.array([7.0, -3.0]))
    np.testing.assert_allclose(moved, face_boxes(FRONT) + np.array([7.0, -3.0, 7.0, -3.0]))
    # Places are of pixel centres and boxes are edges, so the origin is at -0.5.
    grown = face_boxes((FRONT + 0.5) * 2 - 0.5)
    np.testing.assert_allclose(grown, face_boxes(FRONT) * 2)


def test_drawn_faces_lie_in_their_boxes_and_backs_have_none() -> None:
    views = [(person, view) for person in range(3) for view in range(4)]
    drawings = [draw(7, person, view, 256, 176) for person, view in views]
    points = np.stack(
        [np.where((d.visible == SEEN)[:, None], d.keypoints, np.nan) for d in drawings]
    )
    for (_, view), drawing, box in zip(views, drawings, face_boxes(points), strict=True):
        assert np.isnan(box).all() == (view == 2)
        if view == 2 or drawing.face_box is None:
            continue
        truth = np.array(drawing.face_box)
        inner = np.minimum(box[2:], truth[2:]) - np.maximum(box[:2], truth[:2])
        covered = inner.clip(0).prod() / (truth[2:] - truth[:2]).prod()
        # Measured over 24 identities: at least 0.95, and sides 0.97 to 1.39 of the face's height.
        assert covered > 0.9
        assert 0.9 < (box[2] - box[0]) / (truth[3] - truth[1]) < 1.5


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ArgumentError, match="'points' must have shape"):
        face_boxes(np.zeros((18, 2)))
