"""Retrieval: recall and average precision equal brute force; galleries, items, chunks."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fhpt_eval.errors import ArgumentError, InputError, MetricError, ProtocolError
from fhpt_eval.evaluation.evaluate import evaluate
from fhpt_eval.evaluation.reduce.folds import reference_rows
from fhpt_eval.features.base import Feature
from fhpt_eval.metrics.base import State
from fhpt_eval.metrics.gallery.duplicates import Thumbnail, near_duplicates
from fhpt_eval.metrics.gallery.measures import average_precision, chance_of_a_hit, recall_at
from fhpt_eval.metrics.gallery.nearest import search
from fhpt_eval.metrics.gallery.partition import in_shop_id, read_partition
from fhpt_eval.metrics.on_features import FeatureRows
from fhpt_eval.metrics.retrieval import KS, Retrieval
from fhpt_eval.pairs.naming import item_of
from fhpt_eval.protocol import parse_protocol
from fhpt_eval.testing import check_metric
from tests.support.photographs import Pixels, crops, spoilt, tensor
from tests.support.rows import feature_rows

Array = NDArray[Any]


def rows(
    generated: Array,
    source: Array | None = None,
    *,
    items: Sequence[str],
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    start: int = 0,
) -> FeatureRows:
    """Return rows of pairs with keys in order, and sources of their own unless named."""
    keys = [f"pair{number:04d}" for number in range(start, start + len(generated))]
    return feature_rows(
        keys,
        {"embedding": {"embedding": generated}},
        source={} if source is None else {"embedding": {"embedding": source}},
        sources=sources or [f"source of {key}" for key in keys],
        targets=targets or [f"target of {key}" for key in keys],
        items=items,
    )


def state_of(metric: Retrieval, *parts: FeatureRows) -> State:
    state = metric.empty()
    for part in parts:
        state = metric.update(state, part)
    return state


def values_of(metric: Retrieval, *parts: FeatureRows) -> dict[str, list[float]]:
    _, columns = metric.pair_values(state_of(metric, *parts))
    return {name: column.tolist() for name, column in columns.items()}


# --- the values ---


def test_average_precision_of_a_worked_ranking() -> None:
    """Hits at ranks 1, 3 and 6: precisions 1/1, 2/3 and 3/6 (by hand)."""
    assert average_precision(np.array([1, 3, 6])) == pytest.approx((1 + 2 / 3 + 3 / 6) / 3)


def test_a_worked_example() -> None:
    """One query at 0; images of its item at 1, 2 and 8, others at -0.5, 3, 4, 5, 6."""
    places = np.array([1.0, 2, 8, -0.5, 3, 4, 5, 6])[:, None]
    items = ["a", "a", "a", "b", "b", "c", "c", "d"]
    generated = np.array([[0.0], [9], [9], [9], [9], [9], [9], [9]])
    metric = Retrieval(distance="euclidean")
    values = values_of(metric, rows(generated, places, items=items))
    # The ranking is b, a, a, b, c, c, d, a: hits at ranks 2, 3 and 8.
    assert values["recall@1"][0] == 0
    assert values["recall@5"][0] == 1
    assert np.isnan(values["recall@10"][0])  # 8 images are always among the first 10
    assert values["map"][0] == pytest.approx((1 / 2 + 2 / 3 + 3 / 8) / 3)
    assert values["gallery"][0] == 8
    # Five of eight images are no hits: none of five is one with a chance of 1 / C(8, 5).
    assert values["chance@1"][0] == pytest.approx(3 / 8)
    assert values["chance@5"][0] == pytest.approx(1 - 1 / 56)
    assert values["chance@10"][0] == 1


@pytest.fixture(scope="module")
def embeddings() -> FeatureRows:
    """200 pairs of 60 items, whose sources are there several times, as are many vectors."""
    generator = np.random.default_rng(0)
    generated = generator.integers(-2, 3, (200, 6)).astype(np.float32)
    pictures = generator.integers(-2, 3, (90, 6)).astype(np.float32)
    shown = generator.integers(0, 60, 90)
    chosen, targets = generator.integers(0, 90, (2, 200))
    targets[:40] = chosen[:40]  # of which some are the only image of their item
    return rows(
        generated,
        pictures[chosen],
        items=[f"item{shown[at]}" for at in chosen],
        sources=[f"image{at:02d}" for at in chosen],
        targets=[f"image{at:02d}" for at in targets],
    )


@pytest.mark.parametrize("own_ground_truth", [False, True])
def test_values_equal_a_brute_force_ranking(
    embeddings: FeatureRows, own_ground_truth: bool
) -> None:
    metric = Retrieval(distance="euclidean", own_ground_truth=own_ground_truth)
    values = values_of(metric, embeddings)
    vectors = embeddings.source["embedding"]["embedding"].astype(int)
    images = dict(zip(embeddings.sources, zip(vectors, embeddings.items, strict=True), strict=True))
    generated = embeddings.generated["embedding"]["embedding"].astype(int)
    undefined = 0
    for row in range(200):
        names = sorted(images)
        if not own_ground_truth:
            names = [name for name in names if name != embeddings.targets[row]]
        gaps = [((images[name][0] - generated[row]) ** 2).sum() for name in names]
        ranking = [names[at] for at in sorted(range(len(names)), key=lambda at: (gaps[at], at))]
        hits = np.array([images[name][1] == embeddings.items[row] for name in ranking])
        if not hits.any():
            undefined += 1
            defined = {part for part in metric.parts() if not np.isnan(values[part][row])}
            assert defined == {"gallery", "near_duplicates"}
            continue
        assert values["gallery"][row] == len(names)
        precisions = [hits[: at + 1].mean() for at in np.flatnonzero(hits)]
        assert values["map"][row] == pytest.approx(np.mean(precisions), rel=1e-14)
        assert [values[f"recall@{k}"][row] for k in KS] == [float(hits[:k].any()) for k in KS]
    assert bool(undefined) != own_ground_truth  # both cases were there


def test_recall_on_arrays_equals_the_metrics(embeddings: FeatureRows) -> None:
    metric = Retrieval(distance="euclidean", own_ground_truth=True)
    state = state_of(metric, embeddings)
    _, columns = metric.pair_values(state)
    indices, _ = search(state["queries"], state["gallery"], max(KS), "euclidean")
    for k in KS:
        found = recall_at(k, indices, embeddings.items, state["gallery.items"].tolist())
        assert np.array_equal(found, columns[f"recall@{k}"], equal_nan=True)


def test_recall_on_arrays_is_undefined_without_an_image_of_the_item() -> None:
    found = recall_at(1, np.array([[0], [0], [1], [0]]), ["a", "b", "a", ""], ["a", "a"])
    assert np.array_equal(found, [1, np.nan, 1, np.nan], equal_nan=True)


@pytest.mark.parametrize(
    ("k", "indices", "message"),
    [
        (3, np.zeros((2, 2), int), "'k' must lie in 1 to 2"),
        (0, np.zeros((2, 2), int), "'k' must lie in 1 to 2"),
        (1, np.zeros((3, 2), int), "a row for each of 2 queries"),
        (1, np.full((2, 2), 4), "outside the 4"),
        (1, np.full((2, 2), -1), "outside the 4"),
    ],
)
def test_recall_on_arrays_that_do_not_fit_is_refused(k: int, indices: Array, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        recall_at(k, indices, ["a", "b"], ["a", "a", "b", "b"])


# --- the gallery ---


def test_a_shared_source_stands_once_in_the_gallery() -> None:
    """Else two of one image would push others out of the first k."""
    vectors = np.array([[0.0], [0.0], [5.0]])
    state = state_of(
        Retrieval(), rows(vectors, vectors, items=["a", "a", "b"], sources=["x", "x", "y"])
    )
    assert state["gallery.names"].tolist() == ["x", "y"]


def test_of_one_name_the_image_of_the_first_key_stays() -> None:
    """Strips may hold one source under one name with other pixels."""
    vectors = np.array([[1.0], [2.0], [3.0]])
    settings: dict[str, Any] = {"items": ["a"] * 3, "sources": ["x"] * 3}
    first = rows(vectors, vectors, **settings)
    second = rows(vectors + 3, vectors + 3, start=3, **settings)
    metric = Retrieval()
    for order in ((first, second), (second, first)):
        assert state_of(metric, *order)["gallery"].tolist() == [[1.0]]


def test_sources_without_a_name_are_images_of_their_own() -> None:
    vectors = np.array([[0.0], [1.0]])
    found = state_of(Retrieval(), rows(vectors, vectors, items=["a", "b"], sources=["", ""]))
    assert len(found["gallery"]) == 2


def test_a_source_shows_the_item_of_its_pair_and_else_that_of_its_name() -> None:
    name = "fashionWOMENDressesid0000223202_1front"
    vectors = np.array([[0.0], [1.0]])
    made = rows(vectors, vectors, items=["garment", ""], sources=["a", name])
    items = state_of(Retrieval(), made)["gallery.items"].tolist()
    assert items == ["garment", "fashionWOMENDressesid0000223202"]


def test_the_own_ground_truth_is_left_out_unless_asked_for() -> None:
    """The second pair's source is the first one's target, and nearest to both."""
    generated, source = np.array([[0.0], [0.0]]), np.array([[3.0], [0.0]])
    made = rows(
        generated, source, items=["a", "a"], sources=["s1", "t1"], targets=["t1", "elsewhere"]
    )
    assert values_of(Retrieval(distance="euclidean"), made)["map"] == [1.0, 1.0]
    other = dataclasses.replace(made, items=("b", "a"))  # then t1 is no hit, but stands before one
    found = values_of(Retrieval(distance="euclidean"), other)
    # The first searches s1 alone; and recall@1 in a gallery of one image says nothing.
    assert found["map"] == [1.0, 1.0]
    assert found["gallery"] == [1.0, 2.0]
    assert found["recall@1"] == pytest.approx([math.nan, 1.0], nan_ok=True)
    found = values_of(Retrieval(distance="euclidean", own_ground_truth=True), other)
    assert found["recall@1"] == [0.0, 1.0]


def test_equal_distances_rank_by_name() -> None:
    generated, source = np.zeros((2, 1)), np.ones((2, 1))
    metric = Retrieval(distance="euclidean")
    first = rows(generated, source, items=["a", "b"], sources=["1", "2"])
    second = rows(generated, source, items=["a", "b"], sources=["2", "1"])
    assert values_of(metric, first)["recall@1"] == [1.0, 0.0]
    assert values_of(metric, second)["recall@1"] == [0.0, 1.0]


def test_an_unknown_item_or_an_empty_gallery_leaves_a_pair_undefined() -> None:
    vectors = np.ones((1, 2))
    made = values_of(Retrieval(), rows(vectors, vectors, items=[""], sources=["x"]))
    assert np.isnan(made["recall@20"]).all()
    metric = Retrieval()
    keys, columns = metric.pair_values(metric.empty())
    assert keys == ()
    assert all(len(column) == 0 for column in columns.values())


# --- the state ---


@st.composite
def states(draw: st.DrawFn) -> State:
    """Return the state of up to four pairs whose sources share names, and sometimes vectors."""
    count = draw(st.integers(0, 4))
    metric = Retrieval()
    if not count:
        return metric.empty()
    some = np.random.default_rng(draw(st.integers(0, 2**20)))
    made = rows(
        some.integers(0, 3, (count, 2)).astype(np.float32),
        some.integers(0, 3, (count, 2)).astype(np.float32),
        items=[f"item {n}" for n in some.integers(0, 2, count)],
        sources=[f"source {n}" for n in some.integers(0, 4, count)],
        start=int(some.integers(0, 9999)),
    )
    return metric.update(metric.empty(), made)


def same(first: State, second: State) -> bool:
    return first.keys() == second.keys() and all(
        np.array_equal(first[name], second[name]) for name in first
    )


@given(states(), states(), states())
@settings(deadline=None)
def test_states_form_a_monoid(a: State, b: State, c: State) -> None:
    merge, empty = Retrieval().merge, Retrieval().empty()
    assert same(merge(merge(a, b), c), merge(a, merge(b, c)))
    assert same(merge(empty, a), a)
    assert same(merge(a, empty), a)


def part_of(made: FeatureRows, chosen: slice) -> FeatureRows:
    def arrays(side: Mapping[str, Mapping[str, Array]]) -> dict[str, dict[str, Array]]:
        return {name: {k: v[chosen] for k, v in one.items()} for name, one in side.items()}

    return FeatureRows(
        made.keys[chosen], made.targets[chosen], made.sources[chosen], made.items[chosen],
        made.distinct[chosen],
        arrays(made.generated), arrays(made.ground_truth), arrays(made.source),
    )  # fmt: skip


@pytest.mark.parametrize("cuts", [[0, 200], [0, 50, 51, 200], [0, *range(7, 200, 13), 200]])
@pytest.mark.parametrize("turned", [False, True])
def test_values_do_not_depend_on_chunks_and_their_order(
    embeddings: FeatureRows, cuts: list[int], turned: bool
) -> None:
    metric = Retrieval()
    parts = [part_of(embeddings, slice(a, b)) for a, b in pairwise(cuts)]
    keys, columns = metric.pair_values(state_of(metric, *(parts[::-1] if turned else parts)))
    expected_keys, expected = metric.pair_values(state_of(metric, embeddings))
    order, expected_order = np.argsort(keys), np.argsort(expected_keys)
    for part, values in columns.items():
        assert np.array_equal(values[order], expected[part][expected_order], equal_nan=True)


class Patches(Feature):
    """Means of a 3 x 3 grid of patches: a network that costs nothing."""

    name: ClassVar[str] = "patches"

    def compute(self, images: Tensor) -> Mapping[str, Tensor]:
        """See :meth:`Feature.compute`."""
        means = torch.nn.functional.adaptive_avg_pool2d(images.double() / 255, 3).flatten(1)
        return {"embedding": means}


class PatchRetrieval(Retrieval):
    """Retrieval by patches."""

    def features(self) -> Mapping[str, Feature]:
        """See :meth:`FeatureMetric.features`."""
        return {"embedding": Patches()}


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_it_conforms(distance: Any) -> None:
    check_metric(PatchRetrieval(distance=distance))


def test_it_conforms_with_its_default_network() -> None:
    check_metric(Retrieval)


# --- the gallery's size, and chance ---


def test_recall_at_k_of_a_gallery_of_k_images_or_fewer_says_nothing() -> None:
    generator = np.random.default_rng(0)
    generated, source = generator.normal(size=(2, 10, 3))
    metric = Retrieval()
    _, columns = metric.pair_values(
        state_of(metric, rows(generated, source, items=[f"item{n}" for n in range(10)]))
    )
    assert not np.isnan(columns["recall@5"]).any()
    for k in (10, 20):
        assert np.isnan(columns[f"recall@{k}"]).all()
        assert metric.remarks(columns)[f"recall@{k}"] == (
            f"the gallery has 10 images, so k = {k} is always met"
        )
    assert metric.remarks(columns)["recall@5"] == "in a gallery of 10 images, by chance 0.5000"
    assert metric.remarks(columns)["map"] == "in a gallery of 10 images"


@pytest.mark.parametrize("k", KS)
def test_chance_is_the_share_of_random_rankings_with_a_hit(k: int) -> None:
    generator = np.random.default_rng(k)
    first = np.argsort(generator.random((20_000, 30)), axis=1)[:, :k]
    share = (first < 4).any(axis=1).mean()  # of 30 images the first four are hits
    assert chance_of_a_hit(k, 4, 30) == pytest.approx(share, abs=4 * math.sqrt(0.25 / 20_000))
    assert chance_of_a_hit(k, 0, 30) == 0
    assert chance_of_a_hit(k, 30, 30) == chance_of_a_hit(30, 1, 30) == 1


def test_size_chance_and_numbers_have_no_direction() -> None:
    parts = Retrieval.parts()
    directed = {name for name, part in parts.items() if part.direction != "none"}
    assert directed == {*(f"recall@{k}" for k in KS), "map"}


# --- the own ground truth, saved anew ---


def saved(image: Pixels, format_: str = "JPEG", quality: int = 75, scale: float = 1) -> Pixels:
    """Return an image as it is read after it was saved, in another size."""
    picture, buffer = Image.fromarray(image), io.BytesIO()
    if scale != 1:
        picture = picture.resize((round(66 * scale), round(96 * scale)), Image.Resampling.BICUBIC)
    picture.save(buffer, format_, quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def thumbnails(images: Sequence[Pixels]) -> Array:
    return np.concatenate(
        [Thumbnail().compute(tensor([image]))["thumbnail"].numpy() for image in images]
    )


def test_an_image_that_is_saved_anew_is_known_by_its_picture(
    photographs: dict[str, Pixels],
) -> None:
    images = crops(photographs, 12, 96, 66)
    for again in (
        [saved(image) for image in images],
        [saved(image, quality=40) for image in images],
        [saved(image, "WEBP") for image in images],
        [saved(image, quality=95, scale=0.5) for image in images],
        [saved(image, quality=95, scale=2) for image in images],
    ):
        near = near_duplicates(thumbnails(images), thumbnails(again))
        assert [rows_.tolist() for rows_ in near] == [[number] for number in range(12)]


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_near_duplicates_are_those_within_the_limit(count: int, size: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    queries = generator.integers(0, 6, (count, 192)).astype(np.uint8)
    gallery = generator.integers(0, 6, (size, 192)).astype(np.uint8)
    near = near_duplicates(queries, gallery)
    for query, found in zip(queries.astype(int), near, strict=True):
        gaps = [math.sqrt(np.mean((query - other) ** 2)) for other in gallery.astype(int)]
        assert found.tolist() == [row for row, gap in enumerate(gaps) if gap <= 2.5]


def test_a_near_duplicate_of_the_own_ground_truth_is_left_out_and_counted(folders: Path) -> None:
    """The same photograph as JPEG under a name that says nothing, of the same item by the list."""
    lines = ["image,item"]
    for number, item in enumerate(ITEMS):
        front = Image.open(folders / "gallery" / f"{item}_1front.png")
        front.save(folders / "gallery" / f"copy{number}.jpg", quality=75)
        (folders / "gallery" / f"{item}_1front.png").unlink()
        lines += [f"copy{number},{item}", f"{item}_3back,{item}"]
    (folders / "items.csv").write_text("\n".join(lines))
    gallery = f'gallery = "{folders / "gallery"}"\ngallery_items = "{folders / "items.csv"}"\n'
    found = scores(folders, gallery, source=False)
    assert (found["near_duplicates"].value, found["gallery"].value) == (1, 7)
    assert found["map"].note.startswith(
        "in a gallery of 7 images; 4 near duplicates of own ground truth are left out"
    )
    found = scores(folders, gallery + "own_ground_truth = true\n", source=False)
    assert (found["near_duplicates"].value, found["gallery"].value) == (0, 8)


# --- items in all colours, and the partition ---

FLAT = "fashionWOMENTees_Tanksid0000508545_1front"
SPELLINGS = (
    FLAT, "fashion/" + FLAT, "WOMEN/Tees_Tanks/id_00005085/45_1_front",
    "img/WOMEN/Tees_Tanks/id_00005085/45_1_front", "WOMEN-Tees_Tanks-id_00005085-45_1_front",
)  # fmt: skip


@pytest.mark.parametrize("name", SPELLINGS)
def test_the_in_shop_id_is_read_in_every_spelling(name: str, tmp_path: Path) -> None:
    assert in_shop_id(name) == "id_00005085"
    (tmp_path / "list.txt").write_text(
        "1\nimage_name item_id evaluation_status\n"
        "img/WOMEN/Tees_Tanks/id_00005085/45_1_front.jpg id_00005085 query\n"
    )
    partition = read_partition(str(tmp_path / "list.txt"))
    assert (partition.item(name), partition.status(name)) == ("id_00005085", "query")
    other = name.replace("45_1", "46_1")
    assert (partition.item(other), partition.status(other)) == ("", "")


@pytest.mark.parametrize(
    "name", ["0001_c1s1_000151_00", "id1234567_1", "clip01/00002", "id123456789012"]
)
def test_a_name_without_an_in_shop_id_has_none(name: str) -> None:
    assert in_shop_id(name) is None


def in_colours() -> tuple[FeatureRows, list[str]]:
    """Return four pairs: two colours of one garment, and two further ones; and their sources."""
    names = [f"fashionMENDenimid00000001{n}_1front" for n in ("01", "02")]
    names += [f"fashionMENDenimid0000000{n}01_1front" for n in (2, 3)]
    targets = [name.replace("1front", "2side") for name in names]
    places = np.array([[0.0], [1.0], [5.0], [9.0]])
    # The first query is nearest to the second garment's colour.
    generated = np.array([[0.9], [1.1], [5.1], [9.0]])
    items = [item_of(name) or "" for name in names]
    return rows(generated, places, items=items, sources=names, targets=targets), names


def test_in_shop_an_item_is_a_garment_in_all_of_its_colours() -> None:
    made, _ = in_colours()
    colour = values_of(Retrieval(distance="euclidean"), made)
    in_shop = values_of(Retrieval(distance="euclidean", items="in-shop"), made)
    assert colour["recall@1"] == [0, 1, 1, 1]
    assert in_shop["recall@1"] == [1, 1, 1, 1]
    assert colour["chance@1"] == [1 / 4] * 4
    assert in_shop["chance@1"] == pytest.approx([1 / 2, 1 / 2, 1 / 4, 1 / 4])


def test_a_partition_says_which_images_query_and_which_are_searched(tmp_path: Path) -> None:
    made, names = in_colours()
    status = ["gallery", "gallery", "train", "gallery"]
    lines = [
        f"{name}.jpg {in_shop_id(name)} {word}" for name, word in zip(names, status, strict=True)
    ]
    lines += [
        f"{made.targets[row]}.jpg {in_shop_id(names[row])} {word}"
        for row, word in ((0, "query"), (2, "query"), (3, "train"))
    ]
    path = tmp_path / "list_eval_partition.txt"
    path.write_text("7\nimage_name item_id evaluation_status\n" + "\n".join(lines) + "\n")
    listed = values_of(Retrieval(distance="euclidean", partition=str(path)), made)
    nan = math.nan
    # The first alone is a query with its item in the gallery of three images.
    assert listed["recall@1"] == pytest.approx([1, nan, nan, nan], nan_ok=True)
    assert listed["gallery"] == pytest.approx([3, nan, 3, nan], nan_ok=True)
    every = values_of(
        Retrieval(distance="euclidean", partition=str(path), queries="all", items="colour"), made
    )
    assert every["recall@1"] == pytest.approx([0, 1, nan, 1], nan_ok=True)


def test_a_partition_counts_by_its_content_in_the_digest(tmp_path: Path) -> None:
    for name, status in (("a", "query"), ("b", "query"), ("c", "gallery")):
        (tmp_path / name).write_text(f"{FLAT}.jpg id_00005085 {status}\n")
    a, b, c = (Retrieval(partition=str(tmp_path / name)).canonical() for name in "abc")
    assert a == b != c
    assert a["items"] == "in-shop"
    assert Retrieval().canonical() == Retrieval(items="colour", queries="all").canonical()
    assert a != Retrieval(partition=str(tmp_path / "a"), queries="all").canonical()
    assert a != Retrieval(partition=str(tmp_path / "a"), items="colour").canonical()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\nimage_name item_id evaluation_status\n", "lists no image"),
        ("img/a.jpg id_1\n", "line 1: expected the name of an image"),
        (
            "2\nimg/a.jpg id_1 test\n",
            "line 2: the status is 'train', 'query' or 'gallery', not 'test'",
        ),
        ("a.jpg x query\na.png x gallery\n", "line 2: a.png stands in two lines that differ"),
    ],
)
def test_a_partition_that_cannot_be_used_is_told_before_any_work(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(InputError, match=message):
        Retrieval(partition=str(tmp_path / "list.txt")).lacks()


@pytest.mark.parametrize(("items", "number"), [("colour", 876), ("in-shop", 811)])
def test_recall_on_the_published_pairs_equals_brute_force(
    fixtures: Path, items: Any, number: int
) -> None:
    with (fixtures / "deepfashion_lists" / "fashion-pairs-test.csv").open() as file:
        pairs = [(row["from"].removesuffix(".jpg"), row["to"].removesuffix(".jpg"))
                 for row in csv.DictReader(file)]  # fmt: skip
    label = (lambda name: name[name.index("id") :][:10]) if items == "in-shop" else (
        lambda name: name.rpartition("_")[0])  # fmt: skip
    assert len({label(target) for _, target in pairs}) == number
    assert len(pairs) == 8570
    generator = np.random.default_rng(0)
    names = sorted({source for source, _ in pairs})
    of_item = {item: generator.integers(-9, 10, 8) for item in sorted(map(label, names))}
    places = np.array([of_item[label(name)] for name in names])
    places += generator.integers(-4, 5, places.shape)
    at = {name: row for row, name in enumerate(names)}
    chosen = pairs[::20]
    queries = np.array([of_item[label(target)] for _, target in chosen])
    queries += generator.integers(-4, 5, queries.shape)
    metric = Retrieval(distance="euclidean", items=items)
    # All sources are in the gallery, and every twentieth pair asks.
    gallery = metric._gallery_rows(
        {"embedding": {"embedding": places}}, names, [item_of(name) or "" for name in names],
        [""] * len(names), [""] * len(names),
    )  # fmt: skip
    made = rows(
        queries, places[[at[source] for source, _ in chosen]],
        items=[item_of(target) or "" for _, target in chosen],
        sources=[source for source, _ in chosen], targets=[target for _, target in chosen],
    )  # fmt: skip
    state = metric.merge(state_of(metric, made), metric.empty() | gallery)
    _, columns = metric.pair_values(state)
    labels = np.array([label(name) for name in names])
    for row, (_, target) in enumerate(chosen):
        gaps = ((places - queries[row]) ** 2).sum(axis=1)
        ranking = [place for place in np.argsort(gaps, kind="stable") if names[place] != target]
        hits = labels[ranking] == label(target)
        for k in KS:
            expected = float(hits[:k].any()) if hits.any() else math.nan
            assert columns[f"recall@{k}"][row] == pytest.approx(expected, nan_ok=True)
    assert 0.2 < np.nanmean(columns["recall@1"]) < np.nanmean(columns["recall@20"]) < 0.99


# --- parameters ---


@pytest.mark.parametrize("other", [{"distance": "euclidean"}, {"own_ground_truth": True}])
def test_every_parameter_of_the_ranking_moves_the_value(
    embeddings: FeatureRows, other: dict[str, Any]
) -> None:
    assert (
        values_of(Retrieval(), embeddings)["map"]
        != values_of(Retrieval(**other), embeddings)["map"]
    )


def test_another_distance_and_another_input_give_another_digest(tmp_path: Path) -> None:
    (tmp_path / "network.onnx").write_bytes(b"any")
    file = str(tmp_path / "network.onnx")
    made = [
        Retrieval(),
        Retrieval(distance="euclidean"),
        Retrieval(own_ground_truth=True),
        Retrieval(network=file),
        Retrieval(network=file, input_size=(256, 128)),
        Retrieval(network=file, input_mean=(0.5, 0.5, 0.5)),
        Retrieval(network=file, input_std=(0.5, 0.5, 0.5)),
    ]
    digests = [str(one.canonical()) for one in made]
    assert len(set(digests)) == len(made)
    default = Retrieval(network=file, input_size=(224, 224), input_mean=(0.485, 0.456, 0.406))
    assert default.canonical() == Retrieval(network=file).canonical()


def test_a_file_counts_by_its_content_and_not_by_its_place(tmp_path: Path) -> None:
    paths = [tmp_path / "a.pt", tmp_path / "b.pt", tmp_path / "c.pt"]
    for path, content in zip(paths, (b"one", b"one", b"two"), strict=True):
        path.write_bytes(content)
    one, copy, other = (Retrieval(network=str(path)) for path in paths)
    assert (one.canonical(), one.weights()) == (copy.canonical(), copy.weights())
    assert one.weights() != other.weights()
    assert str(tmp_path) not in str(one.canonical())


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"network": "clasical"}, "no network 'clasical'. Did you mean 'classical'"),
        ({"input_size": (64, 64)}, "'classical' has no input_size"),
        ({"network_weights": "x.pth"}, "'classical' has no network_weights"),
        ({"network": "x.pt", "network_weights": "y.pth"}, "'x.pt' has no network_weights"),
        ({"gallery_items": "items.csv"}, "there is no gallery"),
        ({"distance": "cosin"}, "Did you mean 'cosine'"),
        ({"network": "resnet50", "input_size": (0, 9)}, "retrieval.input_size"),
        ({"network": "resnet50", "input_std": (0.0, 1.0, 1.0)}, "retrieval.input_std"),
        ({"ks": [3]}, "no such key"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(
    parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ProtocolError, match=message):
        Retrieval(**parameters)


def test_a_list_from_a_protocol_is_a_size() -> None:
    protocol = parse_protocol(
        'id = "x"\n[metrics.retrieval]\nnetwork = "resnet50"\n'
        "input_size = [256, 128]\ninput_mean = [0, 0.5, 1]\n",
        "test",
    )
    (entry,) = protocol.entries
    assert entry.metric == Retrieval(
        network="resnet50", input_size=(256, 128), input_mean=(0.0, 0.5, 1.0)
    )


def test_a_missing_file_makes_it_unavailable_with_the_reason(tmp_path: Path) -> None:
    path = str(tmp_path / "network.pt")
    assert Retrieval(network=path).lacks() == f"There is no file {path}. Check the path."


def test_with_a_gallery_it_uses_no_source_images(tmp_path: Path) -> None:
    assert Retrieval().uses() == {"source", "item"}
    assert Retrieval(gallery=str(tmp_path)).uses() == {"item"}


def test_a_network_without_the_array_is_named() -> None:
    made = feature_rows(["a"], {"embedding": {"logits": np.ones((1, 2))}}, items=["x"])
    with pytest.raises(MetricError, match="network 'classical' gives no rows"):
        Retrieval().update(Retrieval().empty(), made)


# --- runs and calls ---


def test_it_works_on_tensors(photographs: dict[str, Pixels]) -> None:
    images = crops(photographs, 8, 96, 66)
    source, generated = tensor(images), tensor([spoilt(one, n) for n, one in enumerate(images)])
    items = [f"item {number // 2}" for number in range(8)]
    values = Retrieval()(generated, source=source, items=items)
    assert set(values) == set(Retrieval.parts())
    assert values["recall@1"] == values["recall@5"] == 1
    assert math.isnan(values["recall@10"])
    assert (values["gallery"], values["near_duplicates"]) == (8, 0)
    assert 0 < values["map"] < 1
    with pytest.raises(ArgumentError, match="'items' must hold 8 item ids"):
        Retrieval()(generated, source=source)
    with pytest.raises(ArgumentError, match="'source' is missing"):
        Retrieval()(generated, items=items)


ITEMS = [f"fashionWOMENDressesid00002232{number:02d}" for number in range(4)]


@pytest.fixture
def folders(tmp_path: Path, photographs: dict[str, Pixels]) -> Path:
    """Four pairs of DeepFashion's names: noisy images that should equal the front views."""
    for side in ("generated", "truth", "source", "gallery"):
        (tmp_path / side).mkdir()
    for item, image in zip(ITEMS, crops(photographs, 4, 96, 66), strict=True):
        front, back = f"{item}_1front", f"{item}_2back"
        mirrored = Image.fromarray(image[:, ::-1])
        Image.fromarray(image).save(tmp_path / "truth" / f"{front}.png")
        mirrored.save(tmp_path / "source" / f"{back}.png")
        Image.fromarray(spoilt(image)).save(tmp_path / "generated" / f"{back}___{front}.png")
        Image.fromarray(image).save(tmp_path / "gallery" / f"{front}.png")
        mirrored.save(tmp_path / "gallery" / f"{item}_3back.png")
    return tmp_path


def scores(folders: Path, parameters: str = "", source: bool = True) -> dict[str, Any]:
    protocol = parse_protocol(f'id = "x"\n[metrics.retrieval]\n{parameters}', "test")
    result = evaluate(
        folders / "generated",
        folders / "truth",
        source=folders / "source" if source else None,
        protocol=protocol,
    )
    return {name.partition(".")[2]: score for name, score in result.scores.items()}


def test_a_run_finds_the_sources(folders: Path) -> None:
    found = scores(folders)
    assert found["recall@1"].value == found["map"].value == 1
    assert found["recall@1"].n == 4


def test_a_run_asks_a_gallery_without_the_own_ground_truth(folders: Path) -> None:
    found = scores(folders, f'gallery = "{folders / "gallery"}"', source=False)
    assert found["map"].value == 1  # the mirrored view alone is a hit
    found = scores(
        folders, f'gallery = "{folders / "gallery"}"\nown_ground_truth = true', source=False
    )
    assert found["map"].value == 1
    for path in (folders / "gallery").glob("*_3back.png"):
        path.unlink()
    found = scores(folders, f'gallery = "{folders / "gallery"}"', source=False)
    assert found["map"].value is None
    assert "besides the pair's own ground truth" in found["map"].reason


def test_a_csv_says_what_a_gallery_shows(folders: Path) -> None:
    gallery = folders / "gallery"
    lines = ["image,item"]
    for number, item in enumerate(ITEMS):
        (gallery / f"{item}_1front.png").unlink()
        (gallery / f"{item}_3back.png").rename(gallery / f"{number}.png")
        lines.append(f"{number}.png,{item}")
    given = f'gallery = "{gallery}"\n'
    assert scores(folders, given, source=False)["map"].value is None
    (folders / "items.csv").write_text("\n".join(lines))
    given += f'gallery_items = "{folders / "items.csv"}"\n'
    assert scores(folders, given, source=False)["map"].value == 1


def test_a_list_of_pairs_says_what_a_gallery_shows(
    tmp_path: Path, photographs: dict[str, np.ndarray]
) -> None:
    rows = ["generated,ground_truth,item"]
    for number, image in enumerate(crops(photographs, 3, 64, 48)):
        files = {f"real/IMG_{number}.png": image, f"gen/job-{number}.png": spoilt(image)}
        for name, pixels in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / name)
        rows.append(f"job-{number}.png,IMG_{number}.png,dress-{number}")
    (tmp_path / "pairs.csv").write_text("\n".join(rows))
    options = {"gallery": str(tmp_path / "real"), "own_ground_truth": True}
    result = evaluate(
        tmp_path / "gen",
        tmp_path / "real",
        pairs=tmp_path / "pairs.csv",
        metrics=["retrieval"],
        settings={f"retrieval.{name}": value for name, value in options.items()},
        device="cpu",
    )
    assert result.scores["retrieval.map"].value == 1


def test_a_galleries_content_counts_in_the_digest(folders: Path) -> None:
    metric = Retrieval(gallery=str(folders / "gallery"))
    before = metric.canonical()
    (folders / "gallery").rename(folders / "moved")
    assert Retrieval(gallery=str(folders / "moved")).canonical() == before
    next((folders / "moved").iterdir()).unlink()
    assert Retrieval(gallery=str(folders / "moved")).canonical() != before


def test_a_gallery_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gallery: there is no folder"):
        Retrieval(gallery=str(tmp_path / "no")).canonical()


def images_of_gallery(
    names: tuple[str, ...], vectors: np.ndarray, images: tuple[str, ...] = ()
) -> FeatureRows:
    return reference_rows(names, {"embedding": {"embedding": vectors}}, images)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"name,item\na,b\n", "line 1: the columns are name, item; expected image and item"),
        (b"", "line 1: the columns are missing"),
        (b"image,item\na\n", "line 2: the image or the item is missing"),
        (b"image,item\na,\n", "line 2: the image or the item is missing"),
        (b"image,item\na.png,x\na.jpg,y\n", "line 3: a is item y here and x above"),
        (b"image,item\n\xff,x\n", "is not UTF-8 text"),
        (b'image,item\n"' + b"a" * 200_000 + b'",x\n', "field larger than"),
    ],
)
def test_a_csv_of_items_that_cannot_be_used_is_named(
    tmp_path: Path, text: bytes, message: str
) -> None:
    path = tmp_path / "items.csv"
    path.write_bytes(text)
    metric = Retrieval(gallery=str(tmp_path), gallery_items=str(path))
    with pytest.raises(InputError, match=message):
        metric.refer(metric.empty(), images_of_gallery(("a",), np.ones((1, 2))))


def test_a_csv_of_items_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(b"")
    metric = Retrieval(gallery=str(tmp_path), gallery_items=str(tmp_path / "no.csv"))
    with pytest.raises(InputError, match=r"cannot be read .* Give the items of the gallery"):
        metric.canonical()


def test_a_querys_own_ground_truth_is_known_by_its_content_whatever_its_name() -> None:
    """The gallery holds it under another name, as where --gt lies below --source."""
    vectors = np.eye(3)
    made = FeatureRows(
        ("a", "b", "c"), ("t0", "t1", "t2"), ("all/t0", "all/t1", "s2"), ("x", "y", "y"),
        np.ones(3, bool), {"embedding": {"embedding": vectors}}, {},
        {"embedding": {"embedding": vectors}}, ("i0", "i1", "i2"), ("i0", "i1", "other"),
    )  # fmt: skip
    metric = Retrieval()
    _, found = metric.pair_values(metric.update(metric.empty(), made))
    # But for its own ground truth nothing shows a's item, and b's is at the distance of another.
    assert found["recall@1"].tolist() == pytest.approx([np.nan, 0.0, 1.0], nan_ok=True)
    asked = Retrieval(own_ground_truth=True)
    _, found = asked.pair_values(asked.update(asked.empty(), made))
    assert found["recall@1"].tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(("asked", "expected"), [(False, np.nan), (True, 1.0)])
def test_a_gallerys_copy_of_a_ground_truth_counts_only_if_asked(
    tmp_path: Path, asked: bool, expected: float
) -> None:
    """Besides the copy, which has another name, the gallery shows other items alone."""
    (tmp_path / "gallery").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "gallery" / "x.png")
    metric = Retrieval(gallery=str(tmp_path / "gallery"), own_ground_truth=asked)
    names = ("fashionWOMENDressesid0000000101_1front", "fashionWOMENDressesid0000000201_1front")
    vectors = np.eye(2)
    state = metric.refer(metric.empty(), images_of_gallery(names, vectors, ("copy", "other")))
    query = FeatureRows(
        ("a",), ("t",), ("",), (item_of(names[0]) or "",), np.ones(1, bool),
        {"embedding": {"embedding": vectors[:1]}}, {}, {}, ("copy",), ("",),
    )  # fmt: skip
    _, found = metric.pair_values(metric.update(state, query))
    assert found["recall@1"].tolist() == pytest.approx([expected], nan_ok=True)


def test_a_faulty_list_of_items_is_told_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "gallery").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "gallery" / "x.png")
    (tmp_path / "items.csv").write_text("picture,thing\nx,1\n")
    metric = Retrieval(gallery=str(tmp_path / "gallery"), gallery_items=str(tmp_path / "items.csv"))
    with pytest.raises(InputError, match=r"items\.csv"):
        metric.lacks()
