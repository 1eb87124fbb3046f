"""What besides the images fixes a partial's bits: code, libraries, device."""

from __future__ import annotations

import hashlib
import importlib.util
import platform
import secrets
import sys
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np
import PIL
import torch
from PIL import features

from fhpt_eval._version import __version__
from fhpt_eval.common.digests import digest_of
from fhpt_eval.features.base import Feature
from fhpt_eval.images.preparation import Side, Step, software_of
from fhpt_eval.metrics.registry import metric_distribution, metric_names
from fhpt_eval.protocol import Entry

#: Raised when partials change their meaning without a change of anything below.
FORMAT = 1
#: Rooms of the package that move no number.
_NO_NUMBERS = frozenset(
    {"benchmarks", "cli", "leaderboard", "reference_models", "testing.py",
     "machine.py", "__main__.py"}
)  # fmt: skip
#: Endings of files that can.
_SUFFIXES = (".py", ".toml", ".libsvm", ".safetensors", ".npz")
#: What metrics compute in; part of the provenance.
PRECISION = "float64"


def software(entries: tuple[Entry, ...]) -> dict[str, str]:
    """Return the versions of all that the numbers rest on, plugins included."""
    versions = {
        "fhpt-eval": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu-capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        **decoder(),
    }
    installed = set(metric_names())
    for entry in entries:
        versions |= entry.metric.software()
        versions |= software_of(entry.steps)
        if entry.metric.name in installed:
            name, version = metric_distribution(entry.metric.name)
            versions[name] = version
    return dict(sorted(versions.items()))


def decoder() -> dict[str, str]:
    """Return the versions of what turns files into pixels."""
    jpeg = features.version("libjpeg_turbo") or "not used by Pillow"
    return {"pillow": PIL.__version__, "libjpeg-turbo": jpeg}


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Return the SHA-256 over the package's code and data that can move a number.

    An edited metric is another metric; an edited command line is not.
    """
    return _digest_folder(resources.files("fhpt_eval"), _NO_NUMBERS)


def _digest_folder(folder: Traversable, without: frozenset[str]) -> str:
    total = hashlib.sha256()
    for name, data in sorted(_files(folder, "")):
        if name.partition("/")[0] not in without:
            total.update(f"{name}\0{hashlib.sha256(data).hexdigest()}\n".encode())
    return total.hexdigest()


def metric_address(entry: Entry, device: str) -> str:
    """Return the address of a metric's yields: its parameters, its code, libraries, device."""
    # Which pairs count in the end does not change what is computed of each.
    settings = {k: v for k, v in entry.canonical().items() if k != "drop_incomplete"}
    return digest_of(
        {
            "format": FORMAT,
            "entry": settings,
            "code": _code_of(type(entry.metric).__module__),
            "software": software((entry,)),
            "device": device,
        }
    )


def feature_address(feature: Feature, side: Side, steps: tuple[Step, ...], device: str) -> str:
    """Return the address of a feature's rows: its settings, its code, libraries, device.

    Of two sides that are prepared alike it is the same.
    """
    used = [step for step in steps if side in step.of]
    own = [step.canonical() for step in used]
    return digest_of(
        {
            "format": FORMAT,
            "feature": feature.canonical(),
            "prepare": own,
            "code": _code_of(type(feature).__module__),
            "software": software(()) | software_of(used),
            "device": device,
        }
    )


def _code_of(module: str) -> list[str]:
    """Return digests of the package's code and, where it is another's, of the module's."""
    return [code_digest(), "" if module.startswith("fhpt_eval.") else _module_digest(module)]


def device_name(device: str) -> str:
    """Return the kind of device for the provenance: ``cpu``, or the GPU's model."""
    return "cpu" if device == "cpu" else torch.cuda.get_device_name(device)


def _files(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found = []
    for item in folder.iterdir():
        if item.is_dir() and item.name != "__pycache__":
            found += _files(item, f"{prefix}{item.name}/")
        elif item.is_file() and item.name.endswith(_SUFFIXES) and not item.name.startswith("."):
            found.append((prefix + item.name, item.read_bytes()))
    return found


def _module_digest(name: str) -> str:
    """Return the SHA-256 of a plugin's code: of its whole top-level package, or of its module.

    Code that lies in no file, as in a notebook, is never the same twice.
    """
    top = name.partition(".")[0]
    main = getattr(sys.modules.get("__main__"), "__file__", None) if top == "__main__" else None
    spec = None if top == "__main__" else importlib.util.find_spec(top)
    if spec is not None and spec.submodule_search_locations:
        folders = [Path(folder) for folder in spec.submodule_search_locations]
        return digest_of([_digest_folder(folder, frozenset()) for folder in folders])
    origin = main or (spec.origin if spec is not None else None)
    if origin and Path(origin).is_file():
        return hashlib.sha256(Path(origin).read_bytes()).hexdigest()
    return secrets.token_hex(32)
