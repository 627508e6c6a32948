"""Strategies against their formulas, written out with other means: numpy, or a module that torch ships."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fusionbench.core.task import ModalityKind
from fusionbench.fusion._attention import CrossAttention
from fusionbench.fusion.gated import GatedFusion
from fusionbench.fusion.low_rank import LowRankFusion
from fusionbench.fusion.sum import SumFusion
from fusionbench.testing.samples import WIDTH, batch_of, built, logits_of, task_of

Array = NDArray[Any]
LETTERS = "abcde"
VECTORS: tuple[ModalityKind, ...] = ("vector",) * 5


def numpy_of(tensor: Tensor) -> Array:
    return tensor.detach().numpy().astype(np.float64)


def inputs(count: int, size: int = 5) -> tuple[Tensor, Tensor]:
    """Random pooled vectors (B, M, D); all modalities present."""
    draw = torch.Generator().manual_seed(3)
    return torch.randn(size, count, WIDTH, generator=draw), torch.ones(size, count, dtype=torch.bool)


def multilinear(module: LowRankFusion, x: Tensor, members: list[int]) -> Array:
    """The form of some modalities by its full weight tensor: H x (D+1) x ... x (D+1)."""
    factors = numpy_of(module.factors).reshape(len(module.factors), WIDTH + 1, module.rank, -1)
    letters = LETTERS[: len(members)]
    tensor = np.einsum(",".join(f"{k}rh" for k in letters) + f"->h{letters}", *factors[members])
    rows = []
    for sample in numpy_of(x):
        z = [np.append(sample[m], 1.0) for m in members]
        rows.append(np.einsum(f"h{letters},{','.join(letters)}->h", tensor, *z))
    return np.stack(rows)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_low_rank_is_the_full_tensor_product(count: int) -> None:
    module = built("low_rank", task_of(VECTORS[:count]))
    assert isinstance(module, LowRankFusion)
    x, _ = inputs(count)
    found = numpy_of(module.joint(x))
    np.testing.assert_allclose(found, multilinear(module, x, list(range(count))), rtol=1e-4, atol=1e-5)


def test_an_absent_modality_leaves_its_constant_in_the_product_of_low_rank() -> None:
    module = built("low_rank", task_of(("vector",) * 3))
    assert isinstance(module, LowRankFusion)
    x, _ = inputs(3)
    x[:, 1] = 0  # Its z is [0; 1].
    module.factors.data[1, -1] = torch.arange(21.0)
    found = numpy_of(module.joint(x))
    np.testing.assert_allclose(found, multilinear(module, x, [0, 1, 2]), rtol=1e-4, atol=1e-5)
    module.factors.data[1, -1] = 0  # The constant alone decides how much of the others is left.
    assert module.joint(x).eq(0).all()


def gated_by_hand(module: GatedFusion, x: Array) -> Array:
    """sum_m g_m * tanh(W_m x_m), (B, H): the formula of Arevalo et al. 2017."""
    count = x.shape[1]
    weights = [numpy_of(weight) for weight in module.values.parameters()]
    h = np.stack([np.tanh(x[:, m] @ weights[m].T) for m in range(count)], 1)
    g = 1 / (1 + np.exp(-x.reshape(len(x), -1) @ numpy_of(module.gate.weight).T))
    if count == 2:
        return g * h[:, 0] + (1 - g) * h[:, 1]
    total = np.zeros_like(h[:, 0])
    for m, gate in enumerate(np.split(g, count, axis=1)):
        total += gate * h[:, m]
    return total


@pytest.mark.parametrize("count", [2, 3, 5])
def test_gated_is_the_gated_multimodal_unit(count: int) -> None:
    task = task_of(VECTORS[:count])
    module, batch = built("gated", task).eval(), batch_of(task)
    assert isinstance(module, GatedFusion)
    encoded = module.encode(batch)
    x = numpy_of(torch.stack([one.pooled for one in encoded.values()], 1))
    head = gated_by_hand(module, x)
    head = (head - head.mean(1, keepdims=True)) / np.sqrt(head.var(1, keepdims=True) + 1e-5)
    first, last = module.head[1], module.head[4]
    assert isinstance(first, nn.Linear)
    assert isinstance(last, nn.Linear)
    hidden = np.maximum(head @ numpy_of(first.weight).T + numpy_of(first.bias), 0)
    expected = hidden @ numpy_of(last.weight).T + numpy_of(last.bias)
    np.testing.assert_allclose(numpy_of(module.fuse(encoded).logits), expected, rtol=1e-4, atol=1e-5)


def test_two_gates_sum_to_one_and_one_alone_is_one() -> None:
    module = built("gated", task_of(("vector", "vector")))
    assert isinstance(module, GatedFusion)
    x, present = inputs(2)
    torch.testing.assert_close(module.gates(x, present).sum(1), torch.ones(5, 7))
    present[:, 0] = False
    torch.testing.assert_close(module.gates(x, present), torch.stack([torch.zeros(5, 7), torch.ones(5, 7)], 1))


def test_cross_attention_is_that_of_torch() -> None:
    ours, theirs = CrossAttention(WIDTH, heads=2), nn.MultiheadAttention(WIDTH, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key_value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, torch.zeros(2 * WIDTH)]))
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    draw = torch.Generator().manual_seed(5)
    asking, answering = torch.randn(4, 3, WIDTH, generator=draw), torch.randn(4, 6, WIDTH, generator=draw)
    mask = torch.arange(6) < torch.tensor([[6], [1], [3], [5]])
    expected, _ = theirs(asking, answering, answering, key_padding_mask=~mask)
    torch.testing.assert_close(ours(asking, answering, mask), expected)


def test_cross_attention_to_nothing_is_zero_with_a_finite_gradient() -> None:
    attention = CrossAttention(WIDTH, heads=2)
    asking, answering = torch.randn(2, 3, WIDTH, requires_grad=True), torch.zeros(2, 4, WIDTH)
    mask = torch.tensor([[True, True, False, False], [False] * 4])
    heard = attention(asking, answering, mask)
    heard.square().sum().backward()
    assert heard[1].eq(0).all()
    assert asking.grad is not None
    assert asking.grad.isfinite().all()


def test_late_is_the_mean_of_its_own_classifiers() -> None:
    task = task_of(("vector", "vector", "vector"))
    module, batch = built("late", task).eval(), batch_of(task)
    unimodal = module.predict(batch).unimodal
    expected = np.mean([numpy_of(one) for one in unimodal.values()], axis=0)
    np.testing.assert_allclose(numpy_of(logits_of(module, batch)), expected, rtol=1e-5, atol=1e-6)
    batch.present["m1"] = torch.zeros(6, dtype=torch.bool)
    expected = (numpy_of(unimodal["m0"]) + numpy_of(unimodal["m2"])) / 2
    np.testing.assert_allclose(numpy_of(logits_of(module, batch)), expected, rtol=1e-5, atol=1e-6)


def test_sum_leaves_out_the_absent_with_its_bias() -> None:
    task = task_of(("vector", "vector"))
    module, batch = built("sum", task).eval(), batch_of(task)
    assert isinstance(module, SumFusion)
    batch.present["m1"] = torch.zeros(6, dtype=torch.bool)
    alone = module.head(module.projections[0](module.encode(batch)["m0"].pooled))
    torch.testing.assert_close(logits_of(module, batch), alone)
