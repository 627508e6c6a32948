"""All strategies of a table against one that is named beforehand, Holm's correction over them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from scipy.special import nctdtrinc, stdtrit

from fusionbench.stats.estimate import CONFIDENCE, Estimate
from fusionbench.stats.families import POWER
from fusionbench.stats.holm import holm
from fusionbench.stats.paired import Matrix


@dataclass(frozen=True)
class Compared:
    """One strategy less the reference."""

    strategy: str
    estimate: Estimate
    """With the interval of this difference by itself."""
    p: float | None
    """Corrected; None below two shared seeds."""

    @property
    def is_better(self) -> bool:
        """Beyond its error, corrected."""
        return self.p is not None and self.p < 1 - CONFIDENCE and self.estimate.mean > 0

    @property
    def is_worse(self) -> bool:
        """Beyond its error, corrected."""
        return self.p is not None and self.p < 1 - CONFIDENCE and self.estimate.mean < 0


@dataclass(frozen=True)
class Against:
    """A table against one of its strategies."""

    role: str
    """What the reference is, e.g. "the best single modality"."""
    reference: str
    compared: tuple[Compared, ...]
    """In the order of the table."""
    detectable: float | None
    """The smallest true difference from it that a table like this one shows with 80 % power."""

    def of(self, strategy: str) -> Compared | None:
        """The comparison of a strategy; None of the reference itself, and of what is not tested."""
        return next((one for one in self.compared if one.strategy == strategy), None)


def against(
    role: str, reference: str, differences: Matrix, strategies: Collection[str], typical: Collection[str]
) -> Against:
    """Each of the strategies less the reference, those that share no seed with it left out.

    Args:
        role: what the reference is.
        reference: it is chosen without a look at test scores.
        differences: of the table.
        strategies: whose runs all ended well.
        typical: those whose errors say what could have been shown.
    """
    place = differences.names.index(reference)
    others = [index for index, name in enumerate(differences.names) if name in strategies and index != place]
    others = [index for index in others if differences.n[index, place] > 0]
    corrected = holm(differences.p[others, place])
    found = tuple(
        Compared(
            differences.names[index],
            differences.estimate(differences.names[index], reference),
            None if np.isnan(p) else float(p),
        )
        for index, p in zip(others, corrected, strict=True)
    )
    count = int(np.isfinite(corrected).sum())
    asked = [index for index in others if differences.names[index] in typical]
    return Against(role, reference, found, _detectable(differences, asked, place, count))


def _detectable(differences: Matrix, asked: list[int], place: int, count: int) -> float | None:
    """As in families.py, for the first of Holm's tests, at the level .05 / N; the median over strategies."""
    known = [index for index in asked if np.isfinite(differences.p[index, place])]
    if not known:
        return None
    error = float(np.median(differences.error[known, place]))
    degrees = float(np.median(differences.degrees[known, place]))
    needed = float(stdtrit(degrees, 1 - (1 - CONFIDENCE) / 2 / count))
    return float(nctdtrinc(degrees, 1 - POWER, needed)) * error if error > 0 else None
