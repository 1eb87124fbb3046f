"""Face identity: which pairs count, what each part says of them, and who is told apart."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fhpt_eval import weights
from fhpt_eval.benchmarks.mannequin.draw import draw
from fhpt_eval.errors import ArgumentError, ProtocolError
from fhpt_eval.features.faces import Faces, descriptors
from fhpt_eval.features.mannequin.faces import MannequinFaces
from fhpt_eval.metrics.face_identity import FaceIdentity, cosines, distances
from fhpt_eval.metrics.on_features import FeatureRows
from fhpt_eval.protocol import Entry
from fhpt_eval.testing import check_metric
from tests.support.photographs import Pixels, tensor

NO_DLIB = 'dlib is not installed here (pip install dlib-bin "face_recognition_models==0.3.0")'
#: Of the mannequin benchmark's test split.
DRAWN = (0, 5)
PARTS = [
    "rate", "rate_seen", "distance", "cosine", "lost", "detected", "detected_target",
    "detected_source",
]  # fmt: skip

Column = list[float | None]


def side(places: Column) -> dict[str, dict[str, NDArray[Any]]]:
    """Return faces whose descriptors lie on a line at these places; ``None`` is no face."""
    descriptor = np.zeros((len(places), 128))
    descriptor[:, 17] = [math.nan if place is None else place for place in places]
    descriptor[[place is None for place in places]] = math.nan
    found = np.array([int(place is not None) for place in places])
    return {"faces": {"found": found, "descriptor": descriptor}}


def rows(generated: Column, truth: Column | None = None, source: Column | None = None) -> Any:
    names = tuple(f"pair{n}" for n in range(len(generated)))
    ours, theirs, other = (
        {} if places is None else side(places) for places in (generated, truth, source)
    )
    blank = ("",) * len(names)
    every = np.ones(len(names), bool)
    return FeatureRows(names, names, names, blank, every, ours, theirs, other)


def test_a_pair_is_kept_up_to_the_threshold_and_not_beyond() -> None:
    """The threshold itself counts, as in compare_faces of face_recognition."""
    values = FaceIdentity().measure(rows([0.0, 0.6, 0.6000001, 2.0], [0.0] * 4))
    assert values["rate"].tolist() == [1, 1, 0, 0]
    np.testing.assert_allclose(values["distance"], [0, 0.6, 0.6000001, 2], rtol=1e-12)
    assert values["lost"].tolist() == [0, 0, 0, 0]


def test_a_lost_face_is_not_kept() -> None:
    values = FaceIdentity().measure(rows([None], [0.0]))
    assert values["rate"].tolist() == [0]
    assert values["lost"].tolist() == [1]
    assert np.isnan(values["distance"]).all()
    assert (values["detected"].tolist(), values["detected_target"].tolist()) == ([0], [1])


def test_a_pair_whose_target_has_no_face_is_out_of_the_shares() -> None:
    values = FaceIdentity().measure(rows([0.0, None], [None, None]))
    assert all(np.isnan(values[part]).all() for part in ("rate", "distance", "lost"))
    assert values["detected"].tolist() == [1, 0]
    assert values["detected_target"].tolist() == [0, 0]


def test_each_part_says_for_which_pairs_it_has_no_value() -> None:
    parts = FaceIdentity.parts()
    assert list(parts) == PARTS
    assert "in the generated image, or" in parts["distance"].undefined_when
    assert "in the generated image, or" not in FaceIdentity.undefined_when
    without = [part for part in PARTS if parts[part].direction == "none"]
    assert without == ["detected", "detected_target", "detected_source"]


def test_of_pairs_whose_source_shows_a_face_the_rate_is_given_apart() -> None:
    """Where the source hides the face nobody can know it, and a method cannot keep it."""
    metric = FaceIdentity()
    assert metric.may_use() == {"source"}
    # The same person, another one, one whose source shows no face, one lost, and no face wanted.
    generated: Column = [0.0, 9.0, 9.0, None, 0.0]
    truth: Column = [0.0, 0.0, 0.0, 0.0, None]
    values = metric.measure(rows(generated, truth, [1.0, 1.0, None, 1.0, 1.0]))
    nan = math.nan
    np.testing.assert_array_equal(values["rate"], [1, 0, 0, 0, nan])
    np.testing.assert_array_equal(values["rate_seen"], [1, 0, nan, 0, nan])
    assert values["detected_source"].tolist() == [1, 1, 0, 1, 1]
    assert metric.remarks(values) == {}


def test_without_source_images_it_is_said_that_the_second_rate_is_not_known() -> None:
    metric = FaceIdentity()
    values = metric.measure(rows([0.0], [0.0]))
    assert np.isnan(values["rate_seen"]).all()
    assert np.isnan(values["detected_source"]).all()
    assert metric.remarks(values) == {
        "rate_seen": "some pairs of the run have no source image (--source)"
    }


def test_the_cosine_is_that_of_the_angle_between_descriptors() -> None:
    first = np.zeros((4, 128))
    first[:, 0] = 2.0
    second = np.zeros((4, 128))
    second[0, 0], second[1, 1], second[2, 0] = 5.0, 3.0, -1.0
    np.testing.assert_array_equal(cosines(first, second), [1, 0, -1, math.nan])
    random = np.random.default_rng(0).normal(size=(2, 20, 128))
    slow = [
        np.dot(x, y) / np.linalg.norm(x) / np.linalg.norm(y) for x, y in zip(*random, strict=True)
    ]
    np.testing.assert_allclose(cosines(*random), slow, rtol=1e-12)
    assert cosines(random[0], random[0]).tolist() == pytest.approx([1.0] * 20, abs=1e-15)
    with pytest.raises(ArgumentError, match="must both be"):
        cosines(random[0], random[0][:3])


def test_against_the_source_the_ground_truth_is_not_looked_at() -> None:
    metric = FaceIdentity(against="source")
    assert metric.uses() == {"source"}
    assert FaceIdentity().uses() == FaceIdentity.needs == {"ground_truth"}
    values = metric.measure(rows([0.0, 0.0, 0.0], None, [0.0, 5.0, None]))
    np.testing.assert_array_equal(values["rate"], [1, 0, math.nan])
    assert values["detected_target"].tolist() == [1, 1, 0]


places = st.one_of(st.none(), st.floats(-2, 2).map(lambda x: round(x, 3)))


@given(st.lists(st.tuples(places, places), min_size=1, max_size=12), st.floats(0.05, 3))
@settings(max_examples=60, deadline=None)
def test_the_parts_are_what_a_slow_count_says(
    pairs: list[tuple[float | None, float | None]], threshold: float
) -> None:
    expected: dict[str, list[float]] = {part: [] for part in PARTS}
    for ours, theirs in pairs:
        both = ours is not None and theirs is not None
        gap = abs(ours - theirs) if ours is not None and theirs is not None else math.nan
        expected["distance"].append(gap)
        expected["rate_seen"].append(math.nan)
        expected["detected_source"].append(math.nan)
        signs = math.copysign(1, ours or 0) * math.copysign(1, theirs or 0)
        expected["cosine"].append(signs if both and ours and theirs else math.nan)
        expected["detected"].append(0.0 if ours is None else 1.0)
        expected["detected_target"].append(0.0 if theirs is None else 1.0)
        if theirs is None:
            expected["rate"].append(math.nan)
            expected["lost"].append(math.nan)
        else:
            expected["rate"].append(1.0 if both and gap <= threshold else 0.0)
            expected["lost"].append(1.0 if ours is None else 0.0)
    made = rows([ours for ours, _ in pairs], [theirs for _, theirs in pairs])
    values = FaceIdentity(threshold=threshold).measure(made)
    assert list(values) == PARTS
    for part, column in expected.items():
        assert values[part].dtype == np.float64
        np.testing.assert_allclose(values[part], column, rtol=1e-12, atol=1e-15)


@given(st.integers(1, 9), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_a_distance_is_euclidean_and_of_its_own_rows_alone(count: int, seed: int) -> None:
    first, second = np.random.default_rng(seed).normal(size=(2, count, 128))
    together = distances(first, second)
    for row in range(count):
        squares = [(x - y) ** 2 for x, y in zip(first[row], second[row], strict=True)]
        assert together[row] == pytest.approx(math.sqrt(math.fsum(squares)), rel=1e-13)
        alone = distances(first[row : row + 1], second[row : row + 1])
        assert np.array_equal(alone, together[row : row + 1])
    strided = distances(np.asfortranarray(first), np.asfortranarray(second))
    assert np.array_equal(strided, together)
    assert np.array_equal(distances(second, first), together)


def test_descriptors_of_different_shapes_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"\(2, 128\) and \(3, 128\)"):
        distances(np.zeros((2, 128)), np.zeros((3, 128)))
    with pytest.raises(ArgumentError, match="must both be"):
        distances(np.zeros(128), np.zeros(128))


@pytest.mark.parametrize(
    "parameters",
    [{"threshold": 0.0}, {"threshold": math.inf}, {"threshold": math.nan}, {"against": "target"},
     {"upsample": 5}, {"upsample": -1}, {"tolerance": 0.6}, {"network": "arcface"},
     {"network": "mannequin", "upsample": 1}, {"network": "mannequin", "threshold": 0.0}],
)  # fmt: skip
def test_parameters_that_make_no_sense_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError, match="face_identity"):
        FaceIdentity(**parameters)


def test_every_parameter_and_both_models_enter_the_digest() -> None:
    metrics = [
        FaceIdentity(),
        FaceIdentity(against="source"),
        FaceIdentity(threshold=0.5),
        FaceIdentity(upsample=1),
    ]
    entries = [Entry("face_identity", metric, ()).canonical() for metric in metrics]
    assert all(one != other for n, one in enumerate(entries) for other in entries[:n])
    assert len(entries[0]["weights"]) == 2


# --- on photographs ---


@pytest.fixture(scope="module")
def heads(photographs: dict[str, Pixels]) -> Tensor:
    """The astronaut's head at 64 x 64, three times, each time lit in another way."""
    pytest.importorskip("dlib", reason=NO_DLIB)
    head = Image.fromarray(photographs["astronaut"]).crop((150, 40, 310, 200))
    pixels = np.asarray(head.resize((64, 64), Image.Resampling.BICUBIC))
    return tensor([(pixels * gain).astype(np.uint8) for gain in (1.0, 0.9, 0.8)])


def test_the_parameters_move_the_values(heads: Tensor) -> None:
    truth = heads[:1]
    small = torch.full_like(truth, 200)
    small[:, :, 8:56, 8:56] = torch.nn.functional.interpolate(
        truth.float(), (48, 48), mode="bilinear", antialias=True
    ).byte()
    once, twice = (FaceIdentity(upsample=n)(small, truth) for n in (1, 2))
    assert (once["detected"].tolist(), once["rate"].tolist()) == ([0], [0])
    assert (twice["detected"].tolist(), twice["rate"].tolist()) == ([1], [1])
    strict = FaceIdentity(threshold=float(twice["distance"][0]) / 2)
    assert strict(small, truth)["rate"].tolist() == [0]
    against = FaceIdentity(against="source")(generated=small, source=torch.zeros_like(small))
    assert np.isnan(against["rate"]).all()


def test_it_conforms_on_images_with_faces(heads: Tensor) -> None:
    """Textures, on which the kit judges by default, have no faces and so no values."""
    spoilt = heads.flip(0).clone()
    spoilt[2] = 0
    check_metric(FaceIdentity(), (spoilt, heads))


def test_two_portraits_of_a_person_are_kept_and_those_of_two_are_not(fixtures: Path) -> None:
    pytest.importorskip("dlib", reason=NO_DLIB)
    a, b, other_b = (portrait(fixtures, n) for n in ("a_1", "b_1", "b_2"))
    nobody = np.full_like(a, 255)
    values = FaceIdentity()(tensor([b, a, nobody, b]), tensor([other_b, b, b, nobody]))
    np.testing.assert_array_equal(values["rate"], [1, 0, 0, math.nan])
    np.testing.assert_array_equal(values["lost"], [0, 0, 1, math.nan])
    expected = distances(descriptors(tensor([b, a])), descriptors(tensor([other_b, b])))
    np.testing.assert_array_equal(values["distance"][:2], expected)
    assert expected[0] < 0.5 < 0.7 < expected[1]


def portrait(fixtures: Path, name: str) -> Pixels:
    """Return a portrait of 256 x 204: cut, or filled with white, at the sides."""
    height = 256
    image = Image.open(fixtures / "faces" / f"person_{name}.jpg").convert("RGB")
    image = image.resize(
        (round(image.width * height / image.height), height), Image.Resampling.BICUBIC
    )
    canvas = Image.new("RGB", (height * 4 // 5, height), (255, 255, 255))
    canvas.paste(image, ((canvas.width - image.width) // 2, 0))
    return np.asarray(canvas)


def test_its_faces_are_found_as_the_parameter_says() -> None:
    assert FaceIdentity(upsample=3).features() == {"faces": Faces(upsample=3)}
    assert FaceIdentity().canonical()["upsample"] == Faces().upsample
    fields = FaceIdentity.model_fields
    assert get_args(fields["against"].annotation) == ("ground_truth", "source")


def test_without_dlib_the_metric_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dlib", None)
    assert "pip install dlib-bin" in FaceIdentity().lacks()
    assert len(FaceIdentity().weights()) == 2


# --- drawn people ---


@pytest.fixture(scope="module")
def drawn() -> Tensor:
    """Two people of the benchmark's test split: each from the front, then each from behind."""
    return tensor([draw(77, person, view).image for view in (0, 2) for person in DRAWN])


def test_a_threshold_that_is_not_given_counts_as_the_networks() -> None:
    assert FaceIdentity().canonical() == {
        "against": "ground_truth",
        "network": "dlib",
        "threshold": 0.6,
        "upsample": 2,
    }
    assert FaceIdentity(threshold=0.6).canonical() == FaceIdentity().canonical()


def test_drawn_people_have_a_network_and_a_threshold_of_their_own() -> None:
    metric = FaceIdentity(network="mannequin-faces")
    assert metric.features() == {"faces": MannequinFaces()}
    assert metric.canonical() == {
        "against": "ground_truth",
        "threshold": MannequinFaces.same_person,
        "network": "mannequin-faces",
        "upsample": None,
    }
    assert metric.weights() == {"mannequin-faces": weights.digest_of("mannequin-faces")}
    assert FaceIdentity(network="mannequin-faces", threshold=0.3).same_person == 0.3
    assert metric.same_person != FaceIdentity().same_person == 0.6


def test_an_upsample_is_refused_where_nothing_would_be_upsampled() -> None:
    with pytest.raises(ProtocolError, match="network 'mannequin-faces' has no upsample"):
        FaceIdentity(network="mannequin-faces", upsample=3)


def test_drawn_people_need_no_dlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dlib", None)
    assert FaceIdentity(network="mannequin-faces").lacks() == ""
    assert FaceIdentity(network="mannequin-faces").software() == {}
    assert FaceIdentity().lacks()


def test_only_dlib_doubles_images() -> None:
    assert FaceIdentity().canonical()["upsample"] == 2
    assert FaceIdentity(network="mannequin-faces").canonical()["upsample"] is None


def test_a_drawn_person_is_kept_and_another_is_not(drawn: Tensor) -> None:
    a, b, behind, _ = drawn
    metric = FaceIdentity(network="mannequin-faces")
    values = metric(torch.stack([a, a, behind, a]), torch.stack([a, b, b, behind]))
    np.testing.assert_array_equal(values["rate"], [1, 0, 0, math.nan])
    np.testing.assert_array_equal(values["lost"], [0, 0, 1, math.nan])
    assert values["distance"][0] == 0
    assert metric.same_person < values["distance"][1] <= 2
    lenient = FaceIdentity(network="mannequin-faces", threshold=2.0)
    assert lenient(a[None], b[None])["rate"].tolist() == [1]


def test_it_conforms_on_drawn_people(drawn: Tensor) -> None:
    truth = drawn[[0, 1, 0]]
    check_metric(FaceIdentity(network="mannequin-faces"), (drawn[[1, 0, 2]], truth))
