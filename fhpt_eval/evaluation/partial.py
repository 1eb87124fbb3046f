"""Partials: what a chunk yields, and how it is laid down as bytes.

The bytes are a SHA-256 and an ``.npz`` archive without pickled objects. Whatever does not read back
as exactly that is no partial, and its chunk is computed again.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

_DIGEST_BYTES = 32


@dataclass(frozen=True)
class Yield:
    """What one metric yields for a chunk: ``(N,)`` float64 columns by part, and its state."""

    columns: dict[str, NDArray[np.float64]]
    state: dict[str, NDArray[np.generic]] | None = None


@dataclass(frozen=True)
class Partial:
    """What a chunk yields: pixel digests of its images, and a yield per metric's address.

    ``keys`` orders everything; ``generated`` and ``ground_truth`` are SHA-256 of the decoded
    pixels (before preparation), so that an image is what it shows, not how it is compressed.
    """

    keys: tuple[str, ...]
    generated: tuple[str, ...]
    ground_truth: tuple[str, ...]
    yields: dict[str, Yield] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Lay the partial down as bytes; equal partials give equal bytes."""
        arrays: dict[str, NDArray[np.generic]] = {}
        layout: dict[str, dict[str, list[str] | None]] = {}
        for address, one in sorted(self.yields.items()):
            layout[address] = {
                "columns": list(one.columns),
                "state": None if one.state is None else list(one.state),
            }
            for kind, named in (("c", one.columns), ("s", one.state or {})):
                for at, array in enumerate(named.values()):
                    arrays[f"{address}.{kind}{at}"] = np.asarray(array)
        header = {
            "keys": self.keys,
            "generated": self.generated,
            "ground_truth": self.ground_truth,
            "yields": layout,
        }
        text = json.dumps(header, ensure_ascii=False).encode()
        arrays["header"] = np.frombuffer(text, dtype=np.uint8)
        out = io.BytesIO()
        np.savez(out, allow_pickle=False, **arrays)
        payload = out.getvalue()
        return hashlib.sha256(payload).digest() + payload

    @classmethod
    def from_bytes(cls, data: bytes) -> Partial | None:
        """Read a partial back; ``None`` if the bytes are damaged or of another kind."""
        payload = data[_DIGEST_BYTES:]
        if hashlib.sha256(payload).digest() != data[:_DIGEST_BYTES]:
            return None
        try:
            with np.load(io.BytesIO(payload), allow_pickle=False) as arrays:
                header = json.loads(arrays["header"].tobytes())
                yields = {
                    address: Yield(
                        {n: arrays[f"{address}.c{i}"] for i, n in enumerate(one["columns"])},
                        None
                        if one["state"] is None
                        else {n: arrays[f"{address}.s{i}"] for i, n in enumerate(one["state"])},
                    )
                    for address, one in header["yields"].items()
                }
                return cls(
                    tuple(header["keys"]),
                    tuple(header["generated"]),
                    tuple(header["ground_truth"]),
                    yields,
                )
        except (KeyError, ValueError, TypeError, OSError, zipfile.BadZipFile):
            return None
