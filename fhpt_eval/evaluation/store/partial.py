"""Partials: what a task yields for a chunk, and how it is laid down as bytes.

The bytes are a SHA-256 and a safetensors file, which cannot execute anything. Whatever does not
read back as exactly that is no partial, and is computed again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

#: Named arrays.
Arrays = Mapping[str, NDArray[Any]]

_DIGEST_BYTES = 32
_HEADER = "partial"
# Largest header that is believed, in bytes: keys of a chunk take thousands.
_MAX_HEADER = 2**24


def address_of(task: str, chunk: str) -> str:
    """Return the content address of what a task yields for a chunk.

    160 bits of the chunk's digest, and 96 of the task's, are plenty, and keep a file's name short.
    """
    return f"{chunk[:40]}-{task[:24]}"


@dataclass(frozen=True)
class Partial:
    """What a task yields for a chunk.

    ``task`` is the task's address and ``chunk`` the digest of what the chunk holds. ``keys`` say
    what the rows of ``columns`` are of, N of them: pairs, or images by what makes their pixels.
    ``state`` is that of a metric over sets, of any shapes. A partial that lies at another address
    than its own is believed by nobody.
    """

    task: str
    chunk: str
    keys: tuple[str, ...]
    columns: Arrays = field(default_factory=dict)
    state: Arrays = field(default_factory=dict)

    @property
    def address(self) -> str:
        """Where it belongs."""
        return address_of(self.task, self.chunk)

    def to_bytes(self) -> bytes:
        """Lay the partial down as bytes; equal partials give equal bytes."""
        arrays = [*self.columns.values(), *self.state.values()]
        header = {
            "task": self.task,
            "chunk": self.chunk,
            "keys": self.keys,
            "columns": list(self.columns),
            "state": list(self.state),
            # Texts and whatever else safetensors does not know lie as plain bytes.
            "layout": [[array.dtype.str, list(array.shape)] for array in map(np.asarray, arrays)],
        }
        texts = (np.ascontiguousarray(array).tobytes() for array in arrays)
        flat = {f"{n:04d}": np.frombuffer(text, np.uint8) for n, text in enumerate(texts)}
        payload = save(flat, {_HEADER: json.dumps(header, ensure_ascii=False)})
        return hashlib.sha256(payload).digest() + payload

    @classmethod
    def from_bytes(cls, data: bytes) -> Partial | None:
        """Read a partial back; ``None`` if the bytes are damaged or of another kind."""
        payload = data[_DIGEST_BYTES:]
        if hashlib.sha256(payload).digest() != data[:_DIGEST_BYTES]:
            return None
        try:
            size = int.from_bytes(payload[:8], "little")  # of the file's own header
            if size > _MAX_HEADER:
                return None
            header = json.loads(json.loads(payload[8 : 8 + size])["__metadata__"][_HEADER])
            flat = load(payload)
            arrays = [
                np.frombuffer(flat[f"{n:04d}"].tobytes(), np.dtype(kind)).reshape(shape)
                for n, (kind, shape) in enumerate(header["layout"])
            ]
            names = len(header["columns"])
            return cls(
                header["task"],
                header["chunk"],
                tuple(header["keys"]),
                dict(zip(header["columns"], arrays[:names], strict=True)),
                dict(zip(header["state"], arrays[names:], strict=True)),
            )
        except (SafetensorError, KeyError, ValueError, TypeError, RecursionError):
            return None
