"""Scores as the field writes them."""

from __future__ import annotations

from fusionbench.core.scores import SCORES, bare, score_of


def title(name: str) -> str:
    """A score as a reader writes it: `GAP@20` for `test/gap20`."""
    return score_of(name).title if bare(name) in SCORES else bare(name).replace("_", " ") or "score"
