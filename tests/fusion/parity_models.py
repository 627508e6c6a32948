"""What parity tests of several families share: our strategies over steps, with weights that are put into them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.core.catalogue import load
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.fusion.base import FusionModule, Setting
from fusionbench.plan.suite import Choice


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def ours(strategy: str, modalities: dict[str, tuple[int, int]], classes: int = 2, **options: Any) -> FusionModule:
    """The strategy over sequences of (steps, features), without the norm before its head, which is ours alone."""
    specs = tuple(ModalitySpec(name, "sequence", shape) for name, shape in modalities.items())
    width = specs[0].shape[1]
    encoders = {spec.name: Choice("linear", {"width": width}) for spec in specs}
    kind = "multiclass" if classes > 1 else "multilabel"
    setting = Setting(TaskSpec(specs, classes, kind), encoders, width, 7, head_norm=False)  # type: ignore[arg-type]
    module: FusionModule = load("strategy", strategy)(setting, **options)
    return module.eval()


def steps(tokens: Tensor, mask: Tensor | None = None) -> Encoded:
    """Steps (B, T, D) as an encoder gives them; all are real where no mask says otherwise."""
    mask = torch.ones(tokens.shape[:2], dtype=torch.bool) if mask is None else mask
    return Encoded(tokens.mean(1), tokens, mask, torch.ones(len(tokens), dtype=torch.bool))


def read_by_head(module: FusionModule, encoded: dict[str, Encoded]) -> Tensor:
    """What enters the head."""
    seen: list[Tensor] = []
    head: Any = module.head
    handle = head.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    with torch.no_grad():
        module.fuse(encoded)
    handle.remove()
    return seen[0]


def put(layer: nn.Module, weight: Tensor, bias: Tensor | None = None) -> None:
    """Weights and, where there is one, bias."""
    with torch.no_grad():
        layer.get_parameter("weight").copy_(weight)
        if bias is not None:
            layer.get_parameter("bias").copy_(bias)


def pair(arrays: dict[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    """A torch layer's weight and bias."""
    return arrays[f"{name}.weight"], arrays[f"{name}.bias"]
