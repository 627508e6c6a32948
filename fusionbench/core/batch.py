"""What flows through a model: a batch of samples, and what an encoder made of one modality of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor


@dataclass
class MultimodalBatch:
    """B samples of several modalities; the dicts are keyed by modality name."""

    inputs: dict[str, Tensor]
    """(B, *shape) of each modality."""
    masks: dict[str, Tensor]
    """bool (B, T): which steps are real, for modalities that have steps; the others are left out."""
    present: dict[str, Tensor]
    """bool (B,): whether the sample has the modality at all."""
    targets: Tensor
    """int64 (B,) for multiclass, float (B, C) of zeros and ones for multilabel, float (B, C) for regression: in the
    data's unit, but standardised in what a Trainer gives a strategy to learn from."""
    ids: Tensor
    """int64 (B,): the sample's row in the dataset."""
    auxiliary: dict[str, Tensor] = field(default_factory=dict)
    """A modality's own labels, where the dataset has them."""
    encoded: dict[str, Encoded] = field(default_factory=dict)
    """What a frozen encoder made of a modality, where it is stored: then `inputs` need not have the modality."""

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> MultimodalBatch:
        """The batch on another device (Lightning calls this)."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def part(self, span: slice) -> MultimodalBatch:
        """Some of its samples, padded as the whole batch is; views of it, not copies."""
        return self._each(lambda tensor: tensor[span])

    def _each(self, change: Callable[[Tensor], Tensor]) -> MultimodalBatch:
        """The same change to every tensor."""

        def changed(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: changed(one) for name, one in value.items()}
            return value.each(change) if isinstance(value, Encoded) else change(value)

        return replace(self, **{one.name: changed(getattr(self, one.name)) for one in fields(self)})


@dataclass
class Encoded:
    """One modality after its encoder."""

    pooled: Tensor
    """(B, D): the sample in one vector; zeros where the modality is absent."""
    tokens: Tensor
    """(B, T, D): the sample in steps; T = 1 where the encoder has none of its own."""
    mask: Tensor
    """bool (B, T): which steps are real; all False where the modality is absent."""
    present: Tensor
    """bool (B,)."""
    stages: tuple[Tensor, ...] = ()
    """Hidden maps, for fusion between layers: (B, X), steps (B, T, X) or a picture's (B, X, H, W); none of an encoder
    that is one layer. Zeros in the padding; where the modality is absent, what its encoder makes of zeros."""
    stage_mask: Tensor | None = None
    """bool (B, T): which steps of `stages` are real, where `tokens` may be fewer; None of stages without steps."""

    def each(self, change: Callable[[Tensor], Tensor]) -> Encoded:
        """The same change to every tensor."""
        pooled, tokens, mask, present = map(change, (self.pooled, self.tokens, self.mask, self.present))
        stage_mask = None if self.stage_mask is None else change(self.stage_mask)
        return Encoded(pooled, tokens, mask, present, tuple(map(change, self.stages)), stage_mask)
