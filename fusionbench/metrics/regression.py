"""Scores of predicted numbers: R2, RMSE, MAE, Pearson's r and Spearman's rho, by torchmetrics.

Of C numbers a sample, each is computed by itself and the mean is taken, as in scikit-learn; all in float64, since a sum
of squares loses in float32 what a small spread beside a large mean is.

    R2    = 1 - sum (y - y^)^2 / sum (y - mean y)^2
    RMSE  = sqrt(mean (y - y^)^2),  MAE = mean |y - y^|     in the unit of the data
    r     = cov(y, y^) / (sd y * sd y^)
    rho   = r of the ranks, equal numbers with the mean of theirs

Where a number is the same in all samples there is nothing to explain: R2, r and rho are then `undefined`, and a record
has no word of them. Predictions that are all the same go with nothing: r and rho are 0.

R2 is torchmetrics' but for its last line, which takes every sum below 1e-4 for zero, whatever the unit; rho is its r of
our ranks, since the sums of its own overflow where 65,536 samples are equal. Tests hold all to scikit-learn and scipy.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.regression import pearson_corrcoef
from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError, PearsonCorrCoef, R2Score

from fusionbench.metrics.blocks import Blocks
from fusionbench.metrics.ranking import gathered


class RMSE(MeanSquaredError):
    """Root mean squared error.

    >>> metric = RMSE(1)
    >>> metric.update(torch.tensor([[1.0], [5.0]]), torch.tensor([[1.0], [3.0]]))
    >>> round(float(metric.compute()), 4)
    1.4142
    """

    def __init__(self, numbers: int) -> None:
        super().__init__(squared=False, num_outputs=numbers)
        self.set_dtype(torch.float64)

    def update(self, values: Tensor, targets: Tensor) -> None:
        """Add B samples: (B, C) both."""
        super().update(values.double(), targets.double())

    def compute(self) -> Tensor:
        """The mean over the numbers."""
        return super().compute().mean()


class MAE(MeanAbsoluteError):
    """Mean absolute error."""

    def __init__(self, numbers: int) -> None:
        super().__init__(num_outputs=numbers)
        self.set_dtype(torch.float64)

    def update(self, values: Tensor, targets: Tensor) -> None:
        """Add B samples: (B, C) both."""
        super().update(values.double(), targets.double())

    def compute(self) -> Tensor:
        """The mean over the numbers."""
        return super().compute().mean()


class _OfSpread(Metric):
    """What needs targets that differ: remembers the least and the most of each number."""

    lowest: Tensor
    """(2, C): of predictions, and of targets."""
    highest: Tensor

    undefined: bool
    """Whether what `compute` gave last is no number, since a number is the same in all samples."""

    def watch(self, numbers: int) -> None:
        """Add what is remembered; to be called once, when all else is there."""
        self.undefined = False
        self.add_state("lowest", torch.full((2, numbers), torch.inf), dist_reduce_fx="min")
        self.add_state("highest", torch.full((2, numbers), -torch.inf), dist_reduce_fx="max")
        self.set_dtype(torch.float64)

    def seen(self, values: Tensor, targets: Tensor) -> Tensor:
        """Both in float64, looked at: (B, C) twice -> (2, B, C)."""
        both = torch.stack([values.double(), targets.double()])
        self.lowest = torch.minimum(self.lowest, both.amin(1))
        self.highest = torch.maximum(self.highest, both.amax(1))
        return both

    def look(self) -> Tensor:
        """Note whether it is undefined; which predictions are all the same, bool (C,)."""
        same = self.highest <= self.lowest
        self.undefined = bool(same[1].any())
        return same[0]


class R2(_OfSpread, R2Score):
    """The part of the targets' variance that is explained; below 0 where their mean would have been better."""

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self.watch(numbers)

    def update(self, values: Tensor, targets: Tensor) -> None:
        """Add B samples: (B, C) both."""
        super().update(*self.seen(values, targets))

    def compute(self) -> Tensor:
        """The mean over the numbers; NaN where it is undefined."""
        self.look()
        spread = self.sum_squared_error - self.sum_error**2 / self.total
        return torch.tensor(torch.nan) if self.undefined else (1 - self.residual / spread).mean()


class Pearson(_OfSpread, PearsonCorrCoef):
    """Pearson's correlation."""

    higher_is_better = True

    def __init__(self, numbers: int) -> None:
        super().__init__(num_outputs=numbers)
        self.watch(numbers)

    def update(self, values: Tensor, targets: Tensor) -> None:
        """Add B samples: (B, C) both."""
        super().update(*self.seen(values, targets))

    def compute(self) -> Tensor:
        """The mean over the numbers; NaN where it is undefined."""
        flat = self.look()
        with warnings.catch_warnings(action="ignore"):  # Of a spread that is none: seen already.
            found = super().compute().reshape(flat.shape)
        return torch.where(flat, torch.zeros_like(found), found).mean()


class Spearman(_OfSpread):
    """Spearman's rank correlation; keeps all numbers, 16 bytes each."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    values: list[Tensor]
    targets: list[Tensor]

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self.blocks = Blocks()
        self.add_state("values", [], dist_reduce_fx="cat")
        self.add_state("targets", [], dist_reduce_fx="cat")
        self.watch(numbers)

    def update(self, values: Tensor, targets: Tensor) -> None:
        """Add B samples: (B, C) both."""
        found, wanted = self.seen(values, targets)
        self.values.append(self.blocks.keep(found))
        self.targets.append(self.blocks.keep(wanted))

    def compute(self) -> Tensor:
        """The mean over the numbers; NaN where it is undefined."""
        flat = self.look()
        ranks = (torch.stack([midranks(x) for x in gathered(part).T], 1) for part in (self.values, self.targets))
        with warnings.catch_warnings(action="ignore"):
            found = pearson_corrcoef(*ranks).reshape(flat.shape)
        return torch.where(flat, torch.zeros_like(found), found).mean()


def midranks(values: Tensor) -> Tensor:
    """Ranks from 1, equal values with the mean of theirs: (n,) -> float64 (n,).

    >>> midranks(torch.tensor([3.0, 1.0, 3.0]))
    tensor([2.5000, 1.0000, 2.5000], dtype=torch.float64)
    """
    _, place, counts = torch.unique(values, return_inverse=True, return_counts=True)
    return (counts.cumsum(0) - (counts - 1) / 2.0).double()[place]
