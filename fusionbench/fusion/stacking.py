"""Stacking: a logistic regression of each modality alone, and one on what these say of rows that they have not seen.

    z_m = (x_m - mean_m) / deviation_m                  over the training rows, (B, D)
    l_m = W_m z_m + b_m                                 logits of modality m alone, (B, C)
    y   = W [s(l_1); ...; s(l_M)] + b                   s as for z_m; zeros where the modality is absent, (B, C)

W_m, b_m are fitted on all training rows that have the modality. W, b are fitted on out-of-fold logits: the training
rows are drawn into `folds` parts, every class spread evenly, and the logits of a part are those of a regression on the
others. So what each modality says is weighed by how right it is on new rows, not on those it was fitted on. All are
solved for at once; each C is the value of `grid` with the best validation accuracy (or whatever score ranks), then the
lower NLL. Encoders have to be frozen. The training rows are those that an epoch shows, whatever their order; training
ends after one epoch. Folds are of single rows: those that belong together, such as the reviews of a film, may be in
several.

Parameters: M*(D+1)*C + (M*C+1)*C
FLOPs: 2*M*D*C + 2*M*C*C
Source: Wolpert 1992, "Stacked Generalization", Neural Networks 5; solved by scikit-learn's LogisticRegression (L-BFGS).
Use: always where encoders are frozen: what beats it gains more than a good weighting of what modalities say alone.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from numpy.typing import NDArray
from torch import nn

from fusionbench.core.batch import Encoded
from fusionbench.fusion._fitted import (
    Known,
    Standardised,
    fitted_linear,
    known,
    not_fitted_here,
    put_into,
    ranked_by,
)
from fusionbench.fusion._logistic import Rows, chosen, folds_of, refuse_grid, said_of, solved
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, stacked


class StackingFusion(FusionModule):
    """Weigh the out-of-fold logits of single modalities by a logistic regression."""

    display = "Stacking"
    family = "baseline"
    needs_classes = "both of its levels are logistic regressions, of class probabilities"
    paper, stage, representation, interaction, fitted = "wolpert1992stacked", "decision", "single", "none", True
    fidelity = "adapted"
    departure = (
        "each first-level model sees one modality; both levels are logistic regressions; folds are drawn once; logits, "
        "not guesses, go to the second level"
    )

    def __init__(
        self,
        setting: Setting,
        *,
        folds: int = 5,
        grid: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0),
    ) -> None:
        """`folds` of the training rows; `grid` of C, the inverse strength of regularisation, rising.

        Raises:
            UserError: `folds` is below 2; `grid` is empty, not positive or not rising.
        """
        at_least("stacking", "folds", folds, 2)
        refuse_grid("stacking", grid)
        super().__init__(setting)
        self.automatic_optimization = False
        self.folds, self.grid, self.said = folds, grid, tuple[str, ...]()
        names, classes = setting.task.names, setting.task.classes
        self.standardised, self.second = Standardised(len(names), setting.width), Standardised(len(names), classes)
        self.own = nn.ModuleDict({name: fitted_linear(setting.width, classes) for name in names})
        self.linear = fitted_linear(len(names) * classes, classes)

    @classmethod
    def unsuitable(cls, setting: Setting) -> str:
        """Encoders that learn; several labels a sample."""
        return not_fitted_here(setting, "stacking")

    def notes(self) -> tuple[str, ...]:
        """Where a C is at an end of its grid, or a solver did not come to its end."""
        return self.said

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, M, C) -> (B, C), with each modality's own logits."""
        pooled, present = stacked(encoded)
        x = self.standardised(pooled, present)
        own = {name: self.own[name](one) for name, one in zip(encoded, x.unbind(1), strict=True)}
        said = self.second(torch.stack(list(own.values()), 1), present)  # (B, M, C)
        return Prediction(self.linear(said.flatten(1)), own)

    def on_train_start(self) -> None:
        """Solve for the weights of both levels."""
        train, validation = known(self)
        self.standardised.fit(train.pooled, train.present)
        x, other = (self.standardised.of(part.pooled, part.present) for part in (train, validation))
        solutions, unseen, said, ranked = {}, [], [], ranked_by(self.task)
        for m, name in enumerate(self.task.names):
            parts = _rows(train, x, m), _rows(validation, other, m)
            one = chosen(self.grid, *parts, self.task.classes, ranked)
            put_into(cast(nn.Linear, self.own[name]), one)
            solutions[name] = one
            unseen.append(self._out_of_fold(train, x, m, one.strength))
            said.append(one.logits(other[:, m]))
        rows = np.stack(unseen, 1)  # (N, M, C)
        self.second.fit(rows, train.present)
        parts = self._second(train, rows), self._second(validation, np.stack(said, 1))
        found = chosen(self.grid, *parts, self.task.classes, ranked)
        put_into(self.linear, found)
        self.said = said_of({**solutions, "second level": found}, self.grid)

    def _out_of_fold(self, train: Known, x: NDArray[np.float32], m: int, strength: float) -> NDArray[np.float64]:
        """What modality m says of each training row by a regression on the other folds: (N, C)."""
        fold = folds_of(train.targets, self.folds, self.setting.seed)
        found, here = np.zeros((len(x), self.task.classes)), train.present[:, m]
        for number in range(self.folds):
            held, rest = here & (fold == number), here & (fold != number)
            other = solved(Rows(x[rest, m], train.targets[rest]), self.task.classes, strength)
            found[held] = other.logits(x[held, m])
        return found

    def _second(self, of: Known, said: NDArray[np.float64]) -> Rows:
        """What the second level reads of rows: (N, M, C) -> (N, M*C)."""
        return Rows(self.second.side_by_side(said, of.present), of.targets)

    def on_train_epoch_end(self) -> None:
        """Log the loss, and end: another epoch would change nothing."""
        super().on_train_epoch_end()
        self.trainer.should_stop = True

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """None: there is nothing to optimise."""
        return []


def _rows(of: Known, x: NDArray[np.float32], m: int) -> Rows:
    """Those that have modality m."""
    here = of.present[:, m]
    return Rows(x[here, m], of.targets[here])
