"""Which strategies are shipped, and what kind each is."""

from __future__ import annotations

from fusionbench.core.catalogue import describe, names

TRAINED = [name for name in names("strategy") if describe("strategy", name).facts.get("uses") != "none"]
"""Strategies that look at something."""
FITTED = [name for name in TRAINED if describe("strategy", name).facts.get("fitted")]
"""Those that are solved for at once: their encoders are frozen, and they have no head."""
WITH_HEAD = [name for name in TRAINED if name not in FITTED]
