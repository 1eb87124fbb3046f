"""Faces: what is found and described, independence of batch and process, what is said without dlib.

Golden values are of ``face_recognition`` 1.3.0 with dlib 20.0.1 and face_recognition_models 0.3.0:
``face_encodings(image)[0]`` with its defaults, and the detector's first box.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError
from torch import Tensor

from fhpt_eval.errors import ArgumentError, MetricError, UnavailableError, WeightsError
from fhpt_eval.features.faces import Faces, descriptors, models, pool
from fhpt_eval.features.faces.find import MAX_PIXELS, FaceFinder, doublings
from tests.support.photographs import Pixels, tensor

CURE = 'pip install dlib-bin "face_recognition_models==0.3.0"'
NO_DLIB = f"dlib is not installed here ({CURE})"
KEYS = ["found", "box", "score", "descriptor"]

#: Height of the fixture, box, first six numbers and sum of the descriptor.
FROZEN: dict[str, tuple[list[int], list[float], float]] = {
    "astronaut": (
        [175, 76, 265, 166],
        [-0.0662784, 0.02092324, 0.01763653, -0.06417061, -0.15250617, -0.01921132],
        -1.7605526,
    ),
    "person_a_1": (
        [151, 80, 259, 187],
        [-0.00539046, 0.17981279, 0.0808286, -0.03466875, -0.13433068, 0.04475344],
        -1.3259086,
    ),
    "person_b_1": (
        [242, 98, 428, 284],
        [-0.09308042, 0.11803804, 0.01003973, -0.06121792, 0.01574541, 0.00514929],
        -0.3750189,
    ),
    "person_b_2": (
        [97, 180, 283, 366],
        [-0.05264292, 0.11345781, 0.03645996, -0.08781733, -0.00951901, 0.01149263],
        -0.6672305,
    ),
}
#: The tolerance that design and card state for each number; the sum is of 128 of them.
TOLERANCE = 1e-6


@pytest.fixture(scope="module")
def faces() -> Faces:
    pytest.importorskip("dlib", reason=NO_DLIB)
    return Faces()


@pytest.fixture(scope="module")
def head(photographs: dict[str, Pixels]) -> Image.Image:
    """The astronaut's head: a face of 91 pixels in an image of 160."""
    return Image.fromarray(photographs["astronaut"]).crop((150, 40, 310, 200))


def sized(image: Image.Image, *size: int) -> Pixels:
    return np.asarray(image.resize((size[0], size[-1]), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def mixed(head: Image.Image) -> Tensor:
    """Five images of 64 x 64: two with a face, one with a small one, noise, black."""
    dim = Image.fromarray((sized(head, 64) * 0.7).astype(np.uint8))
    small = Image.new("RGB", (64, 64), (200, 190, 180))
    small.paste(Image.fromarray(sized(head, 48)), (8, 8))
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    images = [sized(head, 64), np.asarray(dim), np.asarray(small), noise, noise * 0]
    return tensor(images)


@pytest.fixture(scope="module")
def rows(faces: Faces, mixed: Tensor) -> dict[str, Tensor]:
    return faces.compute(mixed)


def same(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> bool:
    """Whether rows are equal to the bit; NaN equals NaN."""
    return all(
        np.array_equal(ours[key].numpy(), theirs[key].numpy(), equal_nan=True) for key in KEYS
    )


def portrait(fixtures: Path, name: str, height: int = 768) -> Pixels:
    image = Image.open(fixtures / "faces" / f"{name}.jpg").convert("RGB")
    if height == image.height:
        return np.asarray(image)
    return sized(image, round(image.width * height / image.height), height)


# --- what is found ---


def agrees_with_frozen(name: str, image: Pixels) -> None:
    box, first, total = FROZEN[name]
    for upsample in (1, 2):  # the first doubling finds it, so that the second is never tried
        row = Faces(upsample=upsample).compute(tensor([image]))
        assert row["box"][0].tolist() == box
        values = row["descriptor"][0].numpy()
        np.testing.assert_allclose(values[:6], first, rtol=0, atol=TOLERANCE)
        assert values.sum() == pytest.approx(total, abs=128 * TOLERANCE)


def test_the_astronauts_face_is_that_of_face_recognition(
    faces: Faces, photographs: dict[str, Pixels]
) -> None:
    agrees_with_frozen("astronaut", photographs["astronaut"])


@pytest.mark.parametrize("name", ["person_a_1", "person_b_1", "person_b_2"])
def test_a_portrait_is_described_as_by_face_recognition(
    faces: Faces, fixtures: Path, name: str
) -> None:
    agrees_with_frozen(name, portrait(fixtures, name))


@pytest.mark.parametrize("height", [768, 256])
def test_two_persons_are_told_apart_and_one_is_recognised(
    faces: Faces, fixtures: Path, height: int
) -> None:
    a, b, other_b = (
        descriptors(tensor([portrait(fixtures, name, height)]))[0]
        for name in ("person_a_1", "person_b_1", "person_b_2")
    )
    assert np.linalg.norm(b - other_b) < 0.5 < 0.7 < np.linalg.norm(a - b)
    assert np.linalg.norm(a - other_b) > 0.7


@pytest.mark.parametrize("name", ["coffee", "chelsea"])
def test_a_photograph_without_a_persons_face_has_none(
    faces: Faces, photographs: dict[str, Pixels], name: str
) -> None:
    row = faces.compute(tensor([photographs[name]]))
    assert row["found"].tolist() == [0]
    assert all(row[key].isnan().all() for key in KEYS[1:])


def test_shapes_and_types(rows: dict[str, Tensor]) -> None:
    assert list(rows) == KEYS
    assert rows["found"].dtype == torch.int64
    assert all(rows[key].dtype == torch.float64 for key in KEYS[1:])
    assert [tuple(rows[key].shape) for key in KEYS] == [(5,), (5, 4), (5,), (5, 128)]
    assert rows["found"].tolist() == [1, 1, 1, 0, 0]
    for key in KEYS[1:]:
        numbers = rows[key].flatten(1) if rows[key].ndim > 1 else rows[key][:, None]
        assert (numbers.isnan().all(1) == (rows["found"] == 0)).all()
        assert (numbers.isnan().any(1) == (rows["found"] == 0)).all()


def test_of_several_faces_the_clearest_is_taken(
    faces: Faces, photographs: dict[str, Pixels]
) -> None:
    """The badge on the suit is a face to the detector, with a tenth of the head's score."""
    mirrored = np.ascontiguousarray(photographs["astronaut"][:, ::-1])
    for image in (photographs["astronaut"], mirrored):
        row = faces.compute(tensor([image]))
        left, top, right, bottom = row["box"][0].tolist()
        assert row["found"].item() == 2
        assert row["score"].item() > 1
        assert top < 100
        assert right - left == bottom - top == 90


@pytest.mark.parametrize(("size", "needed"), [(120, 0), (64, 1), (48, 2)])
def test_a_smaller_face_needs_more_doublings(
    faces: Faces, head: Image.Image, size: int, needed: int
) -> None:
    image = tensor([sized(head, size)])
    found = [Faces(upsample=n).compute(image)["found"].item() for n in range(3)]
    assert found == [int(n >= needed) for n in range(3)]


def test_an_image_is_doubled_once_then_more_often_until_a_face_is_found() -> None:
    pixels = 256 * 176
    assert [doublings(pixels, upsample) for upsample in range(4)] == [[0], [1], [1, 2], [1, 2, 3]]


def test_an_image_is_not_doubled_to_more_pixels_than_are_allowed() -> None:
    assert doublings(MAX_PIXELS // 16, 2) == [1, 2]
    assert doublings(MAX_PIXELS // 16 + 1, 2) == [1]
    assert doublings(MAX_PIXELS // 4 + 1, 2) == [0]


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 2), (1, 5000), (5000, 1), (79, 81)])
@pytest.mark.parametrize("level", [0, 255, None])
def test_an_image_of_any_size_passes(
    faces: Faces, size: tuple[int, int], level: int | None
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    image = noise if level is None else np.full_like(noise, level)
    assert faces.compute(tensor([image]))["found"].tolist() == [0]


def test_a_grey_face_is_found(faces: Faces, head: Image.Image) -> None:
    grey = sized(head.convert("L").convert("RGB"), 64)
    assert faces.compute(tensor([grey]))["found"].tolist() == [1]


# --- what it takes ---


def test_floats_and_arrays_count_as_levels(mixed: Tensor, rows: dict[str, Tensor]) -> None:
    whole = mixed[:1]
    expected = rows["descriptor"][:1].numpy()
    for images in (whole.float() / 255, whole.double().numpy() / 255, whole.numpy()):
        assert np.array_equal(descriptors(images), expected)


@pytest.mark.parametrize("upsample", [-1, 5, 1.5, "2"])
def test_other_numbers_of_doublings_are_refused(upsample: Any) -> None:
    with pytest.raises(ValidationError, match="upsample"):
        Faces(upsample=upsample)
    with pytest.raises(ArgumentError, match="'upsample' is"):
        descriptors(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), upsample=upsample)


# --- independence ---


@given(st.permutations(range(5)), st.integers(1, 5))
@settings(max_examples=6, deadline=None)
def test_a_row_depends_on_its_own_image_alone(
    faces: Faces, mixed: Tensor, rows: dict[str, Tensor], order: list[int], count: int
) -> None:
    chosen = order[:count]
    expected = {key: rows[key][chosen] for key in KEYS}
    assert same(faces.compute(mixed[chosen]), expected)


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_as_many_processes_work_as_torch_may_use_threads(
    faces: Faces, mixed: Tensor, rows: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch,
    threads: None,
) -> None:  # fmt: skip
    for count in (1, 2):
        own = pool.Pool()
        monkeypatch.setattr(pool, "_pool", own)
        torch.set_num_threads(count)
        try:
            assert same(faces.compute(mixed), rows)
            assert own.workers == count
        finally:
            own.end()
        assert own.workers == 0


def test_threads_get_the_same_bits(faces: Faces, mixed: Tensor, rows: dict[str, Tensor]) -> None:
    with ThreadPoolExecutor(2) as runners:
        found = list(runners.map(faces.compute, [mixed[:3], mixed[3:]]))
    assert same({key: torch.cat([part[key] for part in found]) for key in KEYS}, rows)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_images_on_a_gpu_give_the_same_bits(
    faces: Faces, mixed: Tensor, rows: dict[str, Tensor]
) -> None:
    assert same(faces.compute(mixed.cuda()), rows)


# --- processes ---


@pytest.fixture
def own_pool(monkeypatch: pytest.MonkeyPatch, faces: Faces) -> Iterator[pool.Pool]:
    own = pool.Pool()
    monkeypatch.setattr(pool, "_pool", own)
    yield own
    own.end()


def test_a_process_that_was_killed_is_replaced(
    own_pool: pool.Pool, faces: Faces, mixed: Tensor, rows: dict[str, Tensor]
) -> None:
    faces.compute(mixed[:1])
    (worker,) = own_pool._idle
    os.kill(worker._process.pid, 9)  # at once, so that it may still look alive when it is asked
    assert same(faces.compute(mixed), rows)
    assert own_pool.workers == 1


def test_a_process_that_always_ends_is_an_error_of_ours(
    own_pool: pool.Pool, faces: Faces, mixed: Tensor, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    (tmp_path / "ends.py").write_text("raise SystemExit(7)")
    monkeypatch.setattr(pool, "_SCRIPT", tmp_path / "ends.py")
    with pytest.raises(MetricError, match=r"ended twice .* 64 x 64 pixels .*exit status 7"):
        faces.compute(mixed[:1])
    assert own_pool.workers == 0


def test_an_error_of_dlib_is_told(faces: Faces, mixed: Tensor, tmp_path: Path) -> None:
    (tmp_path / "damaged.dat").write_bytes(b"no predictor")
    worker = pool.Worker(tmp_path / "damaged.dat", models.path_of(models.NETWORK))
    try:
        with pytest.raises(MetricError, match=r"dlib failed .*: RuntimeError: .*deserializing"):
            worker.find(mixed[0].permute(1, 2, 0).numpy(), 1)
    finally:
        worker.end()


def test_without_an_interpreter_the_error_names_it(
    own_pool: pool.Pool, faces: Faces, mixed: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(MetricError, match=r"No process could be started .*/nowhere/python"):
        faces.compute(mixed[:1])


def gone(worker: pool.Worker, seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while worker.alive and time.monotonic() < end:
        time.sleep(0.02)
    return not worker.alive


def test_a_worker_without_work_ends_itself(faces: Faces, mixed: Tensor) -> None:
    files = models.path_of(models.PREDICTOR), models.path_of(models.NETWORK)
    worker = pool.Worker(*files, idle=1)
    try:
        assert worker.find(mixed[0].permute(1, 2, 0).numpy(), 1)["found"] == 1
        assert gone(worker)
    finally:
        worker.end()


def test_a_forked_process_leaves_the_workers_alone(
    own_pool: pool.Pool, faces: Faces, mixed: Tensor
) -> None:
    """Closed pipes end a worker once no process has them open: here there is no other."""
    faces.compute(mixed[:1])
    (worker,) = own_pool._idle
    pool._start_anew()
    assert pool._pool is not own_pool
    assert gone(worker)


SCRIPT = """
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from fhpt_eval.features.faces import pool
with ThreadPoolExecutor(2) as threads:
    rows = list(threads.map(lambda image: pool.find(image, 2), np.zeros((2, 64, 64, 3), np.uint8)))
print([int(row["found"][0]) for row in rows])
"""


def test_a_script_without_a_main_guard_runs_once_and_leaves_no_process(
    faces: Faces, tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    for trap in ("json", "dlib", "numpy"):  # a worker must not import what lies beside it
        (tmp_path / "folder").mkdir(exist_ok=True)
        (tmp_path / "folder" / f"{trap}.py").write_text("raise SystemExit('imported')")
    done = subprocess.run(
        [sys.executable, "-W", "error", tmp_path / "script.py"],
        capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path / "folder",
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "[0, 0]\n", "")


# --- dlib and its models ---


def test_an_address_has_dlibs_version_and_the_models_digests(faces: Faces) -> None:
    canonical = faces.canonical()
    assert canonical["software"] == {"dlib": models.dlib_version()}
    assert canonical["weights"] == faces.digests()
    assert sorted(canonical["weights"].values()) == [
        "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
        "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
    ]
    assert canonical["parameters"] == {"upsample": 2} != Faces(upsample=1).canonical()["parameters"]
    assert faces.lacks() == ""


def test_without_dlib_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dlib", None)
    assert Faces().lacks() == f"needs dlib and its models ({CURE})"
    with pytest.raises(UnavailableError, match=r"this needs dlib .*pip install"):
        descriptors(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    assert len(Faces().digests()) == 2


def test_a_dlib_that_cannot_be_imported_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        raise ImportError("libstdc++.so.6 is too old")

    monkeypatch.setattr(models, "import_module", broken)
    assert "cannot be imported: libstdc++.so.6 is too old" in Faces().lacks()


@pytest.fixture
def some_dlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "import_module", lambda _: SimpleNamespace(__version__="20"))


def test_without_the_models_the_cure_is_named(
    monkeypatch: pytest.MonkeyPatch, some_dlib: None
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert Faces().lacks() == f"needs dlib's models ({CURE})"
    with pytest.raises(WeightsError, match="pip install"):
        models.path_of(models.NETWORK)


def test_missing_and_other_files_are_not_used(
    monkeypatch: pytest.MonkeyPatch, some_dlib: None, tmp_path: Path
) -> None:
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / models.NETWORK.file).write_bytes(b"another network")
    assert Faces().lacks().startswith(f"needs {models.PREDICTOR.file} in {tmp_path}")
    with pytest.raises(WeightsError, match="There is no file"):
        models.path_of(models.PREDICTOR)
    with pytest.raises(WeightsError, match=r"not the model .* not used.*--force-reinstall"):
        models.path_of(models.NETWORK)


def test_loading_shows_a_fault_before_any_image(
    own_pool: pool.Pool, faces: Faces, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces.load(torch.device("cpu"))
    assert own_pool.workers == 1
    own_pool.end()
    monkeypatch.setattr(models, "NETWORK", models.NETWORK._replace(sha256="0" * 64))
    with pytest.raises(WeightsError, match="not the model that it should be"):
        faces.load(torch.device("cpu"))


def test_nothing_is_imported_before_a_face_is_looked_for() -> None:
    """The models' package fails to import, and dlib may not be there."""
    code = (
        "import sys; import fhpt_eval.metrics.face_identity as m; m.FaceIdentity().features();"
        "m.FaceIdentity().weights();"
        "assert not {'dlib', 'face_recognition_models'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_finder_takes_dlibs_first_face(faces: Faces, photographs: dict[str, Pixels]) -> None:
    finder = FaceFinder(*map(str, map(models.path_of, (models.PREDICTOR, models.NETWORK))))
    image = photographs["astronaut"]
    boxes = finder._detector(image, 1)
    row = finder.find(image, 1)[0]
    assert len(boxes) == row["found"] == 2
    box = boxes[0]
    assert row["box"].tolist() == [box.left(), box.top(), box.right(), box.bottom()]
