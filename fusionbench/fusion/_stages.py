"""Fusion between the layers of encoders: which layers go together, and a walk through all encoders at once.

Encoders may have different numbers of stages. The last ones go together, then those before them, as far as the encoder
with the fewest has any: S levels, 0 .. S-1. What deeper encoders have before stays theirs alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.encoders.base import Encoder, Hidden

Between = Callable[[int, dict[str, Hidden]], dict[str, Hidden]]
"""What happens to all modalities' maps after a level; it gives those that go on."""


def level_widths(encoders: nn.ModuleDict) -> list[dict[str, int]]:
    """The channels of each modality's map, by level.

    Raises:
        UserError: an encoder has no layer at all.
    """
    widths = {name: encoder.stage_widths for name, encoder in _named(encoders).items()}
    for name in (name for name, one in widths.items() if not one):
        raise UserError(f"the encoder of '{name}' has no layer for a fusion between layers; give it one")
    levels = min(len(one) for one in widths.values())
    return [{name: one[len(one) - levels + level] for name, one in widths.items()} for level in range(levels)]


def encode_together(encoders: nn.ModuleDict, batch: MultimodalBatch, between: Between) -> dict[str, Encoded]:
    """Each modality by its own encoder, in step: after each level, `between` may change what goes on."""
    found, levels = _named(encoders), len(level_widths(encoders))
    hidden = {name: encoder.begin(*given(name, batch)) for name, encoder in found.items()}
    for name, encoder in found.items():
        for number in range(len(encoder.stage_widths) - levels):
            hidden[name] = encoder.stage(number, hidden[name])
    for level in range(levels):
        for name, encoder in found.items():
            hidden[name] = encoder.stage(len(encoder.stage_widths) - levels + level, hidden[name])
        hidden = between(level, hidden)
    return {name: without_absent(encoder.finish(hidden[name])) for name, encoder in found.items()}


def given(name: str, batch: MultimodalBatch) -> tuple[Tensor, Tensor | None, Tensor]:
    """What an encoder gets of a batch: input, mask and present; zeros where the modality is absent (NaN even).

    Raises:
        UserError: the batch has no input of the modality, since it is stored as an encoding.
    """
    if name not in batch.inputs and name in batch.encoded:
        raise UserError(
            f"'{name}' has a stored encoding and no input here; a strategy that needs inputs states cacheable = False"
        )
    x, present = batch.inputs[name], batch.present[name]
    x = torch.where(present.view(-1, *[1] * (x.dim() - 1)), x, torch.zeros_like(x))
    return x, batch.masks.get(name), present


def at_hand(encoded: Encoded, present: Tensor) -> Encoded:
    """A stored encoding in a batch that may say that a modality is absent which is stored: zeros there.

    Args:
        encoded: as stored.
        present: bool (B,), the batch's.
    """
    if present is encoded.present:  # As nearly always: no copy.
        return encoded
    return without_absent(replace(encoded, present=encoded.present & present))


def without_absent(encoded: Encoded) -> Encoded:
    """The same with zeros where the modality is absent."""
    present = encoded.present
    return replace(
        encoded,
        pooled=encoded.pooled * present[:, None],
        tokens=encoded.tokens * present[:, None, None],
        mask=encoded.mask & present[:, None],
    )


def squeezed(x: Tensor, mask: Tensor | None, present: Tensor) -> Tensor:
    """A map's mean over its real steps or positions, zeros where the modality is absent: (B, X).

    Args:
        x: (B, X), (B, T, X) or (B, X, H, W).
        mask: bool (B, T); only that of steps is read.
        present: bool (B,).
    """
    if x.dim() == 3:
        assert mask is not None
        weight = (mask & present[:, None])[..., None].to(x.dtype)
        return (x * weight).sum(1) / weight.sum(1).clamp(min=1)
    return (x.mean((2, 3)) if x.dim() == 4 else x) * present[:, None]


def scaled(hidden: Hidden, gate: Tensor) -> Hidden:
    """Every channel of a map times its gate, (B, X)."""
    if hidden.map.dim() == 3:
        return replace(hidden, map=hidden.map * gate[:, None])
    return replace(hidden, map=hidden.map * gate.view(*gate.shape, *[1] * (hidden.map.dim() - 2)))


def level_vectors(encoded: Encoded, levels: int) -> list[Tensor]:
    """A modality's hidden layers at each level as vectors (B, X); an encoder of one layer gives its vector."""
    maps = encoded.stages or (encoded.pooled,)
    mask = encoded.mask if encoded.stage_mask is None else encoded.stage_mask
    return [squeezed(one, mask, encoded.present) for one in maps[len(maps) - levels :]]


def most_steps(spec: ModalitySpec, encoder: Encoder) -> int:
    """How many steps an encoder gives of the longest sample."""
    if spec.kind in ("tokens", "sequence", "bag"):
        return min(encoder.steps or spec.shape[0], spec.shape[0])
    if spec.kind == "text":  # A byte is no step: only the encoder knows how many it makes of a text.
        return encoder.steps or spec.shape[0]
    training, at = encoder.training, next(encoder.parameters(), torch.empty(0)).device
    with torch.no_grad():
        one = torch.ones(1, dtype=torch.bool, device=at)
        found: Encoded = encoder.eval()(torch.zeros(1, *spec.shape, device=at), None, one)
    encoder.train(training)
    return found.tokens.shape[1]


def one_step_each(task: TaskSpec, encoders: nn.ModuleDict) -> bool:
    """Whether no modality has more than one step, so that attention over steps has nothing to choose from."""
    found = _named(encoders)
    return all(most_steps(spec, found[spec.name]) == 1 for spec in task.modalities)


def _named(encoders: nn.ModuleDict) -> Mapping[str, Encoder]:
    return cast(Mapping[str, Encoder], dict(encoders.items()))
