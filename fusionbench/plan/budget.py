"""What training may cost: one budget for every strategy of a suite, and that of encoders trained beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

Precision = Literal["32-true", "bf16-mixed"]
OptimiserName = Literal["adamw", "sgd"]
TrainedOn = Literal["half", "all"]


@dataclass(frozen=True)
class Budget:
    """What training may cost: the same for every strategy of a suite."""

    epochs: int = 20
    """Passes over the training split."""
    batch_size: int = 128
    """Samples in a step, over all devices together."""
    learning_rate: float = 1e-3
    """Peak learning rate of the optimiser."""
    weight_decay: float = 1e-2
    """AdamW's decoupled weight decay; under SGD the same share of a weight is added to its gradient."""
    dropout: float = 0.0
    """In every head and encoder, a fraction."""
    precision: Precision = "32-true"
    """Numbers of 32 bits, or bfloat16 where it does no harm."""
    patience: int = 0
    """Stop after so many epochs without a better validation score; 0: never."""
    head_norm: bool = True
    """Whether what enters an MLP head is normalised without weights, modality by modality."""

    optimiser: OptimiserName = "adamw"
    """Which steps training takes."""
    momentum: float = 0.0
    """SGD's, a fraction; AdamW has its own."""

    LATER: ClassVar[dict[str, Any]] = {"head_norm": True, "optimiser": "adamw", "momentum": 0.0}

    @property
    def method(self) -> str:
        """The optimiser in words.

        >>> Budget(optimiser="sgd", momentum=0.9).method, Budget().method
        ('SGD with momentum 0.9', 'AdamW')
        """
        if self.optimiser == "adamw":
            return "AdamW"
        return f"SGD with momentum {self.momentum:g}" if self.momentum else "SGD without momentum"

    def to_json(self) -> dict[str, Any]:
        """All fields, but for later ones at the value that means "as before"."""
        return without(vars(self), self.LATER)


@dataclass(frozen=True)
class Pretraining(Budget):
    """What training an encoder beforehand may cost, and on which of the training rows it is trained."""

    rows: TrainedOn = "all"
    """On a half of them, the fusion is trained on the other: encodings of rows that trained the encoder are
    over-confident, and a fusion that meets them trusts most what fits best to what it has seen."""

    LATER: ClassVar[dict[str, Any]] = {**Budget.LATER, "rows": "all"}


def without(values: Mapping[str, Any], neutral: Mapping[str, Any]) -> dict[str, Any]:
    """The values but for those that are as a neutral one says."""
    return {name: value for name, value in values.items() if name not in neutral or value != neutral[name]}
