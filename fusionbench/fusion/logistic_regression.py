"""Logistic regression on all encodings side by side: solved for at once, no network is trained.

    z_m  = (x_m - mean_m) / deviation_m        over the training rows; zeros where the modality is absent, (B, D)
    y    = W [z_1; ...; z_M] + b               logits, (B, M*D) -> (B, C)
    W, b = argmin |W|^2 / 2 + C * sum of the training rows' cross-entropies

C is the value of `grid` with the best validation accuracy (or whatever score ranks), then the lower NLL. Encoders have
to be frozen. The training rows are those that an epoch shows, whatever their order; training ends after one epoch.

Parameters: (M*D+1)*C
FLOPs: 2*M*D*C
Source: none; solved by scikit-learn's LogisticRegression (L-BFGS).
Use: always where encoders are frozen: a fusion network that is no better has gained nothing by its layers.
"""

from __future__ import annotations

from lightning.pytorch.utilities.types import OptimizerLRScheduler

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
from fusionbench.fusion._logistic import Rows, chosen, refuse_grid, said_of
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import stacked


class LogisticRegressionFusion(FusionModule):
    """A linear layer on standardised encodings, with the weights that scikit-learn finds."""

    display = "Logistic regression"
    family = "baseline"
    needs_classes = "a logistic regression is of class probabilities"
    stage, representation, interaction, fitted = "feature", "joint", "none", True

    def __init__(self, setting: Setting, *, grid: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)) -> None:
        """`grid` of C, the inverse strength of regularisation, rising.

        Raises:
            UserError: `grid` is empty, not positive or not rising.
        """
        refuse_grid("logistic_regression", grid)
        super().__init__(setting)
        self.automatic_optimization = False
        self.grid, self.said = grid, tuple[str, ...]()
        self.standardised = Standardised(len(setting.task.names), setting.width)
        self.linear = fitted_linear(len(setting.task.names) * setting.width, setting.task.classes)

    @classmethod
    def unsuitable(cls, setting: Setting) -> str:
        """Encoders that learn; several labels a sample."""
        return not_fitted_here(setting, "a logistic regression")

    def notes(self) -> tuple[str, ...]:
        """Where C is at an end of its grid, or the solver did not come to its end."""
        return self.said

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, M*D) -> (B, C)."""
        return Prediction(self.linear(self.standardised(*stacked(encoded)).flatten(1)))

    def on_train_start(self) -> None:
        """Solve for the weights."""
        train, validation = known(self)
        self.standardised.fit(train.pooled, train.present)
        rows = self._rows(train), self._rows(validation)
        found = chosen(self.grid, *rows, self.task.classes, ranked_by(self.task))
        put_into(self.linear, found)
        self.said = said_of({"C": found}, self.grid)

    def _rows(self, of: Known) -> Rows:
        return Rows(self.standardised.side_by_side(of.pooled, of.present), of.targets)

    def on_train_epoch_end(self) -> None:
        """Log the loss, and end: another epoch would change nothing."""
        super().on_train_epoch_end()
        self.trainer.should_stop = True

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """None: there is nothing to optimise."""
        return []
