"""What besides the images fixes a partial's bits: the code that is reached, libraries, device."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import platform
import secrets
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL
import torch
from PIL import features

from fhpt_eval._version import __version__
from fhpt_eval.common.settings import digest_of

#: Raised when partials change their meaning without a change of anything below.
FORMAT = 2

_PACKAGE = Path(__file__).parents[1]
_NAME = _PACKAGE.name
#: Endings of files that are code or learned figures, in a package of somebody else's.
_SUFFIXES = (".py", ".toml", ".libsvm", ".safetensors", ".npz")


def software(further: Iterable[dict[str, str]] = ()) -> dict[str, str]:
    """Return versions of all that numbers rest on; ``further`` are those of metrics and steps."""
    versions = {
        "fhpt-eval": __version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu-capability": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        **decoder(),
    }
    for libraries in further:
        versions |= libraries
    return dict(sorted(versions.items()))


@lru_cache(maxsize=1)
def decoder() -> dict[str, str]:
    """Return the versions of what turns files into pixels."""
    jpeg = features.version("libjpeg_turbo") or "not used by Pillow"
    return {"pillow": PIL.__version__, "libjpeg-turbo": jpeg}


def device_name(device: str) -> str:
    """Return the kind of device for the provenance: ``cpu``, or the GPU's model."""
    return "cpu" if device == "cpu" else torch.cuda.get_device_name(device)


@lru_cache(maxsize=256)
def code_digest(*modules: str) -> str:
    """Return the SHA-256 of the code that some modules reach by import, themselves included.

    What counts is what runs: comments, docstrings and the words of errors do not, nor do modules
    that are not reached. Of a module outside of this package its whole package counts; what it
    reaches in this one does too.
    """
    digests = {}
    for name in sorted(_reached(modules)):
        file = _file_of(name) if _is_ours(name) else None
        digests[name] = _read(file).digest if file is not None else _of_plugin(name)
    return digest_of(digests)


def _reached(modules: Iterable[str]) -> set[str]:
    """Return the modules that are reached: of this package, and the ones given beside it."""
    reached: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        file = _file_of(name)
        if name not in reached and (file is not None or not _is_ours(name)):
            reached.add(name)
            waiting += _read(file).targets if file is not None else ()
    return reached


class _Module(NamedTuple):
    """What a file says: the modules of this package that it imports, and the digest of the rest.

    ``homes`` has the module from which each imported name comes.
    """

    targets: tuple[str, ...]
    homes: dict[str, str]
    digest: str


@lru_cache(maxsize=1024)
def _read(file: Path) -> _Module:
    tree = ast.parse(file.read_bytes())
    imports = list(_silenced(tree.body))
    homes = {
        alias.asname or alias.name: node.module or ""
        for node in imports
        if isinstance(node, ast.ImportFrom) and _is_ours(node.module or "")
        for alias in node.names
    }
    targets = [_home_of(module, name) for name, module in homes.items()]
    targets += [a.name for n in imports if isinstance(n, ast.Import) for a in n.names]
    digest = hashlib.sha256(ast.dump(tree).encode()).hexdigest()
    return _Module(tuple(filter(_is_ours, targets)), homes, digest)


def _silenced(body: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Take docstrings and the words of errors away from statements; yield the imports."""
    for node in list(body):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            body.remove(node)
        elif isinstance(node, ast.Raise):
            node.exc = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        for part in ("body", "orelse", "finalbody"):
            yield from _silenced(getattr(node, part, []))
        for part in ("handlers", "cases"):
            for inner in getattr(node, part, []):
                yield from _silenced(inner.body)


def _home_of(module: str, name: str) -> str:
    """Return the module in which a name lives that is imported from ``module``.

    The front door of a package only hands names on: who takes one of them reaches its home alone.
    """
    if _file_of(f"{module}.{name}") is not None:
        return f"{module}.{name}"
    file = _file_of(module)
    if file is not None and file.name == "__init__.py" and name in (homes := _read(file).homes):
        return _home_of(homes[name], name)
    return module


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == _NAME


@lru_cache(maxsize=2048)
def _file_of(module: str) -> Path | None:
    """Return the file of a module, if it is a module of this package or one file beside it."""
    if not _is_ours(module):
        spec = None if module == "__main__" else importlib.util.find_spec(module)
        origin = Path(spec.origin) if spec is not None and spec.origin else None
        return origin if origin is not None and origin.suffix == ".py" else None
    path = _PACKAGE.joinpath(*module.split(".")[1:])
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in files if path != _PACKAGE and file.is_file()), None)


@lru_cache(maxsize=64)
def _of_plugin(name: str) -> str:
    """Return the SHA-256 of a plugin's code: of its whole top-level package, or of its module.

    Code that lies in no file, as in a notebook, is never the same twice.
    """
    top = name.partition(".")[0]
    main = getattr(sys.modules.get("__main__"), "__file__", None) if top == "__main__" else None
    spec = None if top == "__main__" else importlib.util.find_spec(top)
    if spec is not None and spec.submodule_search_locations:
        return digest_of([_digest_of_folder(Path(p)) for p in spec.submodule_search_locations])
    origin = main or (spec.origin if spec is not None else None)
    if origin and Path(origin).is_file():
        return hashlib.sha256(Path(origin).read_bytes()).hexdigest()
    return secrets.token_hex(32)


def _digest_of_folder(folder: Path) -> str:
    files = (file for file in folder.rglob("*") if file.suffix in _SUFFIXES and file.is_file())
    return digest_of(
        {
            file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in files
            if not file.name.startswith(".") and "__pycache__" not in file.parts
        }
    )
