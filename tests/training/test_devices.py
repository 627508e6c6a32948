"""Several devices find what one finds: two processes over gloo against one, after the same number of steps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from imdb_folder import lay_out, made, ready, small
from shared_training import (
    Scores,
    amounts_scores,
    digits_scores,
    gaps_scores,
    own_scores,
    review_scores,
    tags_scores,
)
from two_processes import together

from fusionbench.core.catalogue import describe, names
from fusionbench.core.ranks import Ranks
from fusionbench.training.fit import quiet

BOUND = 1e-6
ALONE = {"chance", "logistic_regression", "stacking"}
"""No optimiser moves anything: one device does it, whatever the number (tests/engines/test_groups.py)."""


@pytest.fixture(autouse=True)
def _as_in_a_worker() -> None:
    quiet()
    torch.set_num_threads(1)


def batch_level(strategy: str) -> str:
    """The reason why several devices do not train what one trains; empty for all others."""
    return str(describe("strategy", strategy.partition("+")[0]).facts.get("batch_level", ""))


def differences(one: Scores, two: Scores) -> dict[str, float]:
    """By strategy, the largest difference of anything that training and testing gave."""
    assert one.keys() == two.keys()
    assert all(one[name].keys() == two[name].keys() for name in one)
    return {name: max(_apart(score, one[name][score], two[name][score]) for score in one[name]) for name in one}


def _apart(name: str, one: float, two: float) -> float:
    """Scores as they are; a training loss of 7 in its own size, since float32 knows it to half a millionth only."""
    return abs(one - two) / (max(1.0, abs(one)) if name == "loss" else 1.0)


def test_two_devices_give_every_strategy_the_scores_of_one(tmp_path: Path) -> None:
    one = digits_scores(Ranks(), tmp_path)
    first, second = together(digits_scores, tmp_path)
    assert {name.partition("+")[0] for name in one} == set(names("strategy")) - ALONE
    same = [name for name in one if not batch_level(name)]
    found = differences(one, first)
    assert {name: found[name] for name in same if found[name] > BOUND} == {}
    names_of = ("accuracy", "balanced_accuracy", "macro_f1", "auroc", "nll")
    assert {f"test/{name}" for name in names_of} <= set(one["concat"])
    assert differences(first, second) == dict.fromkeys(one, 0.0)


def test_a_strategy_whose_loss_looks_across_the_batch_says_why() -> None:
    reasons = {name: batch_level(name) for name in names("strategy")}
    assert all(reason == reason.strip() and (not reason or len(reason.split()) > 3) for reason in reasons.values())


def test_three_devices_do_too_where_no_number_of_rows_is_a_multiple(tmp_path: Path) -> None:
    one = digits_scores(Ranks(), tmp_path, 126, ("cross_attention",))
    found = together(digits_scores, tmp_path, 126, ("cross_attention",), of=3)
    assert differences(one, found[0])["cross_attention"] <= BOUND


def test_every_multilabel_score_is_exact_on_two_devices(tmp_path: Path) -> None:
    one = tags_scores(Ranks(), tmp_path)
    two, _ = together(tags_scores, tmp_path)
    assert {f"test/{name}" for name in ("gap20", "map_top20", "map_full", "perr", "hit1", "nll")} <= one["gated"].keys()
    assert differences(one, two)["gated"] <= BOUND


def test_numbers_are_standardised_and_scored_over_all_devices(tmp_path: Path) -> None:
    one = amounts_scores(Ranks(), tmp_path)
    two, other = together(amounts_scores, tmp_path)
    assert {f"test/{name}" for name in ("r2", "rmse", "mae", "pearson", "spearman")} <= one["gated"].keys()
    # Errors are in the data's unit, whose deviation is about 7.
    assert max(differences(one, two).values()) <= 10 * BOUND
    assert differences(two, other) == dict.fromkeys(one, 0.0)


def test_what_balances_modalities_counts_those_of_all_devices(tmp_path: Path) -> None:
    balancing = ("ogm_ge", "agm", "pmr")
    one = gaps_scores(Ranks(), tmp_path, balancing)
    two, _ = together(gaps_scores, tmp_path, balancing)
    assert max(differences(one, two).values()) <= BOUND


def test_teachers_and_who_learns_from_them_count_the_samples_of_all_devices(tmp_path: Path) -> None:
    one = gaps_scores(Ranks(), tmp_path, ("unimodal_teachers",))
    two, _ = together(gaps_scores, tmp_path, ("unimodal_teachers",))
    assert max(differences(one, two).values()) <= BOUND


def test_batches_of_like_length_are_padded_and_dropped_out_as_on_one_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    lay_out(tmp_path, made())
    ready(tmp_path)
    one = review_scores(Ranks(), tmp_path)
    two, _ = together(review_scores, tmp_path)
    assert max(differences(one, two).values()) <= BOUND


def test_parameters_that_a_step_leaves_out_are_no_error(tmp_path: Path) -> None:
    one = own_scores(Ranks(), tmp_path, "Partly")
    two, _ = together(own_scores, tmp_path, "Partly")
    assert isinstance(one, dict)
    assert differences(one, two)["Partly"] <= BOUND


def test_a_loss_that_is_not_finite_on_one_device_ends_training_on_all(tmp_path: Path) -> None:
    first, second = together(own_scores, tmp_path, "BurstsOnOne")
    assert first == second
    assert "not finite" in first
