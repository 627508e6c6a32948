"""Canonical JSON and its hash: the one way in which anything here becomes a key or a fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence


def canonical_json(value: object) -> str:
    """JSON with sorted keys, no white space, ASCII only; NaN and infinity raise ValueError."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False, default=_plain)


def sha256_of(value: object) -> str:
    """SHA-256 of the canonical JSON, 64 hex digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def short_key(value: object, digits: int = 12) -> str:
    """The first `digits` hex digits of `sha256_of(value)`."""
    return sha256_of(value)[:digits]


def derived_seed(seed: int, purpose: str) -> int:
    """A 63-bit seed for one purpose, so that no two uses of a run's seed draw the same numbers."""
    return int(sha256_of([seed, purpose])[:16], 16) >> 1


def _plain(value: object) -> object:
    """Mappings and sequences that json does not know, as dict and list."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no canonical JSON")
