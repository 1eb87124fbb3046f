"""What besides the images fixes a partial's bits: code, libraries, device.

May import: _version, protocol, registry, torch.
"""

from __future__ import annotations

import hashlib
import importlib.util
import platform
from functools import lru_cache
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path

import numpy as np
import PIL
import torch
from PIL import features

from fhpt_eval._version import __version__
from fhpt_eval.protocol import Entry, digest_of
from fhpt_eval.registry import metric_distribution, metric_names

#: Raised when partials change their meaning without a change of anything below.
FORMAT = 1
#: What metrics compute in; part of the provenance.
PRECISION = "float64"


def software(entries: tuple[Entry, ...]) -> dict[str, str]:
    """Return the versions of all that the numbers rest on, plugins included."""
    versions = {
        "fhpt-eval": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        **decoder(),
    }
    installed = set(metric_names())
    for entry in entries:
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
    """Return the SHA-256 over the package's own files: an edited metric is another metric."""
    total = hashlib.sha256()
    for name, data in sorted(_files(resources.files("fhpt_eval"), "")):
        total.update(f"{name}\0{hashlib.sha256(data).hexdigest()}\n".encode())
    return total.hexdigest()


def metric_address(entry: Entry, device: str) -> str:
    """Return the address of a metric's yields: its parameters, its code, libraries, device."""
    module = type(entry.metric).__module__
    return digest_of(
        {
            "format": FORMAT,
            "entry": entry.canonical(),
            "code": code_digest(),
            "plugin": None if module.startswith("fhpt_eval.") else _module_digest(module),
            "software": software((entry,)),
            "device": device,
        }
    )


def device_name(device: str) -> str:
    """Return the kind of device for the provenance: ``cpu``, or the GPU's model."""
    return "cpu" if device == "cpu" else torch.cuda.get_device_name(device)


def _files(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found = []
    for item in folder.iterdir():
        if item.is_dir() and item.name != "__pycache__":
            found += _files(item, f"{prefix}{item.name}/")
        elif item.is_file():
            found.append((prefix + item.name, item.read_bytes()))
    return found


def _module_digest(name: str) -> str:
    """Return the SHA-256 of a plugin module's file, or of its distribution's name without one."""
    spec = importlib.util.find_spec(name) if name != "__main__" else None
    if spec is not None and spec.origin and Path(spec.origin).is_file():
        return hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()
    top = name.partition(".")[0]
    owners = metadata.packages_distributions().get(top, [])
    return ",".join(f"{owner} {metadata.version(owner)}" for owner in owners) or name
