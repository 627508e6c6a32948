"""What a strategy is to Lightning's Trainer: its steps, scores, optimiser and checkpoints; see `base` for the rest."""

from __future__ import annotations

import inspect
import json
import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torchmetrics import MetricCollection

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.errors import UserError
from fusionbench.fusion._setting import Setting
from fusionbench.fusion._targets import Standardising, TargetScale
from fusionbench.metrics.scores import computed

if TYPE_CHECKING:
    from fusionbench.fusion.base import Prediction

WARM_UP = 0.05
"""The fraction of all steps in which the learning rate rises; then it falls along a cosine to zero."""
WARM_UP_STEPS = 100
"""Where training has no end: so many steps in which the learning rate rises; then it stays."""
MADE_OF = "fusionbench"
"""Where a checkpoint states, as plain JSON, what the module was made of."""
REMEMBERED = "fusionbench_remembered"
"""Where it keeps what a strategy's fact `remembers` names."""


class TrainableModule(LightningModule):
    """The part of `FusionModule` that a Trainer calls."""

    remembers: ClassVar[tuple[str, ...]] = ()
    """Attributes that live from one epoch into the next and are no parameter and no persistent buffer: numbers, texts,
    tensors, lists and tuples of them. Without them a training that was stopped would not go on as it was."""
    setting: Setting
    made_of: dict[str, Any]
    """What it was called with, by name."""
    validation_scores: MetricCollection
    test_scores: MetricCollection
    target_scale: TargetScale | None
    """Of a regression: what its numbers are standardised by."""

    def __new__(cls, *given: Any, **options: Any) -> Self:
        """Notes what the module is made of, for its checkpoints: also of a strategy that knows nothing of it."""
        made = super().__new__(cls)
        _, *found = inspect.signature(cls.__init__).bind_partial(made, *given, **options).arguments.items()
        made.__dict__["made_of"] = dict(found)
        return made

    def __init__(self) -> None:
        super().__init__()
        self._train_loss: Tensor | None = None
        self._train_steps = 0

    @abstractmethod
    def predict(self, batch: MultimodalBatch) -> Prediction:
        """Encode, then fuse."""

    @abstractmethod
    def loss(self, prediction: Prediction, batch: MultimodalBatch) -> Tensor:
        """What is minimised."""

    # --- steps -------------------------------------------------------------------------------------------------------

    def training_step(self, batch: MultimodalBatch, batch_index: int) -> Tensor:
        """The loss of one batch."""
        return self.added_up(self.loss(self.predict(batch), batch))

    def added_up(self, loss: Tensor) -> Tensor:
        """The loss of a step, added to the epoch's mean: `self.log` in every step costs a third more."""
        self._train_loss = loss.detach() if self._train_loss is None else self._train_loss + loss.detach()
        self._train_steps += 1
        return loss

    @property
    def loss_so_far(self) -> float | None:
        """The mean loss of this epoch's steps on this device; None before the first."""
        return None if self._train_loss is None else float(self._train_loss) / self._train_steps

    def on_train_epoch_end(self) -> None:
        """Log the epoch's mean loss."""
        if self._train_loss is not None:
            self.log("train/loss", self._train_loss / self._train_steps)
        self._train_loss, self._train_steps = None, 0

    def validation_step(self, batch: MultimodalBatch, batch_index: int) -> None:
        """Update the validation scores."""
        self.validated(self.predict(batch).logits, batch)

    def validated(self, logits: Tensor, batch: MultimodalBatch) -> None:
        """Update the validation scores with what was predicted, (B, C)."""
        scale = self.target_scale
        found, targets = (logits.float(), batch.targets)
        if scale is not None:
            found, targets = scale.from_mean(found), scale.from_mean(targets)
        self.validation_scores.update(found, targets)

    def on_validation_epoch_end(self) -> None:
        """Log the validation scores, e.g. `validation/accuracy`."""
        self._log_scores("validation", self.validation_scores)

    def test_step(self, batch: MultimodalBatch, batch_index: int) -> Tensor:
        """Update the test scores; gives the logits (B, C), of a regression the numbers."""
        logits = self.predict(batch).logits.float()
        if self.target_scale is None:
            self.test_scores.update(logits, batch.targets)
        else:  # From the mean: a large one would cost digits.
            self.test_scores.update(self.target_scale.from_mean(logits), batch.targets - self.target_scale.mean)
        return self.told(logits)

    def on_test_epoch_end(self) -> None:
        """Log the test scores, e.g. `test/accuracy`."""
        self._log_scores("test", self.test_scores)

    def predict_step(self, batch: MultimodalBatch, batch_index: int) -> Tensor:
        """The logits of one batch, float32 (B, C); of a regression the numbers in the data's unit, float64."""
        return self.told(self.predict(batch).logits.float())

    def told(self, logits: Tensor) -> Tensor:
        """What a reader is told: logits as they are, numbers in the data's unit; (B, C)."""
        return logits if self.target_scale is None else self.target_scale.told(logits)

    def _log_scores(self, split: str, scores: MetricCollection) -> None:
        self.log_dict({f"{split}/{name}": value for name, value in computed(scores).items()})
        scores.reset()

    def configure_callbacks(self) -> list[Callback]:
        """One that standardises numbers to predict; one that tells of a precision that some strategies do not take."""
        precise = self.trainer.precision in ("64-true", "bf16-true", "16-true")
        return [*([Standardising()] if self.target_scale else []), *([_PrecisionTold()] if precise else [])]

    # --- optimiser ---------------------------------------------------------------------------------------------------

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The budget's, over all that is trained, warmed up and then decayed as `learning_rate_factor` says."""
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        # Lightning clips no gradients of a fused optimiser in mixed precision.
        fused = not self.trainer.gradient_clip_val
        optimiser = self.setting.optimiser.over(trained, fused)
        steps = max(1.0, self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: learning_rate_factor(step, steps))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    # --- checkpoints -------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what it remembers beside its weights; and the setting and the options, as plain JSON."""
        checkpoint[REMEMBERED] = {name: getattr(self, name) for name in self.remembers}
        options = {name: value for name, value in self.made_of.items() if name != "setting"}
        try:
            found = json.loads(json.dumps({"setting": self.setting.to_json(), "options": options}))
        except TypeError:
            return  # Options of a strategy of the user's own that are no plain values: loading has to be given them.
        checkpoint[MADE_OF] = found

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up what it remembered; a checkpoint from before that was kept has nothing of it."""
        found = checkpoint.get(REMEMBERED, {})
        for name in self.remembers:
            if name in found:
                setattr(self, name, found[name])

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, *given: Any, **changes: Any) -> Self:
        """As Lightning's, which says what may be given; the setting and the options are those in the checkpoint.

        Raises:
            UserError: the checkpoint does not state them, and `setting` is not given.
        """
        content = torch.load(checkpoint_path, map_location="cpu", weights_only=changes.get("weights_only", True))
        found = content.get(MADE_OF)
        if found is None and "setting" not in changes:
            raise UserError(f"{checkpoint_path}: does not state the setting of a strategy; give setting=")
        stated = {} if found is None else made_of_json(found)
        loaded: Self = super().load_from_checkpoint(checkpoint_path, *given, **{**stated, **changes})
        return loaded


class _PrecisionTold(Callback):
    """Says in one line that parts of a strategy are computed in float32, where all is to be in another type."""

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Raises UserError in the place of torch's words."""
        if isinstance(exception, RuntimeError):
            reason = str(exception).partition("\n")[0][:120]
            raise UserError(
                f"{type(pl_module).__name__} cannot be computed in precision '{trainer.precision}' ({reason}); take "
                f"32-true, bf16-mixed or 16-mixed"
            ) from exception


def made_of_json(found: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a strategy, from what its checkpoint states."""
    options = {name: tuple(value) if isinstance(value, list) else value for name, value in found["options"].items()}
    return {"setting": Setting.from_json(found["setting"]), **options}


def learning_rate_factor(step: int, steps: float) -> float:
    """The fraction of the peak learning rate at a step: linear up over WARM_UP of all steps, then a cosine to 0.

    Of endless steps (inf): linear up over WARM_UP_STEPS, then 1.
    """
    rising = max(1, math.ceil(WARM_UP * steps)) if math.isfinite(steps) else WARM_UP_STEPS
    if step < rising:
        return (step + 1) / rising
    if not math.isfinite(steps):
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rising) / max(1, steps - rising))))
