"""A run's test scores on fixed resamplings of the test rows, computed from its predictions without repeating a row.

    w[r,i]      how often row i is in resample r: as many units (rows or clusters) drawn with replacement as there are
    accuracy_r  sum_i w[r,i] * right_i / sum_i w[r,i];  likewise Hit@1; others in weighted.py
    GAP_r       1/P_r * sum over the pool's hits h of w[r,h] * P_r(h)
                P_r(h): precision, every entry counted w times, of the entries with a logit >= h's;
                P_r: all positives of all rows, counted w times. One sort serves all resamples.

Rows that belong together (all reviews of a film) are drawn together: they are not independent, and single rows would
make the error look smaller than it is.

The same scores on two halves of the units, cut once for the data: whether an order of strategies holds on other rows.

Source: Efron & Tibshirani 1993, "An Introduction to the Bootstrap", chapter 6; Field & Welsh 2007, "Bootstrapping
clustered data", J. R. Statist. Soc. B 69(3), the cluster bootstrap.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fusionbench.core.canonical import sha256_of
from fusionbench.core.task import TaskKind, TaskSpec
from fusionbench.records.resamples import Resamples
from fusionbench.training.weighted import Counts, Scorer, mean_of, of_classes, of_numbers

RESAMPLES = 400
"""The error has a relative error of 1/sqrt(2 * 400) = 3.5 % then."""
AT_ONCE = 2**22
"""Numbers in memory at a time."""

ALWAYS: Mapping[TaskKind, tuple[str, ...]] = {
    "multiclass": ("accuracy",),
    "multilabel": ("gap20", "hit1"),
    "regression": ("r2", "rmse"),
}
"""What every file has, whatever ranks."""


def resamples_of(
    key: str, predictions: Mapping[str, NDArray[Any]], task: TaskSpec, seed: int, clusters: NDArray[Any] | None = None
) -> Resamples:
    """The scores of a run on every resample, and on both halves.

    Args:
        key: the run's.
        predictions: of N test rows, in any order, as `training.predictions` keeps them.
        task: multiclass: accuracy; multilabel: GAP@20 and Hit@1; regression: R2 and RMSE; and what ranks, but for a
            mean average precision, which the 20 highest classes of a sample do not tell.
        seed: as `seed_of`, so that every run on the same data draws the same.
        clusters: (N,), in the order of the predictions: rows with the same value belong together. None: none do.
    """
    order = np.argsort(predictions["ids"], kind="stable")  # What is drawn is to depend on the rows, not their order.
    needed = {name: values for name, values in predictions.items() if name != "index"}  # Which classes is no matter.
    found = {name: values[order] for name, values in needed.items()}
    places = np.arange(len(order)) if clusters is None else np.unique(clusters[order], return_inverse=True)[1]
    units = int(places.max()) + 1
    scorers, widest = _scorers(found, task)
    scores: dict[str, list[float]] = {name: [] for name in scorers}
    seen = hashlib.sha256()
    for counts in drawn(places, units, seed, max(1, AT_ONCE // widest)):
        seen.update(counts.astype("<u2").tobytes())
        for name, scorer in scorers.items():
            scores[name] += scorer(counts).tolist()
    unit: Literal["rows", "clusters"] = "rows" if clusters is None else "clusters"
    halves = halved(places, units, seed) if units > 1 else ()
    # One at a time: of a million rows, a half's ranked entries alone are hundreds of megabytes.
    cut = {name: [float(scorer(half[None])[0]) for half in halves] for name, scorer in scorers.items()}
    return Resamples(key, seen.hexdigest(), unit, units, RESAMPLES, scores, cut if units > 1 else {})


def seed_of(fingerprint: str, test_sha256: str) -> int:
    """What the draw starts from: the contents of the data, and which of them are the test rows."""
    return int(sha256_of(["resamples", fingerprint, test_sha256]), 16)


def drawn(places: NDArray[np.int64], units: int, seed: int, at_once: int) -> Iterator[Counts]:
    """How often each row is in each resample, `at_once` resamples at a time, RESAMPLES in all.

    Args:
        places: (N,), the unit that each row is in, from 0.
        units: how many there are.
        seed: what is drawn; `at_once` has no influence.
        at_once: resamples in one array.
    """
    # A bit generator's raw stream is the same in every version of numpy, which its Generator's methods need not be.
    bits = np.random.PCG64(seed)
    for first in range(0, RESAMPLES, at_once):
        count = min(at_once, RESAMPLES - first)
        chosen = (bits.random_raw(count * units) % np.uint64(units)).astype(np.int64).reshape(count, units)
        chosen += units * np.arange(count)[:, None]
        counts = np.bincount(chosen.ravel(), minlength=count * units).astype(np.int32).reshape(count, units)
        yield counts[:, places]


def halved(places: NDArray[np.int64], units: int, seed: int) -> Counts:
    """Which rows are in the first and in the second half of the units, (2, N); the first has the odd one.

    Args:
        places: (N,), the unit that each row is in, from 0.
        units: how many there are.
        seed: of the resamples; the cut takes numbers of its own, far down the same stream.
    """
    bits = np.random.PCG64(seed).jumped()
    second = np.zeros(units, dtype=bool)
    second[np.argsort(bits.random_raw(units), kind="stable")[(units + 1) // 2 :]] = True
    return np.stack([~second, second])[:, places].astype(np.int32)


def _scorers(found: Mapping[str, NDArray[Any]], task: TaskSpec) -> tuple[dict[str, Scorer], int]:
    """By the record's names; and how many numbers a resample takes, one for each entry that is ranked."""
    widest = len(found["ids"])
    if task.kind == "multiclass":
        known = of_classes(found["logits"], found["targets"])
    elif task.kind == "regression":
        known = of_numbers(found["predicted"], found["targets"])
    else:
        gap, widest = _Gap(found["logit"], found["hit"], found["positives"]), found["hit"].size
        own = {name: mean_of(found[name]) for name in ("nll", "perr") if name in found}
        known = {"gap20": gap, "hit1": mean_of(found["hit"][:, 0]), **own}
    chosen = [name for name in (*ALWAYS[task.kind], task.metric) if name in known]
    return {f"test/{name}": known[name] for name in chosen}, widest


class _Gap:
    """GAP of rows that are counted several times or not at all."""

    def __init__(self, logit: NDArray[Any], hit: NDArray[np.bool_], positives: NDArray[Any]) -> None:
        """(N, 20), (N, 20) and (N,)."""
        order = np.argsort(-logit, axis=None, kind="stable")  # (N*20,), best first
        ranked = -logit.ravel()[order]
        self.owner = order // logit.shape[1]
        self.hits = np.flatnonzero(hit.ravel()[order])
        # Equal logits are one threshold: precision is that of all of them.
        self.ends = np.searchsorted(ranked, ranked[self.hits], side="right") - 1
        self.last_hits = np.searchsorted(self.hits, self.ends, side="right") - 1
        self.positives = positives.astype(np.float64)

    def __call__(self, counts: Counts) -> NDArray[np.float64]:
        """(R, N) -> (R,); 0 where there is nothing to find."""
        entries = counts[:, self.owner]  # (R, N*20), of which hits are few: what is only of them is summed over them.
        own = entries[:, self.hits]  # (R, hits)
        hits_above = own.cumsum(1, dtype=np.int64)[:, self.last_hits]
        entries_above = entries.cumsum(1, dtype=np.int64)[:, self.ends]
        precision = hits_above / np.maximum(entries_above, 1)  # None above: the hit itself is not in the resample.
        return (own * precision).sum(1) / np.maximum(counts @ self.positives, 1.0)
