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

import numpy as np
import PIL
import torch
from PIL import features

from fhpt_eval._version import __version__
from fhpt_eval.common.digests import digest_of

#: Raised when partials change their meaning without a change of anything below.
FORMAT = 2
#: What metrics compute in; part of the provenance.
PRECISION = "float64"

_PACKAGE = Path(__file__).parents[1]
_NAME = _PACKAGE.name
#: Endings of files that are code or learned figures, in a package of somebody else's.
_SUFFIXES = (".py", ".toml", ".libsvm", ".safetensors", ".npz")


def software(further: Iterable[dict[str, str]] = ()) -> dict[str, str]:
    """Return the versions of all that numbers rest on; ``further`` are those of metrics and steps."""
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
    inside, outside = _reached(modules)
    digests = {name: _digest_of_module(name) for name in sorted(inside)}
    digests |= {name: _digest_of_plugin(name) for name in sorted(outside)}
    return digest_of(digests)


def _reached(modules: Iterable[str]) -> tuple[set[str], set[str]]:
    """Return the modules of this package that are reached, and the packages beside it."""
    inside: set[str] = set()
    outside: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in inside or name in outside:
            continue
        if name.partition(".")[0] != _NAME:
            outside.add(name)
            waiting += _imports_of_plugin(name)
        elif _file_of(name) is not None:
            inside.add(name)
            waiting += _imports(name)
    return inside, outside


@lru_cache(maxsize=1024)
def _imports(module: str) -> tuple[str, ...]:
    """Return the modules of this package that a module of it imports, anywhere in it."""
    file = _file_of(module)
    return () if file is None else tuple(_targets(_tree(file)))


def _targets(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.startswith(f"{_NAME}."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == _NAME:
            for alias in node.names:
                yield _home_of(node.module or "", alias.name)


def _home_of(module: str, name: str) -> str:
    """Return the module in which a name lives that is imported from ``module``.

    The front door of a package only hands names on: who takes one of them reaches its home alone.
    """
    if _file_of(f"{module}.{name}") is not None:
        return f"{module}.{name}"
    file = _file_of(module)
    if file is not None and file.name == "__init__.py":
        for node in ast.walk(_tree(file)):
            if isinstance(node, ast.ImportFrom) and name in {
                a.asname or a.name for a in node.names
            }:
                return _home_of(node.module or "", name)
    return module


@lru_cache(maxsize=1024)
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_bytes())


@lru_cache(maxsize=2048)
def _file_of(module: str) -> Path | None:
    """Return the file of a module of this package, if there is such a module."""
    path = _PACKAGE.joinpath(*module.split(".")[1:])
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in files if path != _PACKAGE and file.is_file()), None)


@lru_cache(maxsize=1024)
def _digest_of_module(module: str) -> str:
    """Return the SHA-256 of what a module does."""
    file = _file_of(module)
    return "" if file is None else hashlib.sha256(_normal_form(file).encode()).hexdigest()


def _normal_form(file: Path) -> str:
    """Return a module's code without comments, docstrings and the words of errors."""
    return ast.unparse(_Silent().visit(ast.parse(file.read_bytes())))


class _Silent(ast.NodeTransformer):
    """Takes away what speaks to people."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """Drop docstrings, and leave a statement where a body would be empty."""
        speaks = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return ast.Pass() if speaks else self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        """Keep which error is raised, and nothing of what it says."""
        error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        return ast.Raise(exc=error, cause=None)


def _imports_of_plugin(module: str) -> list[str]:
    """Return what a module beside this package imports from it."""
    if module == "__main__":
        return []
    spec = importlib.util.find_spec(module)
    file = Path(spec.origin) if spec is not None and spec.origin else None
    if file is None or file.suffix != ".py" or not file.is_file():
        return []
    return list(_targets(_tree(file)))


@lru_cache(maxsize=64)
def _digest_of_plugin(name: str) -> str:
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
