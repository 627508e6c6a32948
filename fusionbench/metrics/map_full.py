"""Mean average precision over classes, each over all samples: exact of some millions of logits, binned of more.

    AP_c = 1/P_c * sum over the hits h of class c of H(h) / (H(h) + N(h))      P_c: how many samples have class c
    H(h), N(h)   how many of the samples that have class c, and of the others, have a logit of c as high as h's

The mean is over the classes that some sample has. Equal logits are one threshold, as in scikit-learn.

Up to `exact` logits, over all processes, all are kept, and the score is exact. Beyond, hits are kept (8 bytes each) and
the others are counted in the bins of `float16_bins`: H is exact, and of N what is in h's own bin is estimated. Those
at the bin's centre are compared with h, of the rest one half counts. Logits that are float16 or bfloat16 numbers, as
training in half precision gives them, lie at centres, so that nothing is lost. Of logits as a trained model gives them,
tests hold the error to 2e-5. `bounds` holds the least and the most that the score could be; where they are far apart,
the record says so (`score_notes`).

Source: Abu-El-Haija et al. 2016, "YouTube-8M", arXiv:1609.08675; the definition is that of scikit-learn's
average_precision_score, average="macro".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed
from torchmetrics import Metric
from torchmetrics.utilities.distributed import gather_all_tensors

from fusionbench.metrics.blocks import Blocks
from fusionbench.metrics.float16_bins import Ints, above_and_in, bins_of, count, no_counts

EXACT = 2**27
"""Logits that are kept, 4 bytes each: 34,753 samples of YouTube-8M, 0.5 GB."""
PART = 8
"""After the first count in bins, `exact` / PART logits are kept until the next one."""
CHUNK = 64
"""Classes that are brought into columns at once: bounds the memory beside what is kept."""

Floats = NDArray[np.float32]


class MAPFull(Metric):
    """Mean over the classes that occur of the AP over all samples.

    Keeps 4 bytes a logit and 8 a label; where there are more than `exact` logits, 4 bytes of those that came last, and
    256 KiB a class at most (1 GB for YouTube-8M). Processes send each other labels and counts, never logits.

    >>> metric = MAPFull(classes=3)
    >>> metric.update(torch.tensor([[3.0, 1.0, 0.0], [0.0, 1.0, 2.0]]), torch.tensor([[0.0, 0, 0], [1.0, 0, 1.0]]))
    >>> float(metric.compute())  # AP of the classes: 1/2 (found second), none (no sample has it), 1
    0.75
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    logits: list[Tensor]
    """Those that are not counted in bins yet, (B, C) each."""
    counts: list[Tensor]
    """What is counted in bins, (C, BINS), once there is any."""
    scores: list[Tensor]
    """The hits' logits."""
    owners: list[Tensor]
    """The hits' classes."""
    centred: Tensor
    """(C,): how many of those in bins are at the centres."""
    nans: Tensor
    """(C,): how many logits are NaN."""
    samples: Tensor

    def __init__(self, classes: int, exact: int = EXACT) -> None:
        super().__init__()
        self.classes, self.exact = classes, exact
        self.bounds = (0.0, 0.0)
        """Of the score that `compute` gave last, the least and the most that it could be."""
        self.across = False
        """Whether what is computed is the score of all processes."""
        self.blocks, self.room = Blocks(), Blocks()  # Hits stay; the others' logits, once counted, free their blocks.
        for name in ("logits", "counts", "scores", "owners"):
            self.add_state(name, [], dist_reduce_fx="cat")
        for name in ("centred", "nans"):
            self.add_state(name, torch.zeros(classes, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("samples", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Add B samples: logits (B, C), targets (B, C) of zeros and ones."""
        kept = self.room.keep(logits.float())
        self.nans += kept.isnan().sum(0)
        self.samples += len(kept)
        rows, owners = (targets > 0).nonzero(as_tuple=True)
        self.scores.append(self.blocks.keep(kept[rows, owners]))
        self.owners.append(self.blocks.keep(owners.int()))
        kept[rows, owners] = torch.nan  # What is counted from here on are the others.
        self.logits.append(kept)
        waiting = self.classes * sum(len(batch) for batch in self.logits)
        if waiting > (self.exact // PART if self.counts else self.exact):
            self._count()

    def compute(self) -> Tensor:
        """The mean over the classes that occur, float32; 0 if none does, NaN if one of them has a NaN."""
        hits = _Hits(self._joined(self.scores, torch.float32), self._joined(self.owners, torch.int32), self.classes)
        samples, nans = int(self._summed(self.samples)), self._summed(self.nans).tolist()
        binned = samples * self.classes > self.exact
        if binned:
            self._count()
        own = torch.from_numpy(self._in_bins(hits) if binned else self._in_columns(hits))
        above, inside = self._summed(own.to(self.samples.device)).cpu().numpy()
        centred = self._summed(self.centred).tolist()
        found = []
        for owner, part in hits.classes():
            count = part.stop - part.start
            share = centred[owner] / max(1, samples - count) if binned else 1.0
            one = _average_precision(hits.scores[part], hits.centres[part], above[part], inside[part], share)
            found.append((np.nan,) * 3 if nans[owner] else one)
        value, low, high = (float(np.mean(column)) for column in zip(*found, strict=True)) if found else (0.0,) * 3
        self.bounds = (low, high)
        return torch.tensor(value, dtype=torch.float32, device=self.samples.device)

    def sync(
        self,
        dist_sync_fn: Callable[..., Any] | None = None,
        process_group: Any | None = None,
        should_sync: bool = True,
        distributed_available: Callable[[], bool] | None = None,
    ) -> None:
        """What torchmetrics calls before `compute`: no state is sent, `compute` asks the other processes for counts."""
        self.across = should_sync and bool((distributed_available or self.distributed_available_fn)())

    def merge_state(self, incoming_state: dict[str, Any] | Metric) -> None:
        """Add the samples of another one, which stays as it is."""
        super().merge_state(incoming_state)
        self.counts = [self._added()] if self.counts else []

    # --- counting ------------------------------------------------------------------------------------------------

    def _count(self) -> None:
        """Count in bins what is kept; then keep it no longer."""
        if len(self.counts) != 1 or not self.counts[0].is_cpu:
            self.counts = [self._added()]
        counts = self.counts[0].numpy()
        for classes, columns in self._columns():
            self.centred[classes] += torch.from_numpy(count(counts[classes], columns)).to(self.centred.device)
        self.logits.clear()

    def _added(self) -> Tensor:
        total = no_counts(self.classes)
        for counts in self.counts:
            total += counts.cpu()
        return total

    def _columns(self) -> Iterator[tuple[slice, Tensor]]:
        """CHUNK classes at a time, one row a class, (C', N). The batches are not joined, which would double them."""
        for first in range(0, self.classes, CHUNK):
            classes = slice(first, min(first + CHUNK, self.classes))
            none = torch.zeros(classes.stop - first, 0)
            parts = [batch[:, classes].t().contiguous().cpu() for batch in self.logits]
            yield classes, torch.cat([none, *parts], 1)

    def _in_columns(self, hits: _Hits) -> Ints:
        """Of this process's others: how many are as high as each hit; and a row of zeros, (2, H)."""
        found = np.zeros((2, len(hits.scores)), dtype=np.int64)
        parts = dict(hits.classes())
        for classes, columns in self._columns():
            for owner, column in enumerate(np.sort(columns.numpy(), 1), classes.start):
                if owner in parts:
                    others = np.searchsorted(column, np.nan)  # NaN comes last.
                    found[0, parts[owner]] = others - np.searchsorted(column[:others], hits.scores[parts[owner]])
        return found

    def _in_bins(self, hits: _Hits) -> Ints:
        """Of this process's others: how many are in higher bins than each hit, and how many in the same, (2, H)."""
        found = np.zeros((2, len(hits.scores)), dtype=np.int64)
        for owner, part in hits.classes():
            found[:, part] = above_and_in(self.counts[0][owner].numpy(), hits.bins[part])
        return found

    # --- several processes ---------------------------------------------------------------------------------------

    def _joined(self, state: list[Tensor], kind: torch.dtype) -> Tensor:
        """A list state of all processes, in one."""
        own = torch.cat([torch.zeros(0, dtype=kind, device=self.samples.device), *state])
        return torch.cat(gather_all_tensors(own, self.process_group)) if self.across else own

    def _summed(self, own: Tensor) -> Tensor:
        """The sum over all processes."""
        total = own.clone()
        if self.across:
            distributed.all_reduce(total, group=self.process_group)
        return total


class _Hits:
    """All hits, by class and then by logit."""

    def __init__(self, scores: Tensor, owners: Tensor, classes: int) -> None:
        """(H,) each, in any order."""
        found, of = scores.cpu().numpy(), owners.cpu().numpy()
        order = np.lexsort((found, of))
        self.scores: Floats = found[order]
        self.borders = np.searchsorted(of[order], np.arange(classes + 1)).tolist()
        bins, centres = bins_of(torch.from_numpy(self.scores))
        self.bins, self.centres = bins.numpy(), centres.float().numpy()

    def classes(self) -> Iterator[tuple[int, slice]]:
        """The classes that occur, and where their hits are."""
        return ((owner, slice(a, b)) for owner, (a, b) in enumerate(pairwise(self.borders)) if b > a)


def _average_precision(
    scores: Floats, centres: Floats, above: Ints, inside: Ints, centred: float
) -> tuple[float, float, float]:
    """Of one class: the average precision, the least and the most that it could be.

    Args:
        scores: (k,) of the hits, ascending.
        centres: (k,) of their bins.
        above: (k,) how many others are certainly as high.
        inside: (k,) how many are in the same bin.
        centred: the fraction of the others that are at the centres of their bins.
    """
    hits = len(scores) - np.searchsorted(scores, scores)
    high = inside * (centred * (centres >= scores) + (1 - centred) / 2)
    value, least, most = (
        float((hits / (hits + others)).sum() / len(scores)) for others in (above + high, above + inside, above)
    )
    return (value, value, value) if centred == 1 else (value, least, most)
