"""The option that makes a strategy itself wider: which strategies name one, and what it is worth in parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from shipped import TRAINED

from fusionbench.bench.build import own_width
from fusionbench.bench.matching import by_option, matched_own
from fusionbench.core.catalogue import describe, load
from fusionbench.fusion.base import FusionModule, Setting
from fusionbench.measure.size import fusion_parameters
from fusionbench.plan.load import load_suite
from fusionbench.plan.suite import Choice
from fusionbench.testing.samples import options_of, setting_of, task_of
from fusionbench.testing.sizes import evaluated, letters_of

OWN = [name for name in TRAINED if describe("strategy", name).facts.get("own_width")]
NO_WIDTHS = {
    *("layers", "own_layers", "rounds", "order", "steps"),  # how deep, or how often
    *("heads", "latents", "bottlenecks", "mixtures", "blocks", "factors", "rank"),  # how many side by side
    *("widening", "parameters"),  # of the head
}
"""Options that change the number of parameters and are no width."""
TASK = task_of(("sequence", "sequence"))


def maker(strategy: str) -> Callable[[Setting], FusionModule]:
    options = options_of(strategy, TASK)

    def make(setting: Setting) -> FusionModule:
        made: FusionModule = load("strategy", strategy)(setting, **{**options, **setting.solved})
        return made

    return make


def choice(strategy: str) -> Choice:
    return Choice(strategy, options_of(strategy, TASK))


@pytest.mark.parametrize("strategy", OWN)
def test_parameters_grow_with_the_own_width_as_the_docstring_says(strategy: str) -> None:
    make, setting, own = maker(strategy), setting_of(TASK), own_width(choice(strategy))
    assert own is not None
    option, unit = own
    letters = letters_of(make(setting)) | options_of(strategy, TASK)
    doc = describe("strategy", strategy).doc
    formula = {n: round(evaluated(doc, "Parameters", letters | {option: n * unit})) for n in (1, 9, 40)}
    assert formula[1] < formula[9] < formula[40]
    count = by_option(make, setting, option, unit)
    assert {n: count(n) for n in formula} == formula
    for n in (9, 40):
        match = matched_own(count, formula[n], option, unit)
        assert (match.problem, match.option, match.width, match.parameters) == ("", option, n * unit, formula[n])
        fixed = match.applied(setting)
        assert fixed.head_width == setting.head_width
        assert fusion_parameters(make(fixed)) == formula[n]
    assert f"its width {option} gives {formula[1]:,} to " in matched_own(count, formula[1] // 2, option, unit).problem


@pytest.mark.parametrize("strategy", sorted(set(TRAINED) - set(OWN)))
def test_a_strategy_without_one_has_no_option_that_is_a_width(strategy: str) -> None:
    options: dict[str, Any] = options_of(strategy, TASK)
    before = fusion_parameters(maker(strategy)(setting_of(TASK)))
    for name, value in options.items():
        if type(value) is int and name not in NO_WIDTHS:
            more: FusionModule = load("strategy", strategy)(setting_of(TASK), **{**options, name: 2 * value})
            assert fusion_parameters(more) <= before, f"{name} makes it wider: name it as own_width"


def test_the_suite_of_own_widths_has_every_strategy_that_has_one_and_trains_as_the_suite_it_is_compared_with() -> None:
    own, other = load_suite("cifar10_frozen_own_widths"), load_suite("cifar10_frozen")
    assert list(dict.fromkeys(row.strategy.name for row in own.rows)) == OWN
    assert (own.budget, own.datasets) == (other.budget, other.datasets)
    matched = next(track for track in other.tracks if track.name == "matched_parameters")
    assert own.tracks[0].options == {**matched.options, "solve": "own"}
    assert own.seeds_of(own.tracks[0]) == other.seeds_of(matched)
    assert own.rows[0].encoders == next(row.encoders for row in other.rows if row.strategy.name == OWN[0])
