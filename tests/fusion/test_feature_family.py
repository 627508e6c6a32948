"""The strategies that fuse vectors, against their formulas written out in numpy with the same weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fusionbench.core.catalogue import load
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalityKind
from fusionbench.fusion.base import FusionModule
from fusionbench.fusion.embrace import embraced
from fusionbench.fusion.modality_dropout import kept
from fusionbench.fusion.multiplicative import MultiplicativeFusion
from fusionbench.testing.samples import WIDTH, batch_of, built, options_of, setting_of, task_of
from fusionbench.testing.scale import encodings

Array = NDArray[Any]
VECTORS: tuple[ModalityKind, ...] = ("vector",) * 5


def numpy_of(tensor: Tensor) -> Array:
    return tensor.detach().numpy().astype(np.float64)


def affine(module: FusionModule, path: str, x: Array) -> Array:
    """W x + b of the linear layer at a path."""
    layer = module.get_submodule(path)
    assert isinstance(layer, nn.Linear)
    return x @ numpy_of(layer.weight).T + (0 if layer.bias is None else numpy_of(layer.bias))


def normal(x: Array) -> Array:
    """What a head reads of one part: mean 0 and variance 1 over its units, zeros where all are alike."""
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def mlp(module: FusionModule, path: str, x: Array, parts: int = 1) -> Array:
    """The MLP head at a path, of so many parts of one width side by side."""
    x = normal(x.reshape(parts, -1)).flatten()
    return affine(module, f"{path}.4", np.maximum(affine(module, f"{path}.1", x), 0))


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softmax(x: Array) -> Array:
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


# Each of the following gives the logits of one sample from the modalities that it has: {index: vector}.


def max_by_hand(module: FusionModule, x: dict[int, Array]) -> Array:
    return mlp(module, "head", np.max([affine(module, f"projections.{m}", v) for m, v in x.items()], axis=0))


def product_by_hand(module: FusionModule, x: dict[int, Array]) -> Array:
    every = [x.get(m, np.zeros(WIDTH)) for m in range(len(module.task.names))]
    factors = [np.tanh(affine(module, f"projections.{m}", v)) for m, v in enumerate(every)]
    return mlp(module, "head", np.prod(factors, axis=0))


def gated_by_one_by_hand(module: FusionModule, x: dict[int, Array]) -> Array:
    gate = sigmoid(affine(module, "projections.m0", x[0])) if 0 in x else 1
    others = [affine(module, f"projections.m{m}", v) for m, v in x.items() if m > 0]
    return mlp(module, "head", gate * (np.sum(others, axis=0) if others else np.ones(7)))


def bilinear_by_hand(module: FusionModule, x: dict[int, Array]) -> Array:
    maps = module.get_submodule("maps")
    weight, bias = (numpy_of(parameter) for parameter in maps.parameters())
    count = len(module.task.names)
    h = [x[m] @ weight[m] + bias[m, 0] if m in x else np.ones(7) for m in range(count)]
    return mlp(module, "head", reduce(np.multiply.outer, h).flatten())


def deep_sets_by_hand(module: FusionModule, x: dict[int, Array]) -> Array:
    phi = [affine(module, "element.2", np.maximum(affine(module, "element.0", v), 0)) for v in x.values()]
    return mlp(module, "head", np.sum(phi, axis=0))


def film_by_hand(module: FusionModule, x: dict[int, Array]) -> Array:
    total = np.zeros(7)
    for m, v in x.items():
        gamma, beta = np.ones(7), np.zeros(7)
        for n in x.keys() - {m}:
            said = affine(module, f"generators.{n}", x[n])
            gamma, beta = gamma + said[:7], beta + said[7:]
        total += np.maximum(gamma * affine(module, f"features.{m}", v) + beta, 0)
    return mlp(module, "head", total)


def gated_scores_by_hand(module: FusionModule, x: dict[int, Array]) -> Array:
    """The scores of a sample's classes, (C,), by context gating with two experts for each."""
    h = affine(module, "features", normal(joined(module, x).reshape(-1, WIDTH)).flatten())
    z = normal(sigmoid(affine(module, "gate", h)) * h)
    choice, experts = affine(module, "choice", z).reshape(-1, 3), sigmoid(affine(module, "experts", z)).reshape(-1, 2)
    p = (softmax(choice)[:, :2] * experts).sum(1)
    return sigmoid(affine(module, "class_gate", p)) * p


def context_gating_by_hand(module: FusionModule, x: dict[int, Array]) -> Array:
    return np.log(gated_scores_by_hand(module, x))


def sum_by_hand(module: FusionModule, x: dict[int, Array]) -> Array:
    return mlp(module, "head", np.sum([affine(module, f"projections.{m}", v) for m, v in x.items()], axis=0))


def softmax_attention_by_hand(module: FusionModule, x: dict[int, Array]) -> Array:
    features = np.stack([np.maximum(affine(module, f"features.{m}", normal(v)), 0) for m, v in x.items()])
    scores = [affine(module, "score", np.tanh(affine(module, f"keys.{m}", normal(v)))).item() for m, v in x.items()]
    return affine(module, "classifier", softmax(np.array(scores)) @ features)


def multiplicative_by_hand(module: FusionModule, x: dict[int, Array]) -> Array:
    assert isinstance(module, MultiplicativeFusion)
    h = affine(module, "linear", joined(module, x))
    for (m, n), tensor in zip(module.pairs, numpy_of(module.tensors), strict=True):
        if m in x and n in x:
            h = h + np.einsum("i,ijh,j->h", x[m], tensor.reshape(WIDTH, WIDTH, -1), x[n])
    return mlp(module, "head", h)


def concatenated_by_hand(module: FusionModule, x: dict[int, Array]) -> Array:
    return mlp(module, "head", joined(module, x), parts=len(module.task.names))


def embrace_by_hand(module: FusionModule, x: dict[int, Array]) -> Array:
    docked = [np.maximum(affine(module, f"docking.{m}", v), 0) for m, v in x.items()]
    return mlp(module, "head", np.mean(docked, axis=0))


def joined(module: FusionModule, x: dict[int, Array]) -> Array:
    return np.concatenate([x.get(m, np.zeros(WIDTH)) for m in range(len(module.task.names))])


BY_HAND: dict[str, Callable[[FusionModule, dict[int, Array]], Array]] = {
    "concat": concatenated_by_hand,
    "sum": sum_by_hand,
    "max": max_by_hand,
    "product": product_by_hand,
    "gated_by_one": gated_by_one_by_hand,
    "bilinear": bilinear_by_hand,
    "deep_sets": deep_sets_by_hand,
    "film": film_by_hand,
    "context_gating": context_gating_by_hand,
    "softmax_attention": softmax_attention_by_hand,
    "multiplicative": multiplicative_by_hand,
    "embrace": embrace_by_hand,
    "modality_dropout": concatenated_by_hand,
}


@pytest.mark.parametrize("strategy", BY_HAND)
@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("absent", [None, 0, 1])
def test_a_strategy_is_its_formula_over_the_modalities_that_are_there(
    strategy: str, count: int, absent: int | None
) -> None:
    task = task_of(VECTORS[:count])
    module, batch = built(strategy, task).eval(), batch_of(task)
    if absent is not None:
        batch.present[f"m{absent}"] = torch.arange(6) % 2 == 0  # Half of the samples lack it.
    encoded = module.encode(batch)
    expected = []
    for row in range(6):
        here = {m: one for m, one in enumerate(encoded.values()) if one.present[row]}
        expected.append(BY_HAND[strategy](module, {m: numpy_of(one.pooled[row]) for m, one in here.items()}))
    np.testing.assert_allclose(numpy_of(module.fuse(encoded).logits), np.stack(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("strategy", BY_HAND)
def test_a_sample_without_any_modality_has_finite_logits_and_gradients(strategy: str) -> None:
    module = built(strategy, task_of(VECTORS[:3]))
    x = torch.zeros(4, 3, WIDTH)
    present = torch.tensor([[True, True, True], [False, False, False], [True, False, False], [False, True, True]])
    logits = module.fuse(encodings(x, present)).logits
    torch.autograd.backward(logits.square().sum())
    assert logits.isfinite().all()
    for name, parameter in module.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("strategy", ["max", "product", "gated_by_one", "deep_sets", "film", "softmax_attention"])
def test_hidden_below_one_is_refused(strategy: str) -> None:
    task = task_of(VECTORS[:2])
    options = options_of(strategy, task) | {"hidden": 0}
    with pytest.raises(UserError, match=rf"'{strategy}': hidden is 0; it must be an integer of at least 1"):
        load("strategy", strategy)(setting_of(task), **options)


@pytest.mark.parametrize("strategy", ["multiplicative", "embrace"])
def test_hidden_below_one_is_refused_there_too(strategy: str) -> None:
    with pytest.raises(UserError, match=rf"'{strategy}': hidden is -1; it must be an integer of at least 1"):
        load("strategy", strategy)(setting_of(task_of(VECTORS[:2])), hidden=-1)


def test_mixtures_below_one_are_refused() -> None:
    with pytest.raises(UserError, match="'context_gating': mixtures is 0; it must be an integer of at least 1"):
        load("strategy", "context_gating")(setting_of(task_of(VECTORS[:2])), mixtures=0)


@pytest.mark.parametrize("drop", [-0.1, 1.0])
def test_a_probability_of_dropping_out_of_range_is_refused(drop: float) -> None:
    with pytest.raises(UserError, match=rf"'modality_dropout': drop is {drop}; it must be at least 0 and below 1"):
        load("strategy", "modality_dropout")(setting_of(task_of(VECTORS[:2])), drop=drop)


def test_context_gating_gives_logits_of_its_scores_where_several_classes_are_true() -> None:
    task = task_of(VECTORS[:3], "multilabel")
    module, batch = built("context_gating", task).eval(), batch_of(task)
    encoded = module.encode(batch)
    for row, logits in enumerate(numpy_of(module.fuse(encoded).logits)):
        here = {m: numpy_of(one.pooled[row]) for m, one in enumerate(encoded.values())}
        np.testing.assert_allclose(sigmoid(logits), gated_scores_by_hand(module, here), rtol=1e-4)


@pytest.mark.parametrize("classes", [2, 40, 4000])
def test_context_gating_starts_near_one_label_a_sample(classes: int) -> None:
    torch.manual_seed(0)
    task = replace(task_of(VECTORS[:2], "multilabel"), classes=classes)
    chances = load("strategy", "context_gating")(setting_of(task)).eval().predict(batch_of(task)).logits.sigmoid()
    assert 0.3 < chances.mean() * classes < 2


@pytest.mark.parametrize("scale", [1e2, 1e4])
def test_context_gating_is_finite_however_sure_its_experts_are(scale: float) -> None:
    module = built("context_gating", task_of(VECTORS[:2], "multilabel"))
    x = scale * torch.randn(4, 2, WIDTH)
    logits = module.fuse(encodings(x, torch.ones(4, 2, dtype=torch.bool))).logits
    torch.autograd.backward(logits.sum())
    assert logits.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in module.parameters())


def test_another_modality_may_be_the_gate() -> None:
    task = task_of(VECTORS[:2])
    module = load("strategy", "gated_by_one")(setting_of(task), hidden=7, gate="m1").eval()
    encoded = module.encode(batch_of(task))
    for row, logits in enumerate(numpy_of(module.fuse(encoded).logits)):
        value, gating = (numpy_of(encoded[name].pooled[row]) for name in ("m0", "m1"))
        gate = sigmoid(affine(module, "projections.m1", gating))
        expected = mlp(module, "head", gate * affine(module, "projections.m0", value))
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_a_gate_has_to_be_a_modality_and_to_have_something_to_gate() -> None:
    plugin = load("strategy", "gated_by_one")
    with pytest.raises(UserError, match="no modality 'm7'"):
        plugin(setting_of(task_of(VECTORS[:2])), gate="m7")
    assert plugin.unsuitable(setting_of(task_of(VECTORS[:1]))) == "one modality gates another; this task has one only"


def test_deep_sets_does_not_know_the_order_of_the_modalities() -> None:
    module = built("deep_sets", task_of(VECTORS[:3])).eval()
    x, present = torch.randn(4, 3, WIDTH), torch.ones(4, 3, dtype=torch.bool)
    turned = module.fuse(encodings(x[:, [2, 0, 1]], present)).logits
    torch.testing.assert_close(turned, module.fuse(encodings(x, present)).logits)


def test_embracement_takes_each_unit_from_one_present_modality_all_as_often() -> None:
    torch.manual_seed(0)
    marks = torch.tensor([1.0, 10.0, 100.0])[None, :, None].expand(2, 3, 6000)
    taken = embraced(marks, torch.tensor([[True, True, True], [True, False, True]]))
    counts = torch.stack([(taken == mark).float().mean(1) for mark in (1.0, 10.0, 100.0)], 1)
    torch.testing.assert_close(counts, torch.tensor([[1 / 3, 1 / 3, 1 / 3], [0.5, 0, 0.5]]), rtol=0, atol=0.03)
    assert embraced(marks, torch.zeros(2, 3, dtype=torch.bool)).eq(0).all()


def test_modality_dropout_drops_as_often_as_it_says_but_never_all() -> None:
    torch.manual_seed(0)
    present = torch.ones(20_000, 2, dtype=torch.bool)
    stay = kept(present, 0.3)
    assert stay.any(1).all()
    assert abs(stay.float().mean().item() - (0.7 + 0.09 / 2)) < 0.01  # In 0.09 of the samples one of two is kept.
    present[:, 0] = False
    assert torch.equal(kept(present, 0.9), present)


def test_dropping_and_drawing_end_with_training() -> None:
    for strategy in ("embrace", "modality_dropout"):
        task = task_of(VECTORS[:3])
        module, batch = built(strategy, task), batch_of(task, 32)
        first, second = (module.train().predict(batch).logits for _ in range(2))
        assert not torch.equal(first, second)
        first, second = (module.eval().predict(batch).logits for _ in range(2))
        assert torch.equal(first, second)


def test_each_pair_of_modalities_has_one_tensor() -> None:
    module: Any = built("multiplicative", task_of(VECTORS[:4]))
    assert module.pairs == list(combinations(range(4), 2))
    assert len(module.tensors) == 6
