"""EMAP: the additive function nearest to a model, which knows each modality but no two of them together.

    f^(x) = sum_m E[f given x_m] - (M - 1) E[f]        on logits, or standardised numbers

Expectations are over the modalities of N rows, each drawn by itself. M = 2: over all N^2 pairs,

    f^(a_i, b_i) = mean_j f(a_i, b_j) + mean_j f(a_j, b_i) - mean_jk f(a_j, b_k)

M > 2: over N of the N^(M-1) combinations of the others, in which each row of a modality occurs once (a Latin
hypercube), so that an additive model is its own projection there too. Streamed: N^2 passes (M > 2: M N^2) of one
sample through the fusion, of which sums alone are kept.

Source: Hessel & Lee 2020, "Does my multimodal model learn cross-modal interactions? It's harder to tell than you might
think!", arXiv:2010.06572; the form for M > 2 is ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from fusionbench.measure.bank import Places, spans

Outputs = Callable[[dict[str, Places]], Tensor]
"""What the model says of mixed samples: places among N rows by modality, (B,) each -> (B, C)."""


def projection(
    outputs: Outputs, names: Sequence[str], count: int, rng: np.random.Generator, tell: Callable[[int, int], None]
) -> Tensor:
    """The projection of a model at N rows, float64 (N, C).

    Args:
        outputs: of the model.
        names: of all modalities.
        count: N.
        rng: which combinations, where there are more than two modalities.
        tell: told how many passes of a batch are done, and how many there are.
    """
    orders = {name: np.arange(count) if len(names) <= 2 else rng.permutation(count) for name in names}
    if len(names) == 2:
        first, second = names
        cells = _summed(outputs, lambda i, k: {first: i, second: k}, count, tell, both=True)
        given = torch.stack(cells) / count
    else:
        sums = [
            _summed(outputs, lambda i, k, own=name: _others(orders, own, i, k), count, tell)[0]  # type: ignore[misc]
            for name in names
        ]
        given = torch.stack(sums) / count
    return given.sum(0) - (len(names) - 1) * given.mean((0, 1))


def _others(orders: dict[str, Places], own: str, i: Places, k: Places) -> dict[str, Places]:
    return {name: i if name == own else order[k] for name, order in orders.items()}


def _summed(
    outputs: Outputs,
    places: Callable[[Places, Places], dict[str, Places]],
    count: int,
    tell: Callable[[int, int], None],
    *,
    both: bool = False,
) -> list[Tensor]:
    """The sum over k of what is said of (i, k), for each i, (N, C); with `both` also the sum over i, for each k."""
    sums: list[Tensor] = []
    for done, (i, k) in enumerate(_pairs(count)):
        found = outputs(places(i, k)).double()
        if not sums:
            sums = [torch.zeros(count, found.shape[1], dtype=torch.float64) for _ in range(1 + both)]
        for total, index in zip(sums, (i, k), strict=False):
            total.index_add_(0, torch.from_numpy(index), found)
        tell(done + 1, len(list(spans(count * count))))
    return sums


def _pairs(count: int) -> Iterator[tuple[Places, Places]]:
    for span in spans(count * count):
        numbers = np.arange(span.start, min(span.stop, count * count))
        yield numbers // count, numbers % count
