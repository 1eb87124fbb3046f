"""dlib and its two models on this machine: where they lie, and whether they are the right ones.

The files lie in the package ``face_recognition_models``, which cannot be imported beside a
setuptools that no longer brings ``pkg_resources``; it is asked for its place only. Both models are
in the public domain (README of davisking/dlib-models).
"""

from __future__ import annotations

import importlib.util
import sys
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from fhpt_eval.errors import WeightsError
from fhpt_eval.weights.store import find

_PACKAGE = "face_recognition_models"
_CURE = 'pip install dlib-bin "face_recognition_models==0.3.0"'
_REPAIR = f"pip install --force-reinstall --no-deps {_PACKAGE}==0.3.0"


class Model(NamedTuple):
    """A file of the package, as it is in its version 0.3.0."""

    file: str
    sha256: str


#: Five points of a face, by which it is aligned.
PREDICTOR = Model(
    "shape_predictor_5_face_landmarks.dat",
    "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
)
#: From an aligned face to its 128 numbers.
NETWORK = Model(
    "dlib_face_recognition_resnet_model_v1.dat",
    "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
)


def lacks() -> str:
    """Say what is missing on this machine and what would cure it, or nothing."""
    if sys.platform == "win32":
        return "needs Linux or macOS: its worker processes are started with an open pipe"
    try:
        dlib_version()
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "dlib":
            return f"needs dlib and its models ({_CURE})"
        return f"needs dlib, which is here but cannot be imported: {error} ({_CURE})"
    folder = _folder()
    if folder is None:
        return f"needs dlib's models ({_CURE})"
    missing = [model.file for model in (PREDICTOR, NETWORK) if not (folder / model.file).is_file()]
    return f"needs {' and '.join(missing)} in {folder} ({_REPAIR})" if missing else ""


def dlib_version() -> str:
    """Return dlib's version.

    Raises:
        ImportError: it is not here, or cannot be imported.
    """
    return str(import_module("dlib").__version__)


def path_of(model: Model) -> Path:
    """Return where a model lies, after its digest has been checked.

    Raises:
        WeightsError: it is not there, or another file.
    """
    folder = _folder()
    if folder is None:
        raise WeightsError(f"dlib's models are not here. Get them: {_CURE}")
    path = folder / model.file
    file = find(path)
    if file.sha256 != model.sha256:
        raise WeightsError(
            f"{path} is not the model that it should be: its SHA-256 is {file.sha256}, not "
            f"{model.sha256}. It is not used. Get the right one: {_REPAIR}"
        )
    return path


def _folder() -> Path | None:
    """Return the folder of the models, if their package is installed."""
    spec = importlib.util.find_spec(_PACKAGE)
    folders = spec.submodule_search_locations if spec is not None else None
    return Path(folders[0]) / "models" if folders else None
