"""Face descriptors and distances against ``face_recognition`` 1.3.0.

``face_recognition`` asks for dlib's source by name, so that no extra can bring it beside the
prebuilt dlib. What it does is therefore written down here once more, as direct calls of dlib; and
it is itself compared with where it is installed (``pip install --no-deps
face_recognition==1.3.0``). Values frozen from it are in tests/features/test_faces.py. ``make
parity`` prints the table.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fhpt_eval.features.faces import descriptors
from fhpt_eval.metrics.face_identity import distances
from tests.support.photographs import Pixels, tensor

pytestmark = pytest.mark.parity

#: On each of the 128 numbers: both sides are one network, in one library.
TOLERANCE = 1e-6
NO_DLIB = 'dlib is not installed here (pip install dlib-bin "face_recognition_models==0.3.0")'

Encode = Callable[[Pixels], list[NDArray[np.float64]]]


def model(name: str) -> str:
    """Return the place of a file of face_recognition_models, which is not imported."""
    spec = importlib.util.find_spec("face_recognition_models")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return str(Path(spec.submodule_search_locations[0]) / "models" / name)


@pytest.fixture(scope="module")
def plainly() -> Encode:
    """One doubling, five points of every face, a descriptor of each without jitter."""
    dlib = pytest.importorskip("dlib", reason=NO_DLIB)
    detector = dlib.get_frontal_face_detector()
    predictor = dlib.shape_predictor(model("shape_predictor_5_face_landmarks.dat"))
    network = dlib.face_recognition_model_v1(model("dlib_face_recognition_resnet_model_v1.dat"))

    def encode(image: Pixels) -> list[NDArray[np.float64]]:
        points = [predictor(image, box) for box in detector(image, 1)]
        return [np.array(network.compute_face_descriptor(image, face, 1)) for face in points]

    return encode


@pytest.fixture(scope="module")
def peer() -> Any:
    """The package itself; it needs one function of ``pkg_resources``, which may not be there."""
    pytest.importorskip("dlib", reason=NO_DLIB)
    if importlib.util.find_spec("face_recognition") is None:
        pytest.skip("face_recognition is not installed (pip install --no-deps face_recognition)")
    stand_in = ModuleType("pkg_resources")
    vars(stand_in)["resource_filename"] = lambda _, path: model(Path(path).name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "pkg_resources", stand_in)
        patch.delitem(sys.modules, "face_recognition_models", raising=False)
        return importlib.import_module("face_recognition")


@pytest.fixture(scope="module")
def images(photographs: dict[str, Pixels]) -> dict[str, Pixels]:
    """The astronaut at several sizes, odd ones too, and a photograph of a cat."""
    astronaut = Image.fromarray(photographs["astronaut"])
    found = {"chelsea": photographs["chelsea"]}
    for size in ((512, 512), (301, 289), (224, 224), (150, 150)):
        resized = astronaut.resize(size, Image.Resampling.BICUBIC)
        found[f"astronaut {size[0]} x {size[1]}"] = np.asarray(resized)
    return found


@pytest.fixture
def portraits(fixtures: Path) -> dict[str, Pixels]:
    paths = sorted((fixtures / "faces").glob("*.jpg"))
    return {path.stem: np.asarray(Image.open(path).convert("RGB")) for path in paths}


def agree(images: dict[str, Pixels], encode: Encode) -> int:
    """Compare what is found and the descriptors; return how many images had a face."""
    faces = 0
    for name, image in images.items():
        theirs = encode(image)
        (once,) = descriptors(tensor([image]), upsample=1)
        if not theirs:
            assert np.isnan(once).all(), name
            print(f"\n{name:<24} no face", end="")
            continue
        faces += 1
        gap = np.abs(once - theirs[0]).max()
        print(f"\n{name:<24} largest difference {gap:.1e}", end="")
        assert gap <= TOLERANCE, name
    return faces


def test_photographs_against_plain_calls_of_dlib(
    images: dict[str, Pixels], plainly: Encode
) -> None:
    assert agree(images, plainly) == 3


def test_portraits_against_plain_calls_of_dlib(
    portraits: dict[str, Pixels], plainly: Encode
) -> None:
    assert agree(portraits, plainly) == 3


def test_photographs_against_face_recognition(images: dict[str, Pixels], peer: Any) -> None:
    assert agree(images, peer.face_encodings) == 3


def test_portraits_and_their_distances_against_face_recognition(
    portraits: dict[str, Pixels], peer: Any
) -> None:
    assert agree(portraits, peer.face_encodings) == 3
    a, b, other = (descriptors(tensor([image])) for image in portraits.values())
    for one, two in ((a, b), (a, other), (b, other)):
        gap = float(distances(one, two)[0])
        assert gap == pytest.approx(peer.face_distance(one, two[0])[0], abs=1e-12)
        assert peer.compare_faces(one, two[0]) == [gap <= 0.6]
        assert peer.compare_faces(one, two[0], tolerance=gap) == [True]
