"""The contract of strategies.md, over every file in fusion/: a new strategy is tested the moment it exists."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from shipped import TRAINED, WITH_HEAD

from fusionbench.core.catalogue import describe, load, names
from fusionbench.core.task import ModalityKind, TaskKind, TaskSpec
from fusionbench.testing.cases import ALIKE, KINDS, LEARNED, MATCHED, PADDED, SETS, TASK_KINDS, TASKS, refusal
from fusionbench.testing.samples import ENCODERS, batch_of, built, options_of, setting_of, task_of
from fusionbench.testing.sizes import check_matching, check_size
from fusionbench.testing.strategies import (
    check_bfloat16,
    check_export,
    check_forward,
    check_learning,
    check_logits,
    check_missing_modalities,
    check_modalities_matter,
    check_samples_are_independent,
    check_seed,
    check_state_dict,
)

STRATEGIES = names("strategy")


def suited(strategy: str, kinds: tuple[ModalityKind, ...], kind: TaskKind = "multiclass") -> TaskSpec:
    """The task; the test is skipped if the strategy says that it does not take it."""
    task = task_of(kinds, kind)
    if refusal(strategy, task):
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
@pytest.mark.parametrize("kinds", PADDED, ids=label)
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
@pytest.mark.parametrize("kinds", ALIKE, ids=label)
def test_size_is_what_the_docstring_says(strategy: str, kinds: tuple[ModalityKind, ...]) -> None:
    task = suited(strategy, kinds)
    doc = describe("strategy", strategy).doc
    check_size(built(strategy, task), doc, options_of(strategy, task), batch_of(task))


@pytest.mark.parametrize("strategy", WITH_HEAD)
@pytest.mark.parametrize("kinds", MATCHED, ids=label)
def test_the_head_can_be_as_wide_as_a_number_of_parameters_asks(strategy: str, kinds: tuple[ModalityKind, ...]) -> None:
    task = suited(strategy, kinds)
    options = options_of(strategy, task)
    made = partial(load("strategy", strategy), **options)
    check_matching(made, describe("strategy", strategy).doc, options, setting_of(task))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_state_dict_brings_back_the_model(strategy: str) -> None:
    task = task_of(("sequence", "sequence", "sequence"))
    check_state_dict(built(strategy, task), built(strategy, task, seed=1), batch_of(task))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_seed_decides_the_weights(strategy: str) -> None:
    task = task_of(("image", "image"))
    check_seed(lambda seed: built(strategy, task, seed))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("kind", TASK_KINDS)
def test_bfloat16_autocast_stays_close(strategy: str, kind: TaskKind) -> None:
    task = suited(strategy, ("sequence", "sequence", "sequence"), kind)
    check_bfloat16(built(strategy, task), batch_of(task))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("kinds", [("sequence", "image")], ids=label)
def test_torch_export_takes_plain_dicts_and_any_batch_size(strategy: str, kinds: tuple[ModalityKind, ...]) -> None:
    task = task_of(kinds)
    check_export(built(strategy, task), batch_of(task), batch_of(task, size=9, seed=1))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_forward_without_masks_takes_everything_as_there(strategy: str) -> None:
    task = task_of(("sequence", "sequence"))
    check_forward(built(strategy, task), batch_of(task))


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
