"""Scores as the field writes them."""

from __future__ import annotations

TITLES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "nll": "NLL",
    "gap20": "GAP@20",
    "hit1": "Hit@1",
}


def title(name: str) -> str:
    """A score as a reader writes it: `GAP@20` for `test/gap20`."""
    bare = name.rpartition("/")[2]
    return TITLES.get(bare, bare.replace("_", " ")) or "score"
