"""The families that strategies are listed by: a class's fact `family`, and the heading that stands for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADINGS = {
    "baseline": "Baselines",
    "input": "Input",
    "feature": "Features",
    "bilinear": "Bilinear forms",
    "token": "Tokens",
    "sequential": "In sequence",
    "decision": "Decisions",
    "missing": "Made for missing modalities",
    "coordinated": "Coordinated representations",
    "training": "Training",
}
"""By the fact; in the order of the pages."""


def family(facts: Mapping[str, Any]) -> str:
    """The fact; a user's own strategy that states none is taken by its stage."""
    stated = str(facts.get("family", facts.get("stage", "feature")))
    return stated if stated in HEADINGS else "feature"
