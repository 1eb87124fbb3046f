"""The one canonical form of settings, and its digest."""

from __future__ import annotations

import hashlib
import json


def digest_of(value: object) -> str:
    """Return the SHA-256 of a value's canonical JSON: sorted keys, no white space, no NaN."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
