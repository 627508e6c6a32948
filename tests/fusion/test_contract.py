"""The contract of strategies.md, over every file in fusion/: a new strategy is tested the moment it exists."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import partial
from itertools import product
from typing import cast

import pytest
import torch
from shipped import TRAINED, WITH_HEAD

from fusionbench.core.catalogue import describe, load, names
from fusionbench.core.task import ModalityKind, TaskKind, TaskSpec
from fusionbench.testing.samples import ENCODERS, batch_of, built, logits_of, options_of, setting_of, task_of
from fusionbench.testing.sizes import check_matching, check_size
from fusionbench.testing.strategies import (
    check_learning,
    check_logits,
    check_missing_modalities,
    check_modalities_matter,
    check_samples_are_independent,
)

STRATEGIES = names("strategy")
KINDS = cast(tuple[ModalityKind, ...], ("image", "vector", "sequence", "tokens", "bag"))
TASK_KINDS = cast(tuple[TaskKind, ...], ("multiclass", "multilabel", "regression"))
MIXTURES: tuple[tuple[ModalityKind, ...], ...] = (
    ("image", "vector"),
    ("sequence", "image", "vector"),
    ("tokens", "bag", "image"),
    ("audio", "image"),
)
SETS = [(kind,) * count for kind, count in product(KINDS, (2, 3, 5))] + [("audio", "audio"), *MIXTURES]
TASKS = [(kinds, kind) for kinds in SETS for kind in TASK_KINDS if kind != "regression" or kinds in MIXTURES]
"""What is predicted meets the last layer alone, which knows no kind of modality: numbers with the mixtures."""
LEARNED = [
    (kind, one)
    for kind in TASK_KINDS
    for one in cast(tuple[ModalityKind, ...], ("sequence", "tokens"))
    if (kind, one) != ("regression", "tokens")
]


def suitable(strategy: str, task: TaskSpec) -> bool:
    """Whether the strategy takes the task; if it does not, it says why in words."""
    reason = load("strategy", strategy).refusal(setting_of(task, strategy=strategy))
    assert reason == "" or len(reason.split()) > 3
    return reason == ""


def suited(strategy: str, kinds: tuple[ModalityKind, ...], kind: TaskKind = "multiclass") -> TaskSpec:
    """The task; the test is skipped if the strategy says that it does not take it."""
    task = task_of(kinds, kind)
    if not suitable(strategy, task):
        pytest.skip(f"{strategy} does not take {kind} {' and '.join(kinds)}")
    return task


def label(value: object) -> str:
    return "-".join(value) if isinstance(value, tuple) else str(value)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("kinds", "kind"), TASKS, ids=label)
def test_logits_are_finite_for_every_kind_and_number_of_modalities(
    strategy: str, kinds: tuple[ModalityKind, ...], kind: TaskKind
) -> None:
    task = suited(strategy, kinds, kind)
    check_logits(built(strategy, task), batch_of(task))


def test_nearly_all_predict_numbers_and_the_others_have_a_reason_in_their_formula() -> None:
    needing = {name for name in STRATEGIES if describe("strategy", name).facts.get("needs_classes")}
    assert len(STRATEGIES) - len(needing) >= 50
    task = task_of(("sequence", "sequence"), "regression")
    for name in STRATEGIES:
        refused = load("strategy", name).refusal(setting_of(task, strategy=name))
        assert bool(refused) == (name in needing), f"{name}: {refused}"
        words = ("class", "Dirichlet", "logistic")
        assert not refused or any(word in describe("strategy", name).facts["needs_classes"] for word in words)


@pytest.mark.filterwarnings("ignore:.*in eval mode at the start of training:UserWarning")  # frozen encoders
@pytest.mark.parametrize("strategy", TRAINED)
@pytest.mark.parametrize(("kind", "one"), LEARNED)
def test_every_parameter_is_registered_and_learns(strategy: str, kind: TaskKind, one: ModalityKind) -> None:
    task = suited(strategy, (one, one, one), kind)
    check_learning(built(strategy, task), batch_of(task, size=32))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    "kinds", [("sequence", "sequence"), ("tokens", "tokens"), ("image", "image", "image"), *MIXTURES], ids=label
)
def test_one_sample_does_not_see_another(strategy: str, kinds: tuple[ModalityKind, ...]) -> None:
    task = suited(strategy, kinds)
    check_samples_are_independent(built(strategy, task), batch_of(task))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("kinds", SETS, ids=label)
def test_each_modality_matters(strategy: str, kinds: tuple[ModalityKind, ...]) -> None:
    task = suited(strategy, kinds)
    check_modalities_matter(built(strategy, task), batch_of(task, size=16))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("kinds", "kind"), TASKS, ids=label)
def test_what_stands_in_the_place_of_a_missing_modality_is_not_seen(
    strategy: str, kinds: tuple[ModalityKind, ...], kind: TaskKind
) -> None:
    task = suited(strategy, kinds, kind)
    check_missing_modalities(built(strategy, task), batch_of(task))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("kinds", SETS[: 3 * len(KINDS)], ids=label)
def test_size_is_what_the_docstring_says(strategy: str, kinds: tuple[ModalityKind, ...]) -> None:
    task = suited(strategy, kinds)
    doc = describe("strategy", strategy).doc
    check_size(built(strategy, task), doc, options_of(strategy, task), batch_of(task))


@pytest.mark.parametrize("strategy", WITH_HEAD)
@pytest.mark.parametrize("kinds", [("vector",) * 2, ("sequence",) * 3], ids=label)
def test_the_head_can_be_as_wide_as_a_number_of_parameters_asks(strategy: str, kinds: tuple[ModalityKind, ...]) -> None:
    task = suited(strategy, kinds)
    options = options_of(strategy, task)
    made = partial(load("strategy", strategy), **options)
    check_matching(made, describe("strategy", strategy).doc, options, setting_of(task))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_state_dict_brings_back_the_model(strategy: str) -> None:
    task = task_of(("sequence", "sequence", "sequence"))
    module, other, batch = built(strategy, task), built(strategy, task, seed=1), batch_of(task)
    stream = io.BytesIO()
    torch.save(module.state_dict(), stream)
    stream.seek(0)
    other.load_state_dict(torch.load(stream, weights_only=True))
    torch.testing.assert_close(logits_of(other, batch), logits_of(module, batch), rtol=0, atol=0)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_seed_decides_the_weights(strategy: str) -> None:
    task = task_of(("image", "image"))
    one, same, other = (built(strategy, task, seed) for seed in (0, 0, 1))
    for a, b in zip(one.parameters(), same.parameters(), strict=True):
        assert torch.equal(a, b)
    moved = [not torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True)]
    assert any(moved) == bool(moved)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("kind", TASK_KINDS)
def test_bfloat16_autocast_stays_close(strategy: str, kind: TaskKind) -> None:
    task = suited(strategy, ("sequence", "sequence", "sequence"), kind)
    module, batch = built(strategy, task), batch_of(task)
    with torch.autocast("cpu", torch.bfloat16):
        rough = logits_of(module, batch)
        module.train()
        loss = module.loss(module.predict(batch), batch)
    assert loss.isfinite()
    torch.testing.assert_close(rough.float(), logits_of(module, batch), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("kinds", [("sequence", "image")], ids=label)
def test_torch_export_takes_plain_dicts_and_any_batch_size(strategy: str, kinds: tuple[ModalityKind, ...]) -> None:
    task = task_of(kinds)
    module, batch, other = built(strategy, task).eval(), batch_of(task), batch_of(task, size=9, seed=1)
    other = replace(other, present=other.present | {task.names[0]: torch.arange(9) > 1})
    size = torch.export.Dim("batch")
    dicts = {"inputs": batch.inputs, "masks": batch.masks, "present": batch.present}
    shapes = {name: {key: {0: size} for key in values} for name, values in dicts.items()}
    program = torch.export.export(module, tuple(dicts.values()), dynamic_shapes=shapes)
    found = program.module()(other.inputs, other.masks, other.present)
    torch.testing.assert_close(found, logits_of(module, other))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_forward_without_masks_takes_everything_as_there(strategy: str) -> None:
    task = task_of(("sequence", "sequence"))
    module, batch = built(strategy, task).eval(), batch_of(task)
    whole = replace(batch, masks={name: torch.ones_like(mask) for name, mask in batch.masks.items()})
    torch.testing.assert_close(module(batch.inputs), logits_of(module, whole))


def test_all_strategies_of_a_seed_start_from_the_same_encoders() -> None:
    task = task_of(("image", "sequence"))
    expected = built("concat", task).encoders.state_dict()
    compared = 0
    for strategy in STRATEGIES:
        for name, tensor in built(strategy, task).encoders.state_dict().items():
            if name.startswith(task.names):
                assert torch.equal(tensor, expected[name]), f"{strategy}: {name}"
                compared += 1
    assert compared >= 5 * len(expected)
    assert set(ENCODERS) == {*KINDS, "audio"}
