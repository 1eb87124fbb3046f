"""A package that ships one more network, for tests of shipped weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from fhpt_eval.weights import registry as weights_registry


def ship(monkeypatch: pytest.MonkeyPatch, package: Path, data: bytes) -> Path:
    """Let the package lie in the folder ``package`` and ship "ours" too; return the file of it."""
    registry = (weights_registry.PACKAGE / "weights.toml").read_text("utf-8")
    networks = package / "networks"
    networks.mkdir(parents=True)
    for path in (weights_registry.PACKAGE / "networks").glob("*"):
        (networks / path.name).symlink_to(path)
    file = networks / "ours.safetensors"
    file.write_bytes(data)
    (package / "weights.toml").write_text(
        f'{registry}\n[weights.ours]\nfile = "{file.name}"\nshipped = true\nsize = {len(data)}\n'
        f'sha256 = "{hashlib.sha256(data).hexdigest()}"\nlicence = "Apache-2.0"\n',
        "utf-8",
    )
    monkeypatch.setattr(weights_registry, "PACKAGE", package)
    return file
