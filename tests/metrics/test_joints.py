"""Joints: what each value counts, what parameters move, and what annotated key points must be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fhpt_eval.errors import ArgumentError, InputError, ProtocolError
from fhpt_eval.features import as_levels
from fhpt_eval.features.base import Feature
from fhpt_eval.features.openpose import OpenPose
from fhpt_eval.keypoints import JOINTS, REGIONS, annotation_csv, openpose_json
from fhpt_eval.metrics.base import Shown, check_shown
from fhpt_eval.metrics.joints import Joints
from fhpt_eval.metrics.on_features import FeatureRows
from fhpt_eval.metrics.pck import Counts, pck_image_counts, pck_torso_counts, pckh_counts
from fhpt_eval.protocol import Entry
from fhpt_eval.testing import check_metric
from tests.support.rows import feature_rows

Floats = NDArray[np.float64]
MISSING = (math.nan, math.nan)
SIZE = (256, 176)

#: A standing person: the head box is 32 x 48, the torso from (112, 60) to (72, 140) about 89 long.
PERSON = {
    "nose": (88, 36), "neck": (88, 60),
    "right_shoulder": (64, 60), "right_elbow": (56, 100), "right_wrist": (50, 140),
    "left_shoulder": (112, 60), "left_elbow": (120, 100), "left_wrist": (126, 140),
    "right_hip": (72, 140), "right_knee": (70, 190), "right_ankle": (68, 240),
    "left_hip": (104, 140), "left_knee": (106, 190), "left_ankle": (108, 240),
    "right_eye": (80, 12), "left_eye": (96, 12), "right_ear": (72, 30), "left_ear": (104, 30),
}  # fmt: skip


def person(**changes: tuple[float, float]) -> Floats:
    """Return the person's positions, ``(18, 2)``, some joints moved or missing."""
    joints = PERSON | changes
    return np.array([joints[name] for name in JOINTS], dtype=np.float64)


def moved(joint: str, dx: float = 0.0, dy: float = 0.0) -> dict[str, tuple[float, float]]:
    x, y = PERSON[joint]
    return {joint: (x + dx, y + dy)}


def arrays(
    points: list[Floats], size: tuple[int, int] = SIZE, persons: int = 1
) -> Mapping[str, NDArray[Any]]:
    """Return what the pose feature gives of some images, with so many persons in each."""
    keypoints = np.stack([np.column_stack([one, one[:, 0] * 0 + 0.5]) for one in points])
    sizes = np.full((len(points), 2), size)
    counts = np.full(len(points), persons)
    return {"keypoints": keypoints.astype(np.float32), "size": sizes, "persons": counts}


def rows(
    generated: list[Floats], target: list[Floats] | None = None, size: tuple[int, int] = SIZE
) -> FeatureRows:
    names = [f"target{number}" for number in range(len(generated))]
    truth = {} if target is None else {"pose": arrays(target, size)}
    return feature_rows(names, {"pose": arrays(generated, size)}, truth, targets=names)


def values(metric: Joints, generated: Floats, target: Floats) -> dict[str, float]:
    """Measure one pair."""
    found = metric.measure(rows([generated], [target]))
    return {part: float(column[0]) for part, column in found.items()}


def some_pairs(count: int = 200) -> tuple[list[Floats], list[Floats]]:
    """Return seeded pairs in which joints are moved, missing, invented and without a head."""
    generator = np.random.default_rng(0)

    def drop(points: Floats, share: float) -> Floats:
        points[generator.random(18) < share] = math.nan
        return points

    target = [drop(person() + generator.integers(-9, 10, 2), 0.3) for _ in range(count)]
    noise = generator.integers(-25, 26, (count, 18, 2))
    generated = [drop(person() + noise[n], 0.15) for n in range(count)]
    return generated, target


# Which values there are.


def test_pckh_comes_first_then_every_joint_and_region_by_name() -> None:
    parts = list(Joints.parts())
    assert parts[0] == "pckh"
    assert parts[:6] == ["pckh", "pck_torso", "pck_image", "distance", "missed", "invented"]
    assert set(JOINTS) | set(REGIONS) <= set(parts)
    measured = Joints().measure(rows([person()], [person()]))
    assert measured.keys() == set(parts)


def test_what_a_value_is_weighted_by_and_how_many_persons_there_are_has_no_direction() -> None:
    parts = Joints.parts()
    weights = {part.weight for part in parts.values() if part.weight}
    assert {name for name, part in parts.items() if part.direction == "none"} == weights | {
        "several", "several_target",
    }  # fmt: skip


def test_single_joints_and_numbers_of_joints_are_details() -> None:
    parts = Joints.parts()
    details = {name for name, part in parts.items() if part.detail}
    assert details == set(JOINTS) | {n for n, part in parts.items() if part.direction == "none"}


def test_weights_are_defined_for_every_pair() -> None:
    nobody = np.full((18, 2), math.nan)
    measured = Joints().measure(rows([nobody, person()], [nobody, nobody]))
    for part in Joints.parts().values():
        if part.weight:
            assert not np.isnan(measured[part.weight]).any(), part.weight


# The values.


def test_equal_persons_have_the_best_of_everything() -> None:
    found = values(Joints(), person(), person())
    for name, part in Joints.parts().items():
        if part.direction != "none":
            best = part.range[1] if part.direction == "higher" else part.range[0]
            assert found[name] == best, name


@pytest.mark.parametrize(("dx", "dy", "right"), [(15.5, 0, True), (16, 0, False), (0, 24, False)])
def test_pckh_judges_by_half_the_head_box(dx: float, dy: float, right: bool) -> None:
    found = values(Joints(), person(**moved("left_knee", dx, dy)), person())
    assert found["left_knee"] == right
    assert found["pckh"] == (18 if right else 17) / 18
    assert found["legs"] == (4 if right else 3) / 4
    assert found["head"] == found["torso"] == found["arms"] == 1


def test_a_missed_joint_is_wrong_and_an_absent_one_does_not_count() -> None:
    found = values(Joints(), person(nose=MISSING), person(left_wrist=MISSING))
    assert found["nose"] == 0
    assert math.isnan(found["left_wrist"])
    assert found["pckh"] == found["pck_torso"] == found["pck_image"] == 16 / 17
    assert found["missed"] == 1 / 17
    assert found["invented"] == 1
    assert (found["in_target"], found["in_both"]) == (17, 16)
    assert (found["head"], found["arms"]) == (4 / 5, 1)
    assert (found["head_in_target"], found["arms_in_target"]) == (5, 3)


def test_distance_is_the_mean_over_joints_found_on_both_sides() -> None:
    changes = {**moved("neck", 3, 4), **moved("left_ankle", 0, 11), "nose": MISSING}
    found = values(Joints(), person(**changes), person(left_wrist=MISSING))
    assert found["distance"] == 16 / 16
    assert found["in_both"] == 16


def test_akd_and_missing_rate_are_those_of_the_animation_papers() -> None:
    """As cmp_with_missing.py counts: mean of |dx| and |dy|, and each image alike."""
    changes = {**moved("neck", 3, 4), **moved("left_ankle", 0, 11), "nose": MISSING}
    few = dict.fromkeys(JOINTS[2:], MISSING)
    generated = [person(**changes), person(**few, **moved("nose", 6))]
    target = [person(left_wrist=MISSING), person(**few)]
    found = Joints().measure(rows(generated, target))
    assert found["akd"].tolist() == [18 / 32, 6 / 4]
    assert found["missing_rate"].tolist() == [1 / 17, 0]
    parts = Joints.parts()
    assert not parts["akd"].weight
    assert not parts["missing_rate"].weight  # where "missed" pools joints


def test_oks_counts_a_missed_joint_as_nothing_and_leaves_the_neck_out() -> None:
    found = values(Joints(), person(nose=MISSING, **moved("neck", 90)), person())
    assert found["oks"] == 16 / 17


def test_images_with_several_persons_are_counted_and_told() -> None:
    names = ["target0", "target1"]
    two, single = arrays([person()] * 2, persons=2), arrays([person()] * 2)
    metric = Joints()
    columns = metric.measure(feature_rows(names, {"pose": two}, {"pose": single}, targets=names))
    assert (columns["several"].tolist(), columns["several_target"].tolist()) == ([1, 1], [0, 0])
    told = metric.remarks(columns)
    assert told == {"pckh": "several persons in 2 of 2 generated images; the largest counts"}
    alone = metric.measure(feature_rows(names, {"pose": single}, {"pose": single}, targets=names))
    assert metric.remarks(alone) == {}


def test_nobody_in_the_generated_image_is_all_wrong() -> None:
    found = values(Joints(), np.full((18, 2), math.nan), person())
    for part in ("pckh", "pck_torso", "pck_image", *REGIONS, *JOINTS):
        assert found[part] == 0, part
    assert found["missed"] == 1
    assert found["invented"] == 0
    assert math.isnan(found["distance"])


def test_nobody_in_the_target_is_undefined() -> None:
    found = values(Joints(), person(), np.full((18, 2), math.nan))
    for part in ("pckh", "pck_torso", "pck_image", "missed", "distance", *REGIONS, *JOINTS):
        assert math.isnan(found[part]), part
    assert found["invented"] == 18


def test_without_a_head_box_the_other_values_remain() -> None:
    head = {JOINTS[joint]: MISSING for joint in (0, 14, 15, 16, 17)}
    found = values(Joints(), person(**head), person(**head))
    for part in ("pckh", *REGIONS, *JOINTS):
        assert math.isnan(found[part]), part
    assert found["pck_torso"] == found["pck_image"] == 1
    assert found["missed"] == found["distance"] == 0


def test_without_a_torso_the_other_values_remain() -> None:
    found = values(Joints(), person(), person(right_hip=MISSING))
    assert math.isnan(found["pck_torso"])
    assert found["pckh"] == found["pck_image"] == 1


def test_weighted_means_are_the_published_ratios_of_counts() -> None:
    """A score is the mean weighted by its part's column: right joints over all that count."""
    generated, target = some_pairs()
    metric, parts = Joints(), Joints.parts()
    measured = metric.measure(rows(generated, target))
    stacked = np.stack(generated), np.stack(target)
    sizes = np.full((len(target), 2), SIZE)
    by_head = pckh_counts(*stacked)
    some = list(range(18))

    def check(part: str, counts: Counts, joints: list[int]) -> None:
        column = measured[part]
        weights = measured[parts[part].weight] if parts[part].weight else np.ones(len(column))
        defined = ~np.isnan(column) & (weights > 0)
        total = counts.counted[:, joints].sum()
        assert 0 < counts.correct[:, joints].sum() < total
        assert weights[defined].sum() == total, part
        right = np.rint(column[defined] * weights[defined])
        # Shares of at most 18 joints times their number are integers, but for rounding.
        np.testing.assert_allclose(right, column[defined] * weights[defined], atol=1e-12)
        assert right.sum() == counts.correct[:, joints].sum(), part

    check("pckh", by_head, some)
    check("pck_torso", pck_torso_counts(*stacked), some)
    check("pck_image", pck_image_counts(*stacked, sizes), some)
    for region, joints in REGIONS.items():
        check(region, by_head, list(joints))
    for number, joint in enumerate(JOINTS):
        check(joint, by_head, [number])


def test_a_pair_has_its_values_whatever_stands_beside_it() -> None:
    generated, target = some_pairs(20)
    whole = Joints().measure(rows(generated, target))
    for at in (0, 7, 19):
        alone = Joints().measure(rows([generated[at]], [target[at]]))
        for part, column in whole.items():
            np.testing.assert_array_equal(alone[part], column[[at]])


# Parameters.


@pytest.mark.parametrize(
    ("parameter", "part"),
    [("head_alpha", "pckh"), ("torso_alpha", "pck_torso"), ("image_alpha", "pck_image")],
)
def test_each_share_moves_its_own_value(parameter: str, part: str) -> None:
    generated, target = some_pairs()
    before = Joints().measure(rows(generated, target))
    after = Joints.model_validate({parameter: 1.5}).measure(rows(generated, target))
    moving = {name for name in before if not np.array_equal(before[name], after[name], True)}
    assert part in moving
    assert moving <= ({"pckh", *REGIONS, *JOINTS} if part == "pckh" else {part})


def test_the_image_scale_is_the_longer_side_of_the_image() -> None:
    generated = person(**moved("left_knee", 12.5))
    for size, right in [((256, 176), True), ((176, 256), True), ((240, 240), False)]:
        found = Joints().measure(rows([generated], [person()], size))
        assert (found["pck_image"][0] == 1) == right, size


def test_network_and_settings_are_the_features() -> None:
    standard = Joints().features()["pose"]
    assert standard == OpenPose()
    assert isinstance(standard, OpenPose)
    other = Joints(network="openpose-body25", estimation="pose-transfer").features()["pose"]
    assert isinstance(other, OpenPose)
    assert other.name == "openpose-body25"
    assert other.scales == (0.5, 1.0, 1.5, 2.0)
    assert (other.paf_fusion, other.divisor) == ("sum", 255)
    assert (
        Joints(network_weights="mine.pth").features()["pose"].model_dump()["weights"] == "mine.pth"
    )


def test_every_setting_gives_another_digest() -> None:
    def canonical(**parameters: Any) -> str:
        return str(Entry("joints", Joints(**parameters), ()).canonical())

    settings: list[dict[str, Any]] = [
        {}, {"network": "openpose-body25"}, {"estimation": "pose-transfer"}, {"head_alpha": 0.4},
        {"torso_alpha": 0.1}, {"image_alpha": 0.1},
    ]  # fmt: skip
    assert len({canonical(**one) for one in settings}) == len(settings)


def test_without_weights_the_cure_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHPT_WEIGHTS", str(tmp_path))
    assert "fhpt-eval weights pull openpose-coco18" in Joints().lacks()
    assert list(Joints().weights()) == ["openpose-coco18"]


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"network": "openpose-coco"}, "Did you mean 'openpose-coco18'"),
        ({"network": "alex"}, "joints wants joints: mannequin-pose, openpose-body25"),
        ({"head_alpha": 0.0}, "joints.head_alpha"),
        ({"head_alpha": math.inf}, "joints.head_alpha"),
        ({"keypoints": ""}, "joints.keypoints"),
        ({"annotation_box": [40, 0, 40, 256]}, "annotation_box"),
        ({"annotation_box": [40, 0, 216]}, "joints.annotation_box"),
        ({"annotation_box": [40, 0, 216, 256.5]}, "joints.annotation_box"),
        ({"outside": "crop"}, "joints.outside: must be 'refuse', 'absent' or 'keep'"),
    ],
)
def test_a_wrong_parameter_is_refused(parameters: dict[str, Any], told: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        Joints(**parameters)
    assert told in str(caught.value)


# Annotated key points.


def annotation(folder: Path, *persons: Floats, name: str = "list.csv") -> str:
    path = folder / name
    path.write_text(annotation_csv({f"target{n}.jpg": one for n, one in enumerate(persons)}))
    return str(path)


def test_annotated_key_points_take_the_place_of_the_targets(tmp_path: Path) -> None:
    metric = Joints(keypoints=annotation(tmp_path, person(), person(**moved("neck", 54, 72))))
    assert Joints().uses() == {"ground_truth"}
    assert metric.uses() == frozenset()
    found = metric.measure(rows([person(), person()]))
    assert np.isnan(found["several_target"]).all()
    assert found["neck"].tolist() == [1, 0]
    assert found["distance"].tolist() == [0, 5]


def test_a_folder_of_json_serves_as_well(tmp_path: Path) -> None:
    points = np.column_stack([person(), np.ones(18)])
    (tmp_path / "target0_keypoints.json").write_text(openpose_json(points[None]))
    by_json = Joints(keypoints=str(tmp_path))
    assert by_json.measure(rows([person()]))["pckh"].tolist() == [1]
    by_csv = Joints(keypoints=annotation(tmp_path, person()))
    assert by_json.canonical() == by_csv.canonical()


def test_of_an_annotation_the_content_counts_and_not_its_place(tmp_path: Path) -> None:
    one = Joints(keypoints=annotation(tmp_path, person()))
    copy = Joints(keypoints=annotation(tmp_path, person(), name="copy.csv"))
    other = Joints(keypoints=annotation(tmp_path, person(nose=MISSING), name="other.csv"))
    digests = [Entry("joints", metric, ()).canonical() for metric in (one, copy, other, Joints())]
    assert digests[0] == digests[1]
    assert str(tmp_path) not in str(digests[0])
    assert len({str(digest) for digest in digests}) == 3


def test_a_frame_without_an_annotation_does_not_count() -> None:
    framed = Joints(annotation_box=(40, 0, 216, 256), outside="keep")
    assert framed.canonical() == Joints().canonical()


def test_the_frame_of_an_annotation_counts(tmp_path: Path) -> None:
    path = annotation(tmp_path, person())
    settings: list[dict[str, Any]] = [
        {},
        {"annotation_box": [0, 0, 176, 256]},
        {"outside": "absent"},
        {"outside": "keep"},
    ]
    assert len({str(Joints(keypoints=path, **one).canonical()) for one in settings}) == 4


def test_a_target_that_is_not_annotated_is_refused(tmp_path: Path) -> None:
    metric = Joints(keypoints=annotation(tmp_path, person()))
    with pytest.raises(InputError, match=r"list\.csv lacks 1 of 2 images: 'target1'"):
        metric.measure(rows([person(), person()]))


def test_more_images_than_the_runs_are_no_fault(tmp_path: Path) -> None:
    metric = Joints(keypoints=annotation(tmp_path, *[person()] * 5))
    assert metric.measure(rows([person()]))["pckh"].tolist() == [1]


def test_joints_outside_of_the_image_are_refused_unless_it_is_said_what_they_are(
    tmp_path: Path,
) -> None:
    path = annotation(tmp_path, person(left_wrist=(180, 140)))
    generated = rows([person(left_wrist=(179, 140))])
    with pytest.raises(InputError, match="the left_wrist is at x = 180, y = 140 of an image 176"):
        Joints(keypoints=path).measure(generated)
    absent = Joints(keypoints=path, outside="absent").measure(generated)
    kept = Joints(keypoints=path, outside="keep").measure(generated)
    assert (absent["in_target"][0], kept["in_target"][0]) == (17, 18)
    assert kept["left_wrist"][0] == 1


def test_annotations_of_a_wider_frame_are_moved_by_the_box(tmp_path: Path) -> None:
    path = annotation(tmp_path, person() + np.array([40, 0]))
    metric = Joints(keypoints=path, annotation_box=(40, 0, 216, 256))
    assert metric.measure(rows([person()]))["distance"].tolist() == [0]
    assert Joints(keypoints=path, outside="keep").measure(rows([person()]))["distance"] == [40]


def test_a_box_may_be_a_list_as_in_a_protocol_file() -> None:
    assert Joints.model_validate({"annotation_box": [-40, 0, 216, 256]}).annotation_box == (
        -40,
        0,
        216,
        256,
    )


def test_annotations_of_a_smaller_image_are_scaled_by_the_box(tmp_path: Path) -> None:
    path = annotation(tmp_path, person())
    metric = Joints(keypoints=path, annotation_box=(0, 0, 176, 256))
    large = rows([2 * person() + 0.5], size=(512, 352))
    assert metric.measure(large)["distance"].tolist() == [0]


def test_a_preparation_that_moves_pixels_needs_a_box(tmp_path: Path) -> None:
    path = annotation(tmp_path, person())
    every = ["ground_truth", "generated", "source"]
    resize = {"step": "resize", "of": every, "width": 352, "height": 512}

    def check(metric: Joints, step: Mapping[str, Any]) -> None:
        check_shown(metric, Shown([step], ["target0"], np.array([[512, 352]])))

    for step in ("crop", "pad", "resize"):
        with pytest.raises(InputError, match=f"the protocol changes these \\({step}\\)"):
            check(Joints(keypoints=path), {"step": step, "of": every})
    check(Joints(keypoints=path), {"step": "color", "of": every})
    check(Joints(keypoints=path), resize | {"of": ["generated"]})
    check(Joints(keypoints=path, annotation_box=(0, 0, 176, 256)), resize)
    check(Joints(), resize)


def test_what_is_annotated_can_be_asked_before_any_image_is_seen(tmp_path: Path) -> None:
    metric = Joints(keypoints=annotation(tmp_path, person()))
    positions = metric.annotated(["target0"], np.array([SIZE]))
    np.testing.assert_array_equal(positions, [person()])
    with pytest.raises(ArgumentError, match="'keypoints'"):
        Joints().annotated(["target0"], np.array([SIZE]))


def test_an_annotation_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    metric = Joints(keypoints=str(tmp_path / "missing.csv"))
    with pytest.raises(InputError, match=r"missing\.csv cannot be read"):
        metric.canonical()


# As a library, on images.


class Dots(Feature):
    """Reads key points off images: a joint is the pixel whose red level is its number plus 100."""

    name: ClassVar[str] = "dots"

    def compute(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        images = as_levels(images)
        count, _, height, width = images.shape
        keypoints = torch.full((count, 18, 3), math.nan)
        for image, joint in ((n, j) for n in range(count) for j in range(18)):
            at = (images[image, 0] == joint + 100).nonzero()
            if len(at):
                y, x = at[0].tolist()
                keypoints[image, joint] = torch.tensor([x, y, 1.0])
        size = torch.tensor([[height, width]] * count)
        arrays = {"keypoints": keypoints, "size": size, "persons": torch.ones(count)}
        return {name: array.to(images.device) for name, array in arrays.items()}


@pytest.fixture
def dots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Joints, "features", lambda _: {"pose": Dots()})


def painted(points: list[Floats]) -> torch.Tensor:
    images = torch.zeros((len(points), 3, *SIZE), dtype=torch.uint8)
    for image, one in zip(images, points, strict=True):
        for joint, (x, y) in enumerate(one.tolist()):
            if not math.isnan(x):
                image[0, int(y), int(x)] = joint + 100
    return images


@pytest.mark.usefixtures("dots")
def test_images_give_the_values_of_their_key_points() -> None:
    generated, target = [person(**moved("neck", 30)), person()], [person(), person(nose=MISSING)]
    found = Joints()(painted(generated), painted(target))
    expected = Joints().measure(rows(generated, target))
    for part, column in expected.items():
        np.testing.assert_array_equal(found[part], column)
    with pytest.raises(ArgumentError, match="'ground_truth' is missing"):
        Joints()(painted(generated))


@pytest.mark.usefixtures("dots")
def test_it_conforms() -> None:
    target = [person() + np.array([shift, 0]) for shift in (-4, -2, 0, 3)]
    generator = np.random.default_rng(0)
    generated = [np.rint(one + generator.normal(0, 6, (18, 2))).clip(0, 175) for one in target]
    check_metric(Joints(), (painted(generated), painted(target)))


def test_images_that_a_preparation_makes_unequal_cannot_be_compared(
    tmp_path: Path, make_pairs: Any
) -> None:
    from fhpt_eval.evaluation.evaluate import evaluate
    from fhpt_eval.protocol import parse_protocol

    folders = make_pairs(2)
    text = """
    id = "one-side"
    [metrics.joints]
    prepare = [{ step = "crop", right = 20, bottom = 20, of = ["generated"] }]
    """
    with pytest.raises(InputError, match="is 20 x 20 and its ground truth"):
        evaluate(folders.generated, folders.ground_truth, protocol=parse_protocol(text, "one.toml"))
