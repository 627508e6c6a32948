"""The track `tuned`: which points are tried, in which space, and what a suite and a class may say of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import qmc

from fusionbench.core import plugin_places
from fusionbench.core.catalogue import describe, names
from fusionbench.core.errors import UserError
from fusionbench.plan.load import load_suite, suite_of
from fusionbench.plan.names import trial_label
from fusionbench.plan.source import parse_source
from fusionbench.plan.suite import RunSpec, Suite
from fusionbench.plan.suite_file import TRIAL_SEED
from fusionbench.plan.tracks import has_trials, settled, trials_of
from fusionbench.plan.tuned import MOST_OWN, _drawn, own_space, point_of, points, run_at, trials_at

SEEDS = [TRIAL_SEED, TRIAL_SEED + 1]


def suite(options: str = "", strategies: str = "[concat, low_rank]", more: str = "") -> Suite:
    track = f"tracks: [{{name: tuned, options: {{{options}}}}}]"
    text = f"name: x\ndatasets: [digits]\nstrategies: {strategies}\nseeds: 2\n{track}\n{more}"
    return suite_of(parse_source(text, "my.yaml"))


def runs(options: str = "", strategies: str = "[concat, low_rank]") -> dict[str, RunSpec]:
    """By strategy, its run at seed 0."""
    return {run.strategy.name: run for run in suite(options, strategies).runs() if run.seed == 0}


def tried(run: RunSpec) -> tuple[RunSpec, ...]:
    return trials_of(run, lambda _: None)


def test_a_track_has_all_its_options_and_its_rates_lie_around_the_budgets() -> None:
    expected = {
        "trials": 16,
        "learning_rate": [0.0002, 0.02],
        "weight_decay": [0.0001, 1.0],
        "dropout": [0.0, 0.5],
        "trial_seeds": SEEDS,
    }
    assert suite(more="budget: {learning_rate: 2e-3}").tracks[0].options == expected


def test_keys_and_points_of_a_tuned_suite_are_pinned() -> None:
    # If this fails, the records of all tuned suites are lost to them; SciPy may have changed its Sobol sequence.
    found = runs()
    assert [run.key for run in found.values()] == ["f8ffb4de4071", "286d74a7a047"]
    first, second = points(found["low_rank"])[:2]
    assert (first.learning_rate, first.weight_decay, first.dropout) == (0.00066054, 0.71859, 0.428827)
    assert (second.learning_rate, second.weight_decay, second.dropout) == (0.00662299, 0.000277632, 0.0395579)
    assert (dict(first.own), dict(second.own)) == ({"hidden": 201, "rank": 2}, {"hidden": 69, "rank": 4})
    assert [trial.key for trial in tried(found["low_rank"])[:2]] == ["3940909461f6", "864cac495d1b"]


def test_points_are_scipys_scrambled_sobol_sequence_laid_over_the_ranges() -> None:
    unit = qmc.Sobol(5, scramble=True, rng=np.random.default_rng(0)).random_base2(5)[:, :3]
    ends = [math.log(1e-4), math.log(1e-4), 0.0], [math.log(1e-2), math.log(1.0), 0.5]
    expected = qmc.scale(unit, *ends)
    found = [
        (math.log(p.learning_rate), math.log(p.weight_decay), p.dropout) for p in points(runs("trials: 32")["concat"])
    ]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    random = np.random.default_rng(1).random((100, 32, 3))
    assert qmc.discrepancy(unit) < min(qmc.discrepancy(one) for one in random)


def test_every_strategy_has_the_same_points_of_the_shared_space() -> None:
    found = runs(strategies="[concat, low_rank, gated, unimodal, unimodal_ensemble, late]")
    shared = {name: [(p.learning_rate, p.weight_decay, p.dropout) for p in points(run)] for name, run in found.items()}
    assert all(one == shared["concat"] for one in shared.values())
    assert {len(set(one)) for one in shared.values()} == {16}
    assert {tuple(sorted(p.own)) for p in points(found["low_rank"])} == {("hidden", "rank")}
    assert {tuple(p.own) for p in points(found["unimodal"])} == {()}


def test_more_trials_keep_those_that_are_there() -> None:
    few, many = (runs(f"trials: {count}")["low_rank"] for count in (16, 32))
    assert points(many)[:16] == points(few)
    assert {trial.key for trial in tried(few)} < {trial.key for trial in tried(many)}
    assert few.key != many.key


def test_all_seeds_share_their_trials_which_are_of_two_seeds_and_never_final() -> None:
    found = [run for run in suite().runs() if run.strategy.name == "concat"]
    assert len({trial.key for run in found for trial in tried(run)}) == 32
    for trial in tried(found[0]):
        assert (trial.role, trial.seed in SEEDS, trial.space) == ("trial", True, {})
        assert not has_trials(trial)
        assert point_of(trial) in points(found[0])
        assert trial.budget == replace(
            found[0].budget,
            learning_rate=trial.budget.learning_rate,
            weight_decay=trial.budget.weight_decay,
            dropout=trial.budget.dropout,
        )
    assert [trial.seed for trial in tried(found[0])] == [SEEDS[0]] * 16 + [SEEDS[1]] * 16


def test_options_of_its_own_leave_the_strategy_as_it_is_named() -> None:
    run = runs()["low_rank"]
    trial = tried(run)[0]
    assert trial.strategy == run.strategy
    assert trial.track.options == {"own": {"hidden": 201, "rank": 2}}
    assert trial_label(trial) == "trial at 0.000661, decay 0.719, dropout 0.43, hidden=201, rank=2, seed 1000000"


@pytest.mark.parametrize("strategy", ["chance", "logistic_regression", "stacking"])
def test_what_takes_no_steps_of_an_optimiser_has_no_trials(strategy: str) -> None:
    run = runs(strategies=f"[{strategy}]")[strategy]
    assert (has_trials(run), tried(run), settled(run, {})) == (False, (), run)


def test_an_option_that_the_suite_sets_is_not_tuned_and_the_space_is_part_of_the_key() -> None:
    free, one = runs()["low_rank"], runs(strategies="[{name: low_rank, options: {rank: 4}}]")["low_rank"]
    assert sorted(free.space) == ["hidden", "rank"]
    assert sorted(one.space) == ["hidden"]
    assert (free.strategy, free.key == one.key) == (one.strategy, False)
    assert RunSpec.from_json(free.to_json()) == free
    assert "space" not in runs()["concat"].to_json()


def test_what_was_chosen_can_be_written_into_a_run_which_then_has_nothing_to_choose() -> None:
    run = runs()["low_rank"]
    point = points(run)[3]
    options = {"learning_rate": point.learning_rate, "weight_decay": point.weight_decay, "dropout": point.dropout}
    done = settled(run, {**options, "own": dict(point.own), "width": 64})
    assert done == run_at(run, point)
    assert (done.role, done.seed, has_trials(done)) == ("final", 0, False)
    assert replace(done, role="trial", seed=SEEDS[1]) == trials_at(run, point)[1]


def test_each_value_has_its_share_of_a_range() -> None:
    places = (np.arange(12_000) + 0.5) / 12_000
    even = Counter(_drawn({"from": 1, "to": 4}, u) for u in places)
    assert even == {1: 3000, 2: 3000, 3: 3000, 4: 3000}
    assert Counter(_drawn({"of": ["a", "b", "c"]}, u) for u in places) == {"a": 4000, "b": 4000, "c": 4000}
    doubling = Counter(_drawn({"from": 1, "to": 7, "log": True}, u) for u in places)  # 1; 2, 3; 4 to 7.
    assert [doubling[1], doubling[2] + doubling[3], sum(doubling[n] for n in range(4, 8))] == [4000, 4000, 4000]
    assert set(doubling) == set(range(1, 8))
    fine = [_drawn({"from": 0.01, "to": 10.0, "log": True}, u) for u in places]
    assert fine == sorted(fine)
    assert np.median(fine) == pytest.approx(0.1**0.5, rel=1e-3)
    assert 0.01 <= fine[0] < 0.0101 < 9.9 < fine[-1] <= 10


@pytest.mark.parametrize("strategy", names("strategy"))
def test_every_space_of_ours_holds_the_default(strategy: str) -> None:
    plugin = describe("strategy", strategy)
    space = own_space(plugin, {}, "here")
    assert len(space) <= MOST_OWN
    for name, part in space.items():
        default = plugin.options[name].default
        assert default in part["of"] if "of" in part else part["from"] <= default <= part["to"]
    if plugin.facts.get("uses") == "none" or plugin.facts.get("fitted"):
        assert not space


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of a strategy of one's own, `own_tuned.mine`."""
    (tmp_path / "own_tuned").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "own_tuned" / "mine.py"
    describe.cache_clear()
    plugin_places.parsed.cache_clear()


@pytest.mark.parametrize(
    ("fact", "reason"),
    [
        ('{"hidden": (8, 8)}', r"hidden: give \(lowest, highest\), .*, got \(8, 8\)"),
        ('{"hidden": (0, 8, "log")}', r"hidden: give \(lowest, highest\)"),
        ('{"hidden": (1, 8, "linear")}', r"hidden: give \(lowest, highest\)"),
        ('{"hidden": (1.5, 8)}', r"hidden: give \(lowest, highest\)"),
        ('{"hidden": [8]}', r"a list of values of the type of the option, got \[8\]"),
        ('{"hidden": ["a", "b"]}', r"hidden: give \(lowest, highest\)"),
        ('{"flag": (False, True)}', r"flag: give \(lowest, highest\)"),
        ('{"hiden": (1, 8)}', r": no option called 'hiden'; did you mean 'hidden'"),
        ('{"hidden": (1, 8), "flag": [False, True], "share": (0, 1)}', r"give at most 2 options and their ranges"),
        ("3", r"give at most 2 options and their ranges, got 3"),
    ],
)
def test_a_wrong_fact_is_one_line_in_its_place(own: Path, fact: str, reason: str) -> None:
    signature = "self, setting, *, hidden: int = 8, flag: bool = False, share: float = 0.5"
    own.write_text(
        f'"""Mine."""\nclass Mine(FusionModule):\n    tunable = {fact}\n    def __init__({signature}): ...\n'
    )
    with pytest.raises(
        UserError, match=rf"my.yaml, line 3: strategies.0: strategy 'own_tuned.mine': tunable.*{reason}"
    ):
        suite(strategies="[own_tuned.mine]")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("trials: 20", r"line 5: tracks.0.options.trials: give a power of two, 16 or 32, got 20"),
        ("trials: 1", r"trials: track 'tuned': should be greater than or equal to 2, got 1"),
        ("trial: 16", r"no option of track 'tuned' called 'trial'; did you mean 'trials'"),
        ("learning_rate: [1e-2, 1e-4]", r"options.learning_rate: give the lowest and the highest, above 0"),
        ("learning_rate: [1e-3, 1e-3]", r"learning_rate: give the lowest and the highest"),
        ("learning_rate: [1e-3]", r"learning_rate: give the lowest and the highest"),
        ("weight_decay: [0, 1]", r"weight_decay: give the lowest and the highest, above 0"),
        ("dropout: [0, 1]", r"dropout: give the lowest and the highest, from 0 to below 1"),
        ("dropout: [-0.1, 0.5]", r"dropout.0: .*greater than or equal to 0"),
        ("trial_seeds: [1, 5]", r"trial_seeds: seed 1 is one of the suite's; trials that choose hyperparameters need"),
        ("trial_seeds: [5, 5]", r"trial_seeds: one seed is named twice"),
        ("trial_seeds: []", r"trial_seeds: .*give at least one|trial_seeds: .*at least 1"),
    ],
)
def test_a_mistake_in_the_search_is_one_line_in_its_place(options: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        suite(options)


def test_a_range_of_one_value_is_fixed() -> None:
    found = points(runs("dropout: [0.1, 0.1], weight_decay: [0.01, 0.01]")["concat"])
    assert {(point.weight_decay, point.dropout) for point in found} == {(0.01, 0.1)}
    assert len({point.learning_rate for point in found}) == 16


def test_the_shipped_tuned_suite_is_quickstart_with_a_track_more() -> None:
    plain, both = load_suite("quickstart"), load_suite("quickstart_tuned")
    assert {run.key for run in plain.runs()} < {run.key for run in both.runs()}
    assert [track.name for track in both.tracks] == ["same_encoders", "tuned"]
    assert (both.seeds, both.budget, both.measures) == (plain.seeds, plain.budget, plain.measures)
