"""Parameters matched by a width of the strategy's own: against counts by hand, models that are built, and records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fusionbench.bench.build import Unsuitable, build, dataset_of, fixed_for, own_width
from fusionbench.bench.matching import Match
from fusionbench.core.errors import UserError
from fusionbench.fusion.base import FusionModule, Setting
from fusionbench.measure.size import fusion_parameters
from fusionbench.plan.load import suite_of
from fusionbench.plan.source import parse_source
from fusionbench.plan.suite import Choice, RunSpec

D, C = 64, 2
"""Units of an encoding of synthetic_pid, and of a head; its classes."""


def planned(strategies: str, target: int | str, solve: str = "own") -> dict[str, RunSpec]:
    track = f"{{name: matched_parameters, options: {{target: {target}, solve: {solve}}}}}"
    dataset = "{name: synthetic_pid, options: {relation: synergy}}"
    text = f"name: x\nseeds: 1\ndatasets: [{dataset}]\nstrategies: {strategies}\ntracks: [{track}]"
    return {run.strategy.name: run for run in suite_of(parse_source(text, "x.yaml")).runs()}


def fixed(run: RunSpec) -> tuple[dict[str, object], FusionModule]:
    found = fixed_for(run, dataset_of(run, None).task)
    return found.options, build(run, found.setting)


def gated(hidden: int) -> int:
    return 2 * (2 * D * hidden) + (hidden + 1) * D + (D + 1) * C


def test_the_width_is_solved_for_and_the_head_stays_as_wide_as_the_encodings() -> None:
    options, module = fixed(planned("[gated]", gated(100))["gated"])
    assert options["solved"] == {"hidden": 100}
    assert (options["width"], options["head_width"]) == (D, D)
    assert options["target_parameters"] == options["fusion_parameters"] == gated(100) == fusion_parameters(module)
    assert options["reachable_parameters"] == [gated(1), gated(2**20)]
    assert module.get_parameter("gate.weight").shape == (100, 2 * D)


def test_a_width_is_a_multiple_of_what_has_to_divide_it() -> None:
    runs = planned("[{name: shared_private, options: {heads: 6}}, compact_bilinear]", 500_001)
    options, module = fixed(runs["shared_private"])
    assert own_width(runs["shared_private"].strategy) == ("common", 6)
    assert options["solved"]["common"] % 6 == 0  # type: ignore[index]
    assert abs(fusion_parameters(module) - 500_001) <= 0.05 * 500_001
    options, _ = fixed(runs["compact_bilinear"])
    # (sketch + 1) 64 + 65 * 2 parameters; the nearest even sketch is 7810.
    assert (options["solved"], options["fusion_parameters"]) == ({"sketch": 7810}, 7811 * D + (D + 1) * C)


def test_a_product_that_may_not_be_larger_says_how_far_it_goes() -> None:
    # 2 (D + 1) hidden + (hidden^2 + 1) D + (D + 1) C parameters; a product has at most 2^20 entries.
    most = 2 * (D + 1) * 1024 + (1024**2 + 1) * D + (D + 1) * C
    with pytest.raises(Unsuitable, match=rf"out of reach: its width hidden gives 388 to {most:,} here"):
        fixed(planned("[bilinear]", 10**9)["bilinear"])


def test_what_has_no_width_of_its_own_is_unsuitable_and_what_looks_at_nothing_is_exempt() -> None:
    runs = planned("[concat, late, chance]", 30_000)
    for name in ("concat", "late"):
        with pytest.raises(Unsuitable, match="it has no option for a width of its own: its head alone could grow"):
            fixed(runs[name])
    assert "solved" not in fixed(runs["chance"])[0]


def test_without_a_target_it_is_what_concat_has() -> None:
    options, _ = fixed(planned("[low_rank]", "null")["low_rank"])
    assert options["target_parameters"] == (2 * D + 1) * D + (D + 1) * C
    assert options["solved"] == {"hidden": 14}  # 4 * 2 * 65 * hidden + (hidden + 1) 64 + 130: 8370; with 15, 8954.


def test_the_other_way_of_matching_solves_nothing_of_its_own() -> None:
    options, _ = fixed(planned("[gated]", 50_000, "head")["gated"])
    assert "solved" not in options
    assert options["head_width"] != D


@pytest.mark.parametrize(
    ("match", "problem"),
    [
        (Match(1000, 3, 1050, (10, 10**6), "rank"), ""),
        (
            Match(1000, 3, 1051, (10, 10**6), "rank"),
            "1,000 fusion parameters are out of reach: "
            "the nearest number is 1,051, a step of rank is worth more than 5 %",
        ),
        (
            Match(1000, 1, 4000, (4000, 10**6), "rank"),
            "1,000 fusion parameters are out of reach: its width rank gives 4,000 to 1,000,000 here",
        ),
    ],
)
def test_what_is_out_of_reach_names_the_option(match: Match, problem: str) -> None:
    assert match.problem == problem


def test_a_setting_with_a_solved_option_survives_the_way_through_json() -> None:
    run = planned("[gated]", gated(30))["gated"]
    setting = fixed_for(run, dataset_of(run, None).task).setting
    assert setting.solved == {"hidden": 30}
    assert Setting.from_json(json.loads(json.dumps(setting.to_json()))) == setting


def test_an_own_width_that_is_no_option_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "widths_lab").mkdir()
    for name, facts in (("wrong", 'own_width = "hiden"'), ("unit", 'own_width, own_unit = "hidden", "head"')):
        (tmp_path / "widths_lab" / f"{name}.py").write_text(
            "from fusionbench.fusion.base import FusionModule, Setting\n\n\n"
            f"class Wrong(FusionModule):\n    {facts}\n\n"
            "    def __init__(self, setting: Setting, *, hidden: int = 3) -> None:\n        super().__init__(setting)\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"own_width or own_unit: no option called 'hiden'; did you mean 'hidden'\?"):
        own_width(Choice("widths_lab.wrong", {"hidden": 3}))
    with pytest.raises(UserError, match=r"own_width or own_unit: no option called 'head'"):
        own_width(Choice("widths_lab.unit", {"hidden": 3}))
