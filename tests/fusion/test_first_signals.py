"""Signals before anything is learned: that no size, constant or round-off of theirs decides what is learned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from parity_models import read_by_head
from torch import Tensor

from fusionbench.core.catalogue import load
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalityKind, ModalitySpec, TaskSpec
from fusionbench.fusion import compact_bilinear
from fusionbench.fusion._bilinear import SMOOTH, power_normalised
from fusionbench.fusion.base import FusionModule, Setting
from fusionbench.plan.suite import Choice
from fusionbench.testing.samples import batch_of, options_of, setting_of, task_of
from fusionbench.testing.scale import encodings, half_absent_encoded, heads_watched, unit_normal

WIDTH = 128
VECTORS: tuple[ModalityKind, ...] = ("vector",) * 3
PRODUCTS = ["low_rank", "mutan", "mlb", "product"]
"""Multiply factors that start around a constant, so that few modalities or many do not vanish."""


def of_usual_size(strategy: str, count: int = 2, **options: Any) -> FusionModule:
    """A strategy with its defaults on encodings as wide as those of the shipped suites."""
    task = TaskSpec(tuple(ModalitySpec(f"m{i}", "vector", (WIDTH,)) for i in range(count)), classes=10)
    torch.manual_seed(0)
    encoders = {name: Choice("linear", {"width": WIDTH}) for name in task.names}
    module: FusionModule = load("strategy", strategy)(Setting(task, encoders, WIDTH, WIDTH), **options)
    return module.eval()


@pytest.mark.parametrize("strategy", PRODUCTS)
@pytest.mark.parametrize("count", [2, 3])
def test_a_product_is_as_large_when_a_modality_is_absent(strategy: str, count: int) -> None:
    module = of_usual_size(strategy, count)
    x = torch.randn(512, count, WIDTH, generator=torch.Generator().manual_seed(1))
    present = torch.ones(512, count, dtype=torch.bool)
    before = read_by_head(module, encodings(x, present)).mean().item()
    present[:, 1] = False
    after = read_by_head(module, encodings(x * present[..., None], present)).mean().item()
    # With 1 in the place of the constant it went from 1.0 to 3.2 for mutan (10^(1/2)), to 2 for low_rank (4^(1/2)).
    assert after == pytest.approx(before, abs=0.35)


def test_what_is_left_of_an_absent_factor_is_its_learned_constant_by_hand() -> None:
    task = TaskSpec(tuple(ModalitySpec(name, "vector", (1,)) for name in ("a", "b")), classes=2)
    encoders = {name: Choice("linear", {"width": 1}) for name in task.names}
    module = load("strategy", "mutan")(Setting(task, encoders, 1, 4), rank=2, hidden=1)
    module.project.weight.data.fill_(0.5)
    module.project.bias.data.fill_(3.0)  # Of an absent modality it would squash to 1, where [0; 1] has 0.
    module.core.weight.data.copy_(torch.tensor([[[2.0, 3.0]], [[4.0, 5.0]]]))
    module.core.bias.data.copy_(torch.tensor([[[7.0, 11.0]], [[13.0, 17.0]]]))
    x, present = torch.tensor([[[2.0], [0.0]]]), torch.tensor([[True, False]])
    t = np.tanh(0.5 * 2 + 3)
    assert module.joint(x, present).item() == pytest.approx((2 * t + 7) * 13 + (3 * t + 11) * 17, rel=1e-6)


@pytest.mark.parametrize("strategy", ["mfb", "mfh", "block", "compact_bilinear"])
def test_a_normalised_product_is_as_large_when_a_modality_is_absent(strategy: str) -> None:
    module = of_usual_size(strategy)
    x = torch.randn(64, 2, WIDTH, generator=torch.Generator().manual_seed(1))
    present = torch.ones(64, 2, dtype=torch.bool)
    present[::2, 1] = False
    z = read_by_head(module, encodings(x * present[..., None], present))
    torch.testing.assert_close(z.square().mean(1), torch.ones(64), rtol=0, atol=0.01)


@pytest.mark.parametrize("strategy", PRODUCTS)
def test_a_constant_that_all_units_start_from_does_not_reach_the_head(strategy: str) -> None:
    module = of_usual_size(strategy)
    encoded = unit_normal(module.task.names, WIDTH, 0)
    with torch.no_grad(), heads_watched(module) as seen:
        module.fuse(half_absent_encoded(encoded, "m1"))
    x = seen["head.0"]
    assert x.mean(0).square().mean().sqrt() < 0.35 * x.std(0).square().mean().sqrt()


@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e2])
def test_softmax_attention_weighs_small_encodings_as_large_ones(scale: float) -> None:
    module: Any = of_usual_size("softmax_attention")
    encoded = unit_normal(module.task.names, WIDTH, 0)
    scaled = {name: replace(one, pooled=scale * one.pooled) for name, one in encoded.items()}
    expected, found = module.fuse(encoded), module.fuse(scaled)
    torch.testing.assert_close(found.weights, expected.weights, rtol=0, atol=0.02)
    assert found.weights.std(0).min() > 0.01


@pytest.mark.parametrize("strategy", ["softmax_attention", "context_gating", "graph"])
def test_signals_stay_as_they_were_where_a_suite_switches_the_norm_off(strategy: str) -> None:
    task = task_of(VECTORS[:2])
    setting = replace(setting_of(task), head_norm=False)
    module: Any = load("strategy", strategy)(setting, **options_of(strategy, task)).eval()
    with torch.no_grad(), heads_watched(module) as seen:
        encoded = module.encode(batch_of(task))
        module.fuse(encoded)
    pooled = torch.stack([one.pooled for one in encoded.values()], 1)
    first = next(iter(seen.values()))
    assert torch.equal(first.flatten(1), pooled.flatten(1))


def test_graph_drops_by_its_own_option_alone() -> None:
    task = task_of(VECTORS)
    usual, drop = setting_of(task), replace(setting_of(task), dropout=0.5)
    encoded = unit_normal(task.names, usual.width, 0)

    def nodes(setting: Setting, **options: Any) -> Tensor:
        torch.manual_seed(0)
        module: Any = load("strategy", "graph")(setting, **options).train()
        with heads_watched(module) as seen:
            module.fuse(encoded)
        return seen["head.0"]

    assert torch.equal(nodes(drop), nodes(usual))
    assert not torch.equal(nodes(usual, dropout=0.5), nodes(usual))
    with pytest.raises(UserError, match=r"'graph': dropout is 1.0; it must be at least 0 and below 1"):
        nodes(usual, dropout=1.0)


def moved_by_round_off(module: Any, x: Tensor, smooth: float) -> float:
    """How far the transforms' round-off moves any gradient of encodings whose second modality is absent."""
    present = torch.tensor([[True, False]]).expand(len(x), -1)
    wanted = torch.randn(len(x), module.sketch, generator=torch.Generator().manual_seed(2))

    def exact(leaf: Tensor) -> Tensor:  # One modality alone: its sketch, without transforms.
        return leaf.new_zeros(len(x), module.sketch).index_add(1, module.bins[0], leaf[:, 0] * module.signs[0])

    gradients = []
    for z_of in (lambda leaf: module.joint(leaf, present), exact):
        leaf = x.clone().requires_grad_()
        torch.autograd.backward((power_normalised(z_of(leaf), smooth) * wanted).sum())
        assert leaf.grad is not None
        gradients.append(leaf.grad)
    return (gradients[0] - gradients[1]).abs().max().item()


def test_round_off_where_nothing_falls_does_not_rule_the_gradient_of_compact_bilinear() -> None:
    module: Any = of_usual_size("compact_bilinear")
    x = 0.1 * torch.randn(64, 2, WIDTH, generator=torch.Generator().manual_seed(1))
    x[:, 1] = 0
    assert module.joint(x, torch.tensor([[True, False]])).abs().lt(1e-6).float().mean() > 0.8  # Zeros, but for it.
    assert moved_by_round_off(module, x, compact_bilinear.SMOOTH) < 0.5
    assert moved_by_round_off(module, x, 1e-6) > 2  # As it was: 11 here.


@pytest.mark.parametrize(("smooth", "steepest"), [(compact_bilinear.SMOOTH, 100), (SMOOTH, 1000)])
def test_a_smoothed_root_is_no_steeper_at_zero_than_it_says(smooth: float, steepest: float) -> None:
    z = torch.tensor([[0.0, 4.0]], requires_grad=True)
    torch.autograd.backward(
        power_normalised(z, smooth)[0, 0]
    )  # Its units have a size of sqrt((0 + 4) / 2) before the last step.
    assert z.grad is not None
    assert z.grad[0, 0].item() == pytest.approx(steepest / 2**0.5, rel=1e-3)
