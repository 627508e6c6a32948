"""Head widths for a number of parameters: against brute force, and against models that are really built."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fusionbench.bench import matching
from fusionbench.bench.build import Unsuitable, build, dataset_of, fixed_for
from fusionbench.bench.matching import TOLERANCE, Match, by_head, default_target, matched, nearest
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.fusion.base import Setting
from fusionbench.fusion.concat import ConcatFusion
from fusionbench.plan.budget import Pretraining
from fusionbench.plan.load import suite_of
from fusionbench.plan.source import parse_source
from fusionbench.plan.suite import Choice, RunSpec

VECTORS = (ModalitySpec("a", "vector", (3,)), ModalitySpec("b", "vector", (5,)))
SETTING = Setting(TaskSpec(VECTORS, 7), {name: Choice("mlp", {"width": 16}) for name in "ab"}, 16, 16)


@given(st.integers(0, 50), st.integers(1, 9), st.integers(0, 2), st.integers(-10, 20_000))
def test_the_width_found_is_the_nearest_of_all(constant: int, slope: int, square: int, target: int) -> None:
    widest = 80

    def count(width: int) -> int:
        assert 1 <= width <= widest
        return constant + slope * width + square * width**2

    before, matching.WIDEST = matching.WIDEST, widest
    try:
        width, found = nearest(count, target, (count(1), count(widest)))
    finally:
        matching.WIDEST = before
    assert found == count(width)
    assert abs(found - target) == min(abs(count(w) - target) for w in range(1, widest + 1))


def test_a_straight_line_takes_few_models() -> None:
    asked: list[int] = []

    def count(width: int) -> int:
        asked.append(width)
        return 1000 + 77 * width

    assert nearest(count, 1000 + 77 * 4321, (count(1), count(matching.WIDEST)))[0] == 4321
    assert len(asked) == 3


def test_the_default_target_is_what_concat_has() -> None:
    module = ConcatFusion(SETTING)
    assert default_target(SETTING) == sum(parameter.numel() for parameter in module.head.parameters())


@pytest.mark.parametrize("target", [1000, 12_345, 400_000])
def test_a_model_with_the_width_found_has_so_many_parameters(target: int) -> None:
    match = matched(by_head(ConcatFusion, SETTING), target)
    assert match.problem == ""
    assert match.parameters == (2 * 16 + 1 + 7) * match.width + 7
    assert abs(match.parameters - target) <= 20


def test_building_models_to_count_draws_no_random_numbers() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    runs = list(suite_of(parse_source(SUITE.format(target=9000), "s.yaml")).runs())
    fixed_for(runs[1], TaskSpec(VECTORS, 7))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("match", "problem"),
    [
        (Match(1000, 3, 1050, (10, 10**6)), ""),
        (
            Match(1000, 3, 1051, (10, 10**6)),
            "out of reach: the nearest number is 1,051, a unit of the head is worth more",
        ),
        (Match(1000, 1, 4000, (4000, 10**6)), "1,000 fusion parameters are out of reach: .* gives 4,000 to 1,000,000"),
    ],
)
def test_what_is_out_of_reach_names_the_range(match: Match, problem: str) -> None:
    assert bool(match.problem) == bool(problem)
    assert re.search(problem, match.problem)
    assert TOLERANCE == 0.05


SUITE = """{{name: s, seeds: 1, datasets: [{{name: synthetic_pid, options: {{relation: synergy}}}}],
    strategies: [chance, concat, unimodal, cross_attention, logistic_regression],
    tracks: [{{name: matched_parameters, options: {{target: {target}}}}}]}}"""


def planned(target: int) -> dict[str, RunSpec]:
    runs = suite_of(parse_source(SUITE.format(target=target), "s.yaml")).runs()
    return {run.strategy.name: run for run in runs}


def test_a_run_gets_the_head_that_its_target_asks_for() -> None:
    runs = planned(30_000)
    task = dataset_of(runs["concat"], None).task
    for name in ("concat", "unimodal"):
        fixed = fixed_for(runs[name], task)
        module = build(runs[name], fixed.setting)
        count = sum(p.numel() for p in module.parameters()) - sum(p.numel() for p in module.encoders.parameters())
        assert fixed.options["fusion_parameters"] == count
        assert abs(count - 30_000) <= 1500
        assert fixed.options["head_width"] == fixed.setting.head_width != fixed.setting.width
    frozen = {name: replace(choice, pretrain=Pretraining()) for name, choice in runs["concat"].encoders.items()}
    for run in (runs["chance"], replace(runs["logistic_regression"], encoders=frozen)):  # They have no head.
        assert "target_parameters" not in fixed_for(run, task).options


def test_single_modalities_are_matched_by_their_own_heads_each() -> None:
    text = SUITE.format(target=30_000).replace("cross_attention, logistic_regression]", "unimodal_two_seeds]")
    found = {}
    for run in suite_of(parse_source(text, "s.yaml")).runs():
        options = fixed_for(run, dataset_of(run, None).task).options
        found[run.strategy.name, run.strategy.options.get("modality")] = options.get("head_width")
    # (64 + 1) W + (W + 1) 2 parameters of one model: 30,017 at 448; 2 * 15,010 of the two at 224.
    assert found == {
        ("chance", None): 1,
        ("concat", None): 229,
        ("unimodal", "a"): 448,
        ("unimodal", "b"): 448,
        ("unimodal_two_seeds", "a"): 224,
        ("unimodal_two_seeds", "b"): 224,
    }


def test_a_strategy_that_cannot_be_so_small_is_unsuitable_and_says_what_it_can() -> None:
    run = planned(30_000)["cross_attention"]
    with pytest.raises(
        Unsuitable, match=r"30,000 fusion parameters are out of reach: the width of the head gives 100,101 to"
    ):
        fixed_for(run, dataset_of(run, None).task)
