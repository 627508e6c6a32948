"""Attention over steps against its formulas in numpy: co-attention and the hierarchical one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from token_samples import SEQUENCES, encodings, normed, shaken_module
from torch import Tensor

from fusionbench.core.batch import Encoded
from fusionbench.fusion.co_attention import CoAttentionFusion
from fusionbench.fusion.hierarchical_attention import HierarchicalAttentionFusion
from fusionbench.testing.samples import WIDTH

Array = NDArray[Any]


def numpy_of(tensor: Tensor) -> Array:
    return tensor.detach().numpy().astype(np.float64)


def softmax(scores: Array) -> Array:
    shares = np.exp(scores - scores.max())
    return shares / shares.sum()


def classified(module: Any, joint: Array) -> Array:
    """The MLP head, (H,) -> (C,)."""
    first, last = module.head[1], module.head[-1]
    hidden = np.maximum(numpy_of(first.weight) @ normed(joint) + numpy_of(first.bias), 0)
    return numpy_of(last.weight) @ hidden + numpy_of(last.bias)


def co_attention_by_hand(module: CoAttentionFusion, encoded: dict[str, Encoded], row: int) -> Array:
    """The paper's formula for one sample, a sum over the other modalities in H; nothing is masked."""
    x = {i: numpy_of(one.tokens[row][one.mask[row]]) for i, one in enumerate(encoded.values()) if one.present[row]}
    affinity = dict(zip(module.pairs, numpy_of(module.affinity), strict=True))
    u = [numpy_of(weight) for weight in module.projections.parameters()]
    w = [numpy_of(weight)[0] for weight in module.scores.parameters()]
    joint = np.zeros(WIDTH)
    for m, own in x.items():
        total = own @ u[m].T
        for n in x.keys() - {m}:
            match = np.tanh(own @ affinity[m, n] @ x[n].T if m < n else (x[n] @ affinity[n, m] @ own.T).T)
            total = total + match @ (x[n] @ u[n].T)
        joint += softmax(np.tanh(total) @ w[m]) @ own
    return classified(module, joint)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_co_attention_is_its_formula_in_numpy(count: int) -> None:
    module, encoded = shaken_module("co_attention", SEQUENCES[:1] * count), encodings(count)
    assert isinstance(module, CoAttentionFusion)
    expected = [co_attention_by_hand(module, encoded, row) for row in range(4)]
    np.testing.assert_allclose(numpy_of(module.fuse(encoded).logits), expected, rtol=1e-4, atol=1e-5)


def hierarchical_by_hand(module: HierarchicalAttentionFusion, encoded: dict[str, Encoded], row: int) -> Array:
    """The two levels for one sample, over what it has; nothing is masked."""
    names = [name for name, one in encoded.items() if one.present[row]]
    scores, values = [], []
    for m, name in enumerate(encoded):
        if name in names:
            x = numpy_of(encoded[name].tokens[row][encoded[name].mask[row]])
            level: Any = module.within[m]
            found = np.tanh(x @ numpy_of(level.key.weight).T + numpy_of(level.key.bias))
            context = normed(softmax(found @ numpy_of(level.score.weight[0])) @ x)
            again = np.tanh(numpy_of(module.keys[m].get_parameter("weight")) @ context + numpy_of(module.constant))
            scores.append(numpy_of(module.score.weight[0]) @ again)
            values.append(numpy_of(module.values[m].get_parameter("weight")) @ context)
    return classified(module, softmax(np.array(scores)) @ np.array(values))


@pytest.mark.parametrize("count", [2, 3, 5])
def test_hierarchical_attention_is_its_formula_in_numpy(count: int) -> None:
    module, encoded = shaken_module("hierarchical_attention", SEQUENCES[:1] * count), encodings(count)
    assert isinstance(module, HierarchicalAttentionFusion)
    expected = [hierarchical_by_hand(module, encoded, row) for row in range(4)]
    prediction = module.fuse(encoded)
    np.testing.assert_allclose(numpy_of(prediction.logits), expected, rtol=1e-4, atol=1e-5)
    assert prediction.weights is not None
    torch.testing.assert_close(prediction.weights.sum(1), torch.ones(4))
    assert prediction.weights[1, 0] == 0
