"""FID: the distance equals its definition, and sets are counted as the parameters say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from fhpt_eval.errors import Undefined
from fhpt_eval.metrics import FID, FeatureRows
from fhpt_eval.metrics.fid import side_of
from fhpt_eval.metrics.sets.frechet import Gaussian, frechet
from fhpt_eval.protocol import Entry
from fhpt_eval.testing import textures
from tests.support.gaussians import frechet_distance
from tests.support.patches import Patches, PatchFID, PatchKID
from tests.support.random_inception import write_inception_2015
from tests.support.rows import feature_rows


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_inception_2015(tmp_path_factory.mktemp("weights") / "2015.pth"))


def gaussian(size: int, rank: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    factor = generator.normal(size=(size, rank))
    return generator.normal(size=size), factor @ factor.T / rank


@pytest.mark.parametrize("size", [1, 2, 17, 300])
def test_the_distance_equals_the_general_square_root(size: int) -> None:
    (m1, s1), (m2, s2) = gaussian(size, 2 * size, 0), gaussian(size, 2 * size, 1)
    root = np.atleast_2d(sqrtm(s1 @ s2)).real
    expected = ((m1 - m2) ** 2).sum() + np.trace(s1 + s2 - 2 * root)
    assert frechet_distance(m1, s1, m2, s2) == pytest.approx(expected, rel=1e-9)


def test_singular_covariances_give_a_finite_distance() -> None:
    (m1, s1), (m2, s2) = gaussian(64, 5, 0), gaussian(64, 7, 1)
    assert np.isfinite(frechet_distance(m1, s1, m2, s2))


@given(st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_the_distance_is_symmetric_and_zero_only_of_equals(seed: int) -> None:
    (m1, s1), (m2, s2) = gaussian(8, 20, seed), gaussian(8, 20, seed + 1)
    one, other = frechet_distance(m1, s1, m2, s2), frechet_distance(m2, s2, m1, s1)
    assert one == pytest.approx(other, rel=1e-9)
    assert one > 0
    assert frechet_distance(m1, s1, m1, s1) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("n", "m"), [(5, 7), (2, 40), (40, 3)])
def test_factors_give_the_distance_of_their_covariances(n: int, m: int) -> None:
    generator = np.random.default_rng(n)
    sides = [generator.normal(size=(count, 16)) @ np.diag(np.arange(16)) for count in (n, m)]
    means = [side.mean(axis=0) for side in sides]
    factors = [(s - mean) / np.sqrt(len(s) - 1) for s, mean in zip(sides, means, strict=True)]
    small = [Gaussian(mean, factor=f) for mean, f in zip(means, factors, strict=True)]
    full = [Gaussian(mean, np.cov(s, rowvar=False)) for mean, s in zip(means, sides, strict=True)]
    expected = frechet(*full)
    for ours, theirs in ((small, small), (small, full), (full, small)):
        # The covariances are singular: square roots of eigenvalues near 1e-16 are what differs.
        assert frechet(ours[0], theirs[1]) == pytest.approx(expected, rel=1e-6)


def rows(count: int, distinct: list[bool], size: int = 4) -> FeatureRows:
    generator = np.random.default_rng(0)
    pool = generator.normal(size=(2, count, size)).astype(np.float32)
    keys = tuple(f"pair{n}" for n in range(count))
    generated, truth = ({"network": {"pool": side}} for side in pool)
    return feature_rows(keys, generated, truth, distinct=distinct)


def test_each_ground_truth_image_counts_once_unless_pairs_are_wanted() -> None:
    made = rows(6, [True, False, True, True, False, True])
    images, pairs = FID(), FID(ground_truth="pairs")
    truth = made.ground_truth["network"]["pool"]
    generated = made.generated["network"]["pool"].astype(np.float64)
    for metric, chosen in ((images, truth[made.distinct]), (pairs, truth)):
        real = chosen.astype(np.float64)
        expected = frechet_distance(
            generated.mean(0), np.cov(generated.T), real.mean(0), np.cov(real.T)
        )
        value = metric.compute(metric.update(metric.empty(), made))[""]
        # Six rows in four dimensions: the square roots of tiny eigenvalues are what differs.
        assert value == pytest.approx(expected, rel=1e-6)


def test_one_image_has_no_covariance() -> None:
    with pytest.raises(Undefined, match="at least 2 images"):
        FID().compute(FID().update(FID().empty(), rows(1, [True])))


def test_fewer_images_than_dimensions_are_stated() -> None:
    note = FID().note(FID().update(FID().empty(), rows(4, [True] * 4)))
    assert "rests on 4 generated and 4 real images, too few for its 4 dimensions" in note


def test_without_weights_the_cure_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHPT_WEIGHTS", str(tmp_path))
    assert "fhpt-eval weights pull inception-2015" in FID().lacks()
    assert list(FID().weights()) == ["inception-2015"]


@pytest.mark.parametrize(("ours", "theirs"), [(5, 3), (2, 6)])
@pytest.mark.parametrize("kind", [PatchFID, PatchKID], ids=["fid", "kid"])
def test_two_sets_may_differ_in_their_number(kind: Any, ours: int, theirs: int) -> None:
    metric = kind() if kind is PatchFID else kind(subsets=3, subset_size=2)
    generated, truth = textures(ours, 8, 6)[0], textures(theirs, 8, 6)[1]
    pools = [Patches().compute(images)["pool"].numpy() for images in (generated, truth)]
    state = metric.empty()
    for side, pool in zip(("generated", "real"), pools, strict=True):
        keys = [f"{row:03d}" for row in range(len(pool))]
        held = metric.holds[side].add(side_of(state, side), pool, np.array(keys))
        state |= {f"{side}.{name}": array for name, array in held.items()}
    assert metric(generated, truth) == metric.compute(state)


def test_the_resize_moves_the_value(file: str) -> None:
    generated, truth = textures(3, 80, 64)
    values = {
        resize: FID(network_weights=file, resize=resize)(generated, truth)[""]
        for resize in ("pytorch-fid", "tensorflow", "clean")
    }
    assert len(set(values.values())) == 3


def test_weights_of_your_own_count_by_their_content_not_their_place(
    file: str, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.pth"
    copy.write_bytes(Path(file).read_bytes())
    one, two = (Entry("fid", FID(network_weights=str(path)), ()) for path in (file, copy))
    assert one.canonical() == two.canonical()
    assert one.canonical() != Entry("fid", FID(), ()).canonical()
