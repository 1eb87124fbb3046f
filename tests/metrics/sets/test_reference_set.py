"""Reference sets: files of statistics are read as the field writes them, and nothing is guessed."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fhpt_eval.errors import InputError
from fhpt_eval.metrics.sets.reference_set import (
    Statistics,
    check_settings,
    digest,
    load_statistics,
    save_statistics,
)

MEAN, COVARIANCE = np.arange(3.0), np.diag([1.0, 2.0, 3.0])


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    file = tmp_path / "stats.npz"
    save_statistics(file, Statistics(MEAN, COVARIANCE, 17, {"feature": {"resize": "clean"}}))
    found = load_statistics(str(file))
    assert np.array_equal(np.asarray(found.mean), MEAN)
    assert np.array_equal(np.asarray(found.covariance), COVARIANCE)
    assert (found.count, found.settings) == (17, {"feature": {"resize": "clean"}})


def test_a_file_of_pytorch_fid_or_clean_fid_reads(tmp_path: Path) -> None:
    """Both write ``np.savez(file, mu=..., sigma=...)``, compressed or not."""
    np.savez_compressed(tmp_path / "stats.npz", mu=MEAN, sigma=COVARIANCE)
    found = load_statistics(str(tmp_path / "stats.npz"))
    assert (found.count, found.settings, found.features) == (None, None, None)
    assert np.array_equal(np.asarray(found.covariance), COVARIANCE)


def test_a_file_of_clean_fid_for_kid_reads(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "kid.npz", feats=np.ones((5, 3), np.float32))
    found = load_statistics(str(tmp_path / "kid.npz"))
    assert found.features is not None
    assert found.features.shape == (5, 3)


def test_ours_is_read_by_pytorch_fid(tmp_path: Path) -> None:
    score = pytest.importorskip("pytorch_fid.fid_score", reason="pytorch-fid is not installed")
    save_statistics(tmp_path / "stats.npz", Statistics(MEAN, COVARIANCE, 17, {}))
    mean, covariance = score.compute_statistics_of_path(
        str(tmp_path / "stats.npz"), None, 1, 3, "cpu"
    )
    assert (mean == MEAN).all()
    assert (covariance == COVARIANCE).all()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"mu": MEAN}, "neither 'mu' and 'sigma' nor 'feats'"),
        ({"other": MEAN}, "neither 'mu' and 'sigma' nor 'feats'"),
        ({"mu": MEAN, "sigma": np.eye(4)}, r"'mu' has shape \(3,\) and 'sigma' \(4, 4\)"),
        ({"mu": MEAN, "sigma": np.full((3, 3), np.nan)}, "'sigma' has values that are not finite"),
        ({"mu": MEAN, "sigma": np.arange(9.0).reshape(3, 3)}, "'sigma' is not symmetric"),
        ({"mu": np.arange(3), "sigma": np.eye(3)}, "'mu' holds int64"),
        ({"feats": np.ones(3)}, r"'feats' has shape \(3,\)"),
        ({"mu": MEAN, "sigma": COVARIANCE, "count": np.array([1, 2])}, "'count' is not a whole"),
        ({"mu": MEAN, "sigma": COVARIANCE, "count": np.array(1)}, "needs at least 2 images"),
        ({"mu": MEAN, "sigma": -COVARIANCE}, "'sigma' is no covariance"),
        ({"mu": MEAN, "sigma": COVARIANCE, "settings": np.array("[1]")}, "'settings' is not"),
        ({"mu": MEAN, "sigma": COVARIANCE, "settings": np.array("{")}, "'settings' is not"),
    ],
    ids=lambda one: "+".join(one) if isinstance(one, dict) else "",
)
def test_a_wrong_file_says_what_is_wrong(
    arrays: dict[str, Any], message: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "stats.npz", **arrays)
    with pytest.raises(InputError, match=message):
        load_statistics(str(tmp_path / "stats.npz"))


class Trap:
    """Leaves a trace when unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return exec, ("raise SystemExit('unpickled')", "")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    file = tmp_path / "stats.npz"
    np.savez(file, mu=np.array([Trap()], dtype=object), sigma=COVARIANCE)
    with pytest.raises(InputError, match="is no file of statistics"):
        load_statistics(str(file))
    file.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError, match="is no file of statistics"):
        load_statistics(str(file))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"mu,sigma\n1,2\n"])
def test_what_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "stats.npz").write_bytes(content)
    with pytest.raises(InputError, match="is no file of statistics"):
        load_statistics(str(tmp_path / "stats.npz"))


def test_an_array_with_an_archive_behind_it_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "stats.npz"
    np.savez(tmp_path / "sound.npz", mu=MEAN, sigma=COVARIANCE)
    np.save(tmp_path / "array.npy", MEAN)
    file.write_bytes((tmp_path / "array.npy").read_bytes() + (tmp_path / "sound.npz").read_bytes())
    with pytest.raises(InputError, match="is a single array"):
        load_statistics(str(file))


def test_other_settings_are_named_one_by_one(tmp_path: Path) -> None:
    file = str(tmp_path / "stats.npz")
    made = {"feature": {"parameters": {"resize": "clean"}}, "prepare": []}
    save_statistics(Path(file), Statistics(MEAN, COVARIANCE, 17, made))
    check_settings(file, made)
    with pytest.raises(InputError, match=r"feature\.parameters\.resize: clean there, none here"):
        check_settings(file, {"feature": {"parameters": {"resize": "none"}}, "prepare": []})


def test_a_folder_counts_by_its_names_and_images(tmp_path: Path) -> None:
    from PIL import Image

    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        Image.new("RGB", (4, 4), "red").save(folder / "a.png")
    (other / "notes.txt").write_text("no image")
    assert digest(str(one)) == digest(str(other))
    Image.new("RGB", (4, 4), "blue").save(other / "a.png")
    assert digest(str(one)) != digest(str(other))


def test_a_reference_set_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere cannot be read"):
        digest(str(tmp_path / "nowhere"))


def test_a_damaged_file_is_refused_wherever_the_damage_is(tmp_path: Path) -> None:
    file = tmp_path / "stats.npz"
    np.savez_compressed(file, mu=MEAN, sigma=COVARIANCE)
    data = file.read_bytes()
    refused = 0
    for at in range(0, len(data), 3):
        file.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        try:
            load_statistics(str(file))
        except InputError:
            refused += 1
    assert refused > 50


def test_an_archive_that_would_unpack_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "stats.npz", mu=np.zeros(4000), sigma=np.zeros((4000, 2)))
    monkeypatch.setattr("fhpt_eval.metrics.sets.reference_set.MAX_BYTES", 50_000)
    with pytest.raises(InputError, match="would unpack to"):
        load_statistics(str(tmp_path / "stats.npz"))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_covariance_of_fewer_images_than_dimensions_passes_in_either_precision(
    tmp_path: Path, kind: Any
) -> None:
    """The eigenvalues that should be 0 lie on either side of it, by the rounding of the type."""
    rows = np.random.default_rng(0).gamma(0.3, 2, (20, 256)).astype(kind)
    deviations = rows - rows.mean(axis=0)
    sigma = deviations.T @ deviations / kind(19)
    least = np.linalg.eigvalsh(sigma.astype(np.float64))[0]
    assert least < 0
    np.savez(tmp_path / "stats.npz", mu=rows.mean(axis=0), sigma=sigma)
    found = load_statistics(str(tmp_path / "stats.npz"))
    assert np.array_equal(np.asarray(found.covariance), sigma.astype(np.float64))


def test_what_rounding_does_not_explain_is_no_covariance_in_float32(tmp_path: Path) -> None:
    sigma = np.diag([1.0, 1.0, -1e-3]).astype(np.float32)
    np.savez(tmp_path / "stats.npz", mu=MEAN, sigma=sigma)
    with pytest.raises(InputError, match=r"no covariance: it has the eigenvalue -0\.001"):
        load_statistics(str(tmp_path / "stats.npz"))


def test_half_precision_is_too_coarse_for_a_covariance(tmp_path: Path) -> None:
    np.savez(tmp_path / "stats.npz", mu=MEAN, sigma=COVARIANCE.astype(np.float16))
    with pytest.raises(InputError, match="float16, too coarse for a covariance"):
        load_statistics(str(tmp_path / "stats.npz"))
