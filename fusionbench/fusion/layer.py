"""A strategy as a layer: the user's own vectors or tokens in, logits out.

>>> import torch
>>> from fusionbench.fusion.layer import layer
>>> fusion = layer("gated", widths={"image": 512, "text": 768}, classes=10)
>>> fusion({"image": torch.randn(4, 512), "text": torch.randn(4, 20, 768)}).shape
torch.Size([4, 10])
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fusionbench.core.catalogue import checked_options, describe, load, with_later
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalitySpec, TaskKind, TaskSpec
from fusionbench.fusion.base import FusionModule, Setting
from fusionbench.plan.suite import Choice


def layer(
    name: str,
    *,
    widths: Mapping[str, int],
    classes: int,
    kind: TaskKind = "multiclass",
    head_width: int = 128,
    width: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> FusionModule:
    """One strategy behind a linear projection of each modality.

    Its `forward(inputs, masks=None, present=None)` takes dicts by modality: inputs (B, F) or (B, T, F) of the widths
    given, masks bool (B, T) for those with steps, present bool (B,); it gives logits (B, classes), or numbers that are
    standardised unless a Trainer has seen those to predict. It is an
    `nn.Module` to put into one's own model, and a LightningModule that any Trainer can fit.

    Args:
        name: a strategy of the catalogue, or the dotted name of one's own module.
        widths: by modality, the features F of its vectors or steps.
        classes: how many; of a regression, numbers.
        kind: multiclass (one of them is true), multilabel (each may be) or regression.
        head_width: W, the hidden width of every MLP head.
        width: D, what each modality is projected to; None: 128.
        options: the strategy's own; the rest keep their defaults.

    Raises:
        UserError: no such strategy or option, a value out of range, or a strategy that cannot work on these inputs.
    """
    if not widths or min(widths.values()) < 1 or classes < 1:
        raise UserError(f"layer('{name}'): widths and classes must be positive, got {dict(widths)} and {classes}")
    chosen = 128 if width is None else width
    task = TaskSpec(tuple(ModalitySpec(m, "vector", (features,)) for m, features in widths.items()), classes, kind)
    encoders = dict.fromkeys(widths, Choice("linear", {"width": chosen}))
    setting = Setting(task, encoders, width=chosen, head_width=head_width)

    def place(*path: object) -> str:
        return ".".join([f"layer('{name}')", *map(str, path)])

    filled = checked_options(describe("strategy", name), options or {}, place)
    strategy = load("strategy", name)
    reason = strategy.refusal(setting)
    if reason:
        raise UserError(f"layer('{name}'): {reason}")
    module: FusionModule = strategy(setting, **with_later("strategy", name, filled))
    return module
