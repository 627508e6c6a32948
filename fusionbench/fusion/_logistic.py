"""Logistic regressions by scikit-learn, on arrays: a path over strengths of regularisation, the best on validation.

    W, b = argmin |W|^2 / 2 + C sum_i CE(W x_i + b, y_i)

Among several C the best validation score decides, accuracy unless another one ranks, then the lower NLL, then the
smaller C.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionbench.core.errors import UserError

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Rank = tuple[float, float]
TOLERANCE, MOST_STEPS = 1e-5, 1000
"""Where L-BFGS stops: at the largest entry of the mean loss's gradient, or after so many steps."""
UNSEEN = 20.0
"""A class that no row of a fit has: its bias lies so far below the lowest of the others."""


@dataclass(frozen=True)
class Rows:
    """What a regression is fitted on, or chosen by."""

    x: NDArray[Any]
    """(N, X)."""
    targets: Labels
    """(N,)."""


@dataclass(frozen=True)
class Solution:
    """A logistic regression."""

    weight: Floats
    """(C, X)."""
    bias: Floats
    """(C,)."""
    strength: float
    """scikit-learn's C: the larger, the less regularisation."""
    converged: bool

    def logits(self, x: NDArray[Any]) -> Floats:
        """(N, X) -> (N, C)."""
        return x @ self.weight.T + self.bias


def refuse_grid(strategy: str, grid: Sequence[float]) -> None:
    """Raises UserError unless a grid of C holds positive finite numbers, rising."""
    if not grid or not all(0 < c < math.inf for c in grid) or list(grid) != sorted(set(grid)):
        stated = ", ".join(f"{c:g}" for c in grid)
        raise UserError(f"strategy '{strategy}': grid is [{stated}]; give positive numbers, each larger than the last")


def solved(rows: Rows, classes: int, strength: float) -> Solution:
    """The logistic regression of one C; rows need not have all classes."""
    return next(_path(rows, classes, (strength,)))


def accuracy_then_nll(logits: Floats, targets: Labels) -> Rank:
    """What solutions are compared by, larger is better: (N, C), (N,)."""
    shifted = logits - logits.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return float((logits.argmax(1) == targets).mean()), float(log_p[np.arange(len(targets)), targets].mean())


def chosen(
    grid: Sequence[float],
    train: Rows,
    validation: Rows,
    classes: int,
    ranked: Callable[[Floats, Labels], Rank] = accuracy_then_nll,
) -> Solution:
    """That of the C that is best on validation; where validation has no rows, of the middle one of the grid.

    Args:
        grid: rising.
        train: what is fitted on.
        validation: what chooses.
        classes: how many there are.
        ranked: what logits on validation are compared by.
    """
    if not len(validation.targets):
        return solved(train, classes, grid[len(grid) // 2])
    return max(_path(train, classes, grid), key=lambda one: ranked(one.logits(validation.x), validation.targets))


def folds_of(targets: Labels, count: int, seed: int) -> Labels:
    """(N,) in 0 .. count-1: to which part each row belongs; every class is spread evenly, the seed draws."""
    drawn = np.random.default_rng(seed).random(len(targets))
    fold = np.empty(len(targets), dtype=np.int64)
    fold[np.lexsort((drawn, targets))] = np.arange(len(targets)) % count
    return fold


def said_of(solutions: Mapping[str, Solution], grid: Sequence[float]) -> tuple[str, ...]:
    """What a reader has to know of them: a C at an end of its grid, a solver that did not come to its end."""
    ends = [f"{name} {one.strength:g}" for name, one in solutions.items() if one.strength in (grid[0], grid[-1])]
    short = [name for name, one in solutions.items() if not one.converged]
    return (
        *([f"C is at an end of its grid: {', '.join(ends)}"] if ends and len(grid) > 1 else []),
        *([f"not converged after {MOST_STEPS} steps: {', '.join(short)}"] if short else []),
    )


def _path(rows: Rows, classes: int, grid: Sequence[float]) -> Iterator[Solution]:
    """The solution for each C; each starts from the one before, which is near."""
    from sklearn.linear_model import LogisticRegression  # Half a second, for a module that every catalogue reads.

    x, seen = rows.x.astype(np.float64), np.unique(rows.targets)
    if len(seen) < 2:  # Nothing to tell apart.
        yield _spread(np.zeros((len(seen), x.shape[1])), np.zeros(len(seen)), seen, classes, grid[0], True)
        return
    model = LogisticRegression(tol=TOLERANCE, max_iter=MOST_STEPS, warm_start=True)
    for strength in grid:
        with warnings.catch_warnings(action="ignore"):  # That it has not converged is for the row to say.
            model.set_params(C=strength).fit(x, rows.targets)
        weight, bias = model.coef_.copy(), model.intercept_.copy()
        if len(seen) == 2:  # One row for both classes: split evenly, the softmax over two is its sigmoid.
            weight, bias = (np.stack([-value[0], value[0]]) / 2 for value in (weight, bias))
        yield _spread(weight, bias, seen, classes, strength, int(model.n_iter_.max()) < MOST_STEPS)


def _spread(weight: Floats, bias: Floats, seen: Labels, classes: int, strength: float, converged: bool) -> Solution:
    """Over all classes, those that were not seen included."""
    whole, biases = np.zeros((classes, weight.shape[1])), np.full(classes, bias.min(initial=0.0) - UNSEEN)
    whole[seen], biases[seen] = weight, bias
    return Solution(whole, biases, strength, converged)
