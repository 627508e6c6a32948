"""What is left of attention where each modality has one step, and that a row says so; dropout inside of fusions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from fusionbench.core.catalogue import describe, load
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalityKind
from fusionbench.fusion._stages import most_steps, one_step_each
from fusionbench.fusion.base import FusionModule
from fusionbench.plan.suite import Choice
from fusionbench.testing.samples import TINY, WIDTH, batch_of, built, logits_of, setting_of, task_of

VECTORS: tuple[ModalityKind, ...] = ("vector",) * 3
STEPPED: tuple[ModalityKind, ...] = ("vector", "sequence", "image")
SAID = ("co_attention", "cross_attention", "hierarchical_attention", "interleave", "memory")
OWN_DROPOUT = {
    "bottleneck": 0.0,
    "co_attention": 0.5,
    "cross_attention": 0.1,
    "early_transformer": 0.1,
    "late_transformer": 0.0,
    "memory": 0.0,
    "perceiver": 0.0,
    "shift_gate": 0.5,
}
"""By strategy: what acts inside of it unless a suite says otherwise; the paper's, where there is one."""


def idle(module: FusionModule) -> list[str]:
    """The fusion's parameters that a large change leaves without any effect on the logits."""
    batch, found = batch_of(module.task), []
    before = logits_of(module, batch)
    for path, parameter in module.named_parameters():
        kept = parameter.detach().clone()
        with torch.no_grad():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
            moved = (logits_of(module, batch) - before).abs().max()
            parameter.copy_(kept)
        if moved < 1e-6:
            found.append(path)
    return found


@pytest.mark.parametrize("strategy", ["co_attention", "hierarchical_attention"])
def test_the_note_counts_the_parameters_that_do_nothing(strategy: str) -> None:
    module = built(strategy, task_of(VECTORS))
    number = sum(module.get_parameter(path).numel() for path in idle(module))
    assert number > 0
    assert f" {number} parameters" in module.notes()[0]


def test_queries_and_keys_of_cross_attention_are_idle_and_counted() -> None:
    module = built("cross_attention", task_of(VECTORS))
    assert idle(module) == [path for path, _ in module.named_parameters() if ".query." in path]
    blocks = 3 * 2 * TINY["layers"]  # The keys share a matrix with the values, which do count.
    assert f" {blocks * (2 * WIDTH * WIDTH + WIDTH)} parameters" in module.notes()[0]


@pytest.mark.parametrize("strategy", SAID)
def test_a_row_says_so_only_where_no_modality_has_steps(strategy: str) -> None:
    assert "every modality has one step" in built(strategy, task_of(VECTORS)).notes()[0]
    assert built(strategy, task_of(STEPPED)).notes() == ()


def test_the_steps_of_every_kind_are_known() -> None:
    for kind, steps in (("vector", 1), ("image", 4), ("sequence", 4), ("tokens", 4), ("bag", 4)):
        module = built("concat", task_of((kind,)))  # type: ignore[arg-type]
        encoder: Any = module.encoders["m0"]
        assert most_steps(module.task.modalities[0], encoder) == steps
        assert one_step_each(module.task, module.encoders) == (kind == "vector")
        assert encoder.training


def test_co_attention_is_refused_on_vectors_but_not_where_a_layer_is_given_steps() -> None:
    kind, setting = load("strategy", "co_attention"), setting_of(task_of(VECTORS))
    assert "sum of the encodings" in kind.unsuitable(setting)
    assert kind.unsuitable(setting_of(task_of(STEPPED))) == ""
    projected = dict.fromkeys(setting.task.names, Choice("linear", {"width": WIDTH}))
    assert kind.unsuitable(replace(setting, encoders=projected)) == ""


def test_late_transformer_is_not_early_transformer_on_vectors() -> None:
    early, late = (built(name, task_of(VECTORS)) for name in ("early_transformer", "late_transformer"))
    own = {name for name, _ in late.named_parameters()} - {name for name, _ in early.named_parameters()}
    assert own == {f"projections.{m}.{part}" for m in range(3) for part in ("weight", "bias")}


@pytest.mark.parametrize(("strategy", "expected"), OWN_DROPOUT.items())
def test_dropout_inside_is_the_strategys_own(strategy: str, expected: float) -> None:
    setting = replace(setting_of(task_of(("sequence", "sequence"))), dropout=0.75)
    assert describe("strategy", strategy).options["dropout"].default == expected

    def rates(**options: float) -> set[float]:
        module = load("strategy", strategy)(setting, **{"heads": 2} if strategy == "perceiver" else {}, **options)
        inside = [p for path, p in module.named_modules() if not path.startswith(("encoders.", "head."))]
        return {part.p for part in inside if isinstance(part, nn.Dropout)}

    assert rates() == {expected}
    assert rates(dropout=0.25) == {0.25}
    for value in (-0.1, 1.0, float("nan")):
        with pytest.raises(UserError, match=f"'{strategy}': dropout is {value}; it must be at least 0 and below 1"):
            rates(dropout=value)


@pytest.mark.parametrize(
    "strategy", ["central", "hierarchical_attention", "channel_attention", "embrace", "interleave"]
)
def test_the_budgets_dropout_acts_in_heads_and_encoders_alone(strategy: str) -> None:
    setting = replace(setting_of(task_of(("sequence", "sequence"))), dropout=0.75)
    module = load("strategy", strategy)(setting)
    active = [path for path, part in module.named_modules() if isinstance(part, nn.Dropout) and part.p]
    assert active
    assert all(path.startswith(("encoders.", "head.", "heads.")) for path in active)
