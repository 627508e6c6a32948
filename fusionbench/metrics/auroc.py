"""AUROC, one class against the rest: how often a sample of a class has more of its probability than another has.

    mean over classes c of P(p_c(i) > p_c(j)) + P(p_c(i) = p_c(j)) / 2,    i of class c, j not

Of two classes both terms are the usual AUROC. Where a class has no sample, or has them all, there is none: the score is
then `undefined`, and a record has no word of it. Computed by torchmetrics, of probabilities in float64: in float32 a
softmax rounds those of a sure model to 1, and makes ties of them.

Source: the definition is that of scikit-learn's roc_auc_score, multi_class="ovr", average="macro".
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.functional.classification import multiclass_auroc

from fusionbench.metrics.blocks import Blocks
from fusionbench.metrics.ranking import gathered


class MacroAUROC(Metric):
    """Keeps all logits, 4 bytes each, as test predictions do; exact on any number of processes.

    >>> metric = MacroAUROC(2)
    >>> metric.update(torch.tensor([[0.0, 1.0], [0.0, 2.0], [0.0, 0.0]]), torch.tensor([1, 1, 0]))
    >>> float(metric.compute()), metric.undefined
    (1.0, False)
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    logits: list[Tensor]
    targets: list[Tensor]

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes, self.blocks = classes, Blocks()
        self.undefined = False
        """Whether what `compute` gave last is no number, since a class has no samples or all of them."""
        self.add_state("logits", [], dist_reduce_fx="cat")
        self.add_state("targets", [], dist_reduce_fx="cat")

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Add B samples: logits (B, C), targets int64 (B,)."""
        self.logits.append(self.blocks.keep(logits.float()))
        self.targets.append(self.blocks.keep(targets))

    def compute(self) -> Tensor:
        """The mean over classes, float32; NaN where it is undefined."""
        logits, targets = gathered(self.logits), gathered(self.targets)
        counts = targets.bincount(minlength=self.classes)
        self.undefined = bool(((counts == 0) | (counts == len(targets))).any())
        if self.undefined:
            return torch.tensor(torch.nan, device=targets.device)
        probabilities = logits.double().softmax(1)
        return multiclass_auroc(probabilities, targets, self.classes, validate_args=False).float()
