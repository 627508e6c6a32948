"""Balanced accuracy: the mean over classes of the fraction of a class's samples that are told right.

    mean over the classes c that occur of right_c / n_c

A class that no sample has is left out, as in scikit-learn's balanced_accuracy_score; torchmetrics' macro accuracy has
it as 0 where some sample is mistaken for it.
"""

from __future__ import annotations

from torch import Tensor
from torchmetrics.classification import MulticlassRecall


class BalancedAccuracy(MulticlassRecall):
    """Counts of right and wrong samples by class; exact on any number of processes.

    >>> import torch
    >>> metric = BalancedAccuracy(3)
    >>> metric.update(torch.tensor([[2.0, 0, 0], [2.0, 0, 0], [0, 0, 2.0]]), torch.tensor([0, 0, 1]))
    >>> float(metric.compute())  # Class 0: 2 of 2; class 1: 0 of 1; class 2 does not occur.
    0.5
    """

    def __init__(self, classes: int) -> None:
        super().__init__(classes, average="none", validate_args=False)

    def compute(self) -> Tensor:
        """The mean over the classes that occur, float32; 0 if there are no samples."""
        right, _, _, missed = self._final_state()
        occurs = right + missed > 0
        return (right[occurs] / (right + missed)[occurs]).sum() / occurs.sum().clamp(min=1)
