"""What a number of seeds may claim."""

from __future__ import annotations

EXPLORATORY_BELOW = 6
"""The smallest number of paired seeds at which an exact sign test can reach .05."""
CONFIRMATORY_FROM = 10


def standing(n: int) -> str:
    """What n seeds may claim: "exploratory" below 6, "confirmatory" from 10 on, empty between."""
    return "exploratory" if n < EXPLORATORY_BELOW else "confirmatory" if n >= CONFIRMATORY_FROM else ""
