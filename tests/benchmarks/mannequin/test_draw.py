"""What is drawn, and that its truth is true."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from fhpt_eval.benchmarks.mannequin import HIDDEN, LABELS, OUTSIDE, SEEN, VIEWS, Drawing, draw
from fhpt_eval.benchmarks.mannequin.canvas import Canvas, Field
from fhpt_eval.benchmarks.mannequin.identity import TEXTURES, Texture, make_person
from fhpt_eval.benchmarks.mannequin.textures import cloth
from fhpt_eval.keypoints import JOINTS

PEOPLE = range(8)


@lru_cache(maxsize=64)
def drawn(identity: int, view: int) -> Drawing:
    return draw(5, identity, view)


def all_drawn() -> list[Drawing]:
    return [drawn(identity, view) for identity in PEOPLE for view in range(len(VIEWS))]


def test_the_same_arguments_give_the_same_drawing() -> None:
    first, second = draw(5, 3, 1), draw(5, 3, 1)
    assert first.image.tobytes() == second.image.tobytes()
    assert first.parsing.tobytes() == second.parsing.tobytes()
    assert first.keypoints.tobytes() == second.keypoints.tobytes()
    assert draw(6, 3, 1).image.tobytes() != first.image.tobytes()


@pytest.mark.parametrize("size", [(256, 176), (128, 64), (131, 97), (512, 352)])
def test_an_image_has_the_size_that_was_asked_for(size: tuple[int, int]) -> None:
    drawing = draw(5, 0, 0, *size)
    assert drawing.image.shape == (*size, 3)
    assert drawing.parsing.shape == size
    assert drawing.parsing.max() < len(LABELS)
    assert drawing.image.std() > 10


def test_key_points_scale_with_the_image() -> None:
    small, large = draw(5, 2, 3), draw(5, 2, 3, 512, 352)
    # Pixel centres are whole numbers; places are rounded to 1/64 of a pixel.
    np.testing.assert_allclose((small.keypoints + 0.5) * 2, large.keypoints + 0.5, atol=0.05)


def test_the_background_is_near_white() -> None:
    for drawing in all_drawn():
        assert drawing.image[0].min() >= 235 or drawing.parsing[0].any()
        assert (drawing.parsing == 0).mean() > 0.3


def test_right_and_left_are_the_persons_own() -> None:
    right, left = JOINTS.index("right_shoulder"), JOINTS.index("left_shoulder")
    for identity in PEOPLE:
        front, back = drawn(identity, 0).keypoints, drawn(identity, 2).keypoints
        assert front[right, 0] < front[left, 0]
        assert back[right, 0] > back[left, 0]


def test_a_seen_joint_lies_on_the_person_and_inside_of_the_image() -> None:
    for drawing in all_drawn():
        height, width = drawing.parsing.shape
        for (x, y), seen in zip(drawing.keypoints, drawing.visible, strict=True):
            column, row = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
            inside = 0 <= column < width and 0 <= row < height
            assert inside == (seen != OUTSIDE)
            if seen == SEEN:
                near = drawing.parsing[max(row - 3, 0) : row + 4, max(column - 3, 0) : column + 4]
                assert near.any()


def test_a_seen_wrist_lies_on_its_own_arm() -> None:
    for drawing in all_drawn():
        for side in ("right", "left"):
            joint = JOINTS.index(f"{side}_wrist")
            if drawing.visible[joint] != SEEN:
                continue
            x, y = np.floor(drawing.keypoints[joint] + 0.5).astype(int)
            label = LABELS[drawing.parsing[y, x]]
            assert label in (f"{side}_arm", "upper_clothes", "dress")


def test_views_show_what_their_names_say() -> None:
    eyes = [JOINTS.index("right_eye"), JOINTS.index("left_eye")]
    ankles = [JOINTS.index("right_ankle"), JOINTS.index("left_ankle")]
    for identity in PEOPLE:
        assert drawn(identity, 2).face_box is None
        assert not drawn(identity, 2).landmarks
        assert (drawn(identity, 2).visible[eyes] == HIDDEN).all()
        assert drawn(identity, 0).face_box is not None
        assert (drawn(identity, 3).visible[ankles] != OUTSIDE).all()
        for view in range(len(VIEWS)):
            if drawn(identity, view).pose.half:
                assert (drawn(identity, view).visible[ankles] == OUTSIDE).all()
    assert any(drawing.pose.half for drawing in all_drawn())


def test_the_face_box_holds_the_landmarks() -> None:
    for drawing in all_drawn():
        if drawing.face_box is None:
            continue
        left, top, right, bottom = drawing.face_box
        assert left < right
        assert top < bottom
        for name, (x, y) in drawing.landmarks.items():
            reach = 4 if name == "nose" else 1  # the tip stands out of a face seen from the side
            assert left - reach <= x <= right + reach
            assert top - 1 <= y <= bottom + 1


def test_a_person_wears_the_same_in_every_view() -> None:
    assert drawn(0, 0).person == drawn(0, 2).person == make_person(5, 0)
    assert len({make_person(5, identity) for identity in range(100)}) == 100


def test_places_on_a_limb_turn_with_it() -> None:
    canvas = Canvas(64, 64)
    down = canvas.tube([(60, 40), (60, 140)], [20, 20])
    flat = canvas.tube([(40, 60), (140, 60)], [20, 20])

    def at(field: Field, x: int, y: int) -> tuple[float, float]:
        row, column = y - field.place[0].start, x - field.place[1].start
        return float(field.across[row, column]), float(field.along[row, column])

    # A quarter turn brings the place to the right of a limb that points down above one that points
    # to the right: a sub-pixel's middle lies half a step from the corner.
    across, along = at(down, 70, 90)
    assert at(flat, 90, 49) == pytest.approx((across, along), abs=1e-5)


@pytest.mark.parametrize("kind", [kind for kind in TEXTURES if kind != "plain"])
def test_every_texture_shows_two_colours(kind: str) -> None:
    texture = Texture(kind, 4.0, ((0, 0, 0), (250, 0, 0), (0, 250, 0)), 5)
    s, t = np.meshgrid(np.linspace(-12, 12, 80), np.linspace(0, 30, 80))
    colours = cloth(texture, s.astype(np.float32), t.astype(np.float32))
    assert colours.shape == (3, 80, 80)
    assert colours.std() > 20
    assert colours.min() >= -1
    assert colours.max() <= 251
