"""How large the signal is that a strategy's heads read, before anything is learned: contract point 10.

    size = sqrt(mean over units of the variance over samples)     0.3 to 3

A smaller one, or one that is nearly the same for all samples, would have one learning rate rank first signals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.fusion.base import FusionModule
from fusionbench.fusion.blocks import HeadNorm

SMALLEST, LARGEST, SAMPLES = 0.3, 3.0, 512


def size_of(x: Tensor) -> float:
    """The root mean square over units of each unit's standard deviation over samples: (N, X) -> a number."""
    return x.float().var(0).mean().sqrt().item()


@contextmanager
def heads_watched(module: FusionModule) -> Iterator[dict[str, Tensor]]:
    """By head, by its path in the module, what it reads once the module has predicted."""
    seen: dict[str, Tensor] = {}
    hooks = []
    for path, part in module.named_modules():
        if isinstance(part, HeadNorm):

            def keep(_: nn.Module, __: object, output: Tensor, path: str = path) -> None:
                seen[path] = output.detach()

            hooks.append(part.register_forward_hook(keep))
    yield seen
    for hook in hooks:
        hook.remove()


def check_scale(module: FusionModule, batch: MultimodalBatch) -> None:
    """Point 10, on a batch of raw inputs: each head's input has a size of 0.3 to 3."""
    module.eval()
    with torch.no_grad(), heads_watched(module) as seen:
        module.predict(batch)
    _assert_sizes(seen)


def check_scale_of_fusion(module: FusionModule, encoded: Mapping[str, Encoded]) -> None:
    """Point 10, on encodings."""
    module.eval()
    with torch.no_grad(), heads_watched(module) as seen:
        module.fuse({name: encoded[name] for name in module.modalities_used()})
    _assert_sizes(seen)


def half_absent(batch: MultimodalBatch, name: str) -> MultimodalBatch:
    """The same with one modality absent in every second row."""
    return replace(batch, present=batch.present | {name: torch.arange(len(batch)) % 2 == 0})


def encodings(x: Tensor, present: Tensor) -> dict[str, Encoded]:
    """(B, M, D), bool (B, M) as what the encoders of m0, m1, ... give, one step each."""
    return {f"m{m}": Encoded(x[:, m], x[:, m : m + 1], present[:, m : m + 1], present[:, m]) for m in range(x.shape[1])}


def unit_normal(names: tuple[str, ...], width: int, seed: int) -> dict[str, Encoded]:
    """Encodings drawn from N(0, 1), of one step each."""
    draw = torch.Generator().manual_seed(seed)
    found = {}
    for name in names:
        pooled, present = torch.randn(SAMPLES, width, generator=draw), torch.ones(SAMPLES, dtype=torch.bool)
        found[name] = Encoded(pooled, pooled[:, None], present[:, None], present)
    return found


def half_absent_encoded(encoded: Mapping[str, Encoded], name: str) -> dict[str, Encoded]:
    """The same with one modality absent in every second row."""
    one = encoded[name]
    here = torch.arange(len(one.present)) % 2 == 0
    absent = Encoded(one.pooled * here[:, None], one.tokens * here[:, None, None], one.mask & here[:, None], here)
    return {**encoded, name: absent}


def _assert_sizes(seen: Mapping[str, Tensor]) -> None:
    assert seen, "it has no head whose input is normalised (HeadNorm)"
    for path, x in seen.items():
        size = size_of(x)
        assert SMALLEST <= size <= LARGEST, f"the input of '{path}' has a size of {size:.3g}, not 0.3 to 3"
