"""Tracks: options filled in and checked, and which trials a run takes something over from."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from fusionbench.core.errors import UserError
from fusionbench.plan.load import suite_of
from fusionbench.plan.names import track_label
from fusionbench.plan.source import parse_source
from fusionbench.plan.suite import Choice, RunSpec, Suite
from fusionbench.plan.suite_file import TRIAL_SEED
from fusionbench.plan.tracks import Trial, has_trials, is_at_limit, learning_rates, solves_own, trial_at, trials_of

BASE = "name: x\ndatasets: [digits]\nstrategies: [concat, late]\nseeds: 2\nbudget: {learning_rate: 2e-3}\n"


def suite(tracks: str) -> Suite:
    return suite_of(parse_source(f"{BASE}tracks: {tracks}", "my.yaml"))


def matched(options: str = "") -> list[RunSpec]:
    return list(suite(f"[{{name: matched_parameters, options: {{{options}}}}}]").runs())


def test_a_track_has_all_its_options() -> None:
    expected = {"target": None, "learning_rates": [0.0006, 0.002, 0.006], "grow": 2, "trial_seed": TRIAL_SEED}
    assert suite("[matched_parameters]").tracks == (Choice("matched_parameters", expected),)
    assert suite("[same_encoders]").tracks == (Choice("same_encoders"),)


def nothing(_: RunSpec) -> Trial | None:
    """No trial has a record yet."""
    return None


def trials(run: RunSpec) -> list[RunSpec]:
    """Those of the first round."""
    return list(trials_of(run, nothing))


def peak(*scores: tuple[float, float | str]) -> Callable[[RunSpec], Trial]:
    """Trials that are done with the score of their rate, or that ended with a status."""
    known = dict(scores)

    def became(trial: RunSpec) -> Trial:
        found = known[trial.budget.learning_rate]
        if isinstance(found, str):
            return Trial(found, (-math.inf, -math.inf))
        return Trial("done", (found, 0.0))

    return became


def test_each_final_run_has_a_trial_for_each_learning_rate_at_one_seed_of_their_own() -> None:
    run = matched()[0]
    assert [trial.budget.learning_rate for trial in trials(run)] == [0.0006, 0.002, 0.006]
    assert {(trial.seed, trial.role) for trial in trials(run)} == {(TRIAL_SEED, "trial")}
    for trial in trials(run):
        assert replace(trial, seed=run.seed, role="final", track=run.track, budget=run.budget) == run
        assert not has_trials(trial)


def test_all_seeds_of_a_strategy_share_their_trials() -> None:
    runs = matched()
    assert len(runs) == 4
    assert len({trial.key for run in runs for trial in trials(run)}) == 2 * 3


def test_a_grid_with_another_rate_finds_the_trials_of_the_others() -> None:
    small, large = (matched(f"learning_rates: {rates}")[0] for rates in ("[1e-3, 2e-3]", "[2e-3, 1e-3, 4e-3]"))
    assert {trial.key for trial in trials(small)} < {trial.key for trial in trials(large)}
    assert small.key != large.key


def test_trials_with_another_target_are_other_trials() -> None:
    other = {trial.key for trial in trials(matched("target: 1000")[0])}
    assert not other & {trial.key for trial in trials(matched()[0])}


def test_one_learning_rate_alone_needs_no_trials() -> None:
    run = matched("learning_rates: [3e-3]")[0]
    assert (trials(run), learning_rates(run, nothing)) == ([], (3e-3,))
    same = next(iter(suite("[same_encoders]").runs()))
    assert (trials(same), learning_rates(same, nothing)) == ([], (2e-3,))


@pytest.mark.parametrize("strategy", ["chance", "logistic_regression", "stacking"])
def test_what_takes_no_steps_of_an_optimiser_has_nothing_to_try(strategy: str) -> None:
    text = BASE.replace("[concat, late]", f"[{strategy}]")
    run = next(iter(suite_of(parse_source(f"{text}tracks: [matched_parameters]", "my.yaml")).runs()))
    assert (has_trials(run), learning_rates(run, nothing)) == (False, (2e-3,))


FIRST = (0.0006, 0.002, 0.006)
FAR = (6.66667e-05, 0.0002, *FIRST, 0.018, 0.054, 0.162)


@pytest.mark.parametrize(
    ("scores", "expected", "at_limit"),
    [
        ((0.0, 0.0, 0.1, 0.3, 0.2, 0.0, 0.0, 0.0), FIRST, False),  # The best is inside.
        ((0.0, 0.1, 0.2, 0.3, 0.4, 0.3, 0.0, 0.0), (*FIRST, 0.018), False),
        ((0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.4, 0.0), (*FIRST, 0.018, 0.054), False),
        ((0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7), (*FIRST, 0.018, 0.054), True),  # Twice at most.
        ((0.1, 0.2, 0.8, 0.3, 0.2, 0.1, 0.0, 0.0), (0.0002, *FIRST), False),
        ((0.9, 0.8, 0.7, 0.3, 0.2, 0.1, 0.0, 0.0), (6.66667e-05, 0.0002, *FIRST), True),
        ((0.1, 0.1, 0.5, 0.5, 0.5, 0.0, 0.0, 0.0), (0.0002, *FIRST), False),  # Of equals the smallest rate.
        ((0.2, 0.3, *["diverged"] * 6), (6.66667e-05, 0.0002, *FIRST), False),
        (("failed",) * 8, FIRST, False),  # Another rate would end likewise.
        (("skipped",) * 8, FIRST, False),
        ((0.0, 0.0, 0.1, 0.2, 0.3, *["diverged"] * 3), (*FIRST, 0.018), False),
    ],
)
def test_a_grid_grows_while_its_best_rate_is_the_last(
    scores: tuple[float | str, ...], expected: tuple[float, ...], at_limit: bool
) -> None:
    run, became = matched()[0], peak(*zip(FAR, scores, strict=True))
    found = learning_rates(run, became)
    assert found == expected
    best = max(found, key=lambda rate: became(trial_at(run, rate)).rank)
    assert is_at_limit(run, found, best) == at_limit


def test_the_next_round_waits_for_all_of_the_one_before() -> None:
    run, became = matched()[0], peak((0.0006, 0.1), (0.002, 0.2), (0.006, 0.3), (0.018, 0.4), (0.054, 0.3))
    for missing, expected in ((0.0006, FIRST), (0.018, (*FIRST, 0.018)), (0.054, (*FIRST, 0.018, 0.054))):
        found = learning_rates(run, lambda t, m=missing: None if t.budget.learning_rate == m else became(t))  # type: ignore[misc]
        assert found == expected


def test_a_grid_that_may_not_grow_stays_and_is_another_key() -> None:
    run = matched("grow: 0")[0]
    became = peak(*zip(FIRST, (0.1, 0.2, 0.3), strict=True))
    assert learning_rates(run, became) == FIRST
    assert is_at_limit(run, FIRST, 0.006)
    assert run.key != matched()[0].key
    assert {t.key for t in trials(run)} == {t.key for t in trials(matched()[0])}


def test_solving_for_the_head_is_as_before_and_for_a_width_of_its_own_another_track_with_other_trials() -> None:
    head, own = matched("solve: head, target: 5000")[0], matched("solve: own, target: 5000")[0]
    assert head.key == matched("target: 5000")[0].key
    assert "solve" not in head.track.options
    assert (solves_own(head.track), solves_own(own.track)) == (False, True)
    assert own.key != head.key
    assert not {trial.key for trial in trials(own)} & {trial.key for trial in trials(head)}
    assert {trial.track.options["solve"] for trial in trials(own)} == {"own"}
    both = suite(
        "[{name: matched_parameters, options: {target: 5000}},"
        " {name: matched_parameters, options: {target: 5000, solve: own}, seeds: 1}]"
    )
    assert [track_label(track) for track in both.tracks] == [
        "matched_parameters+target=5000",
        "matched_parameters+solve=own+target=5000",
    ]
    assert len(list(both.runs())) == 6


def test_two_targets_are_two_tracks() -> None:
    found = suite("[matched_parameters, {name: matched_parameters, options: {target: 5000}}]")
    assert [track_label(track) for track in found.tracks] == ["matched_parameters", "matched_parameters+target=5000"]
    assert len(list(found.runs())) == 8


@pytest.mark.parametrize(
    ("tracks", "reason"),
    [
        ("[matched_parameter]", r"line 6: tracks.0: no track 'matched_parameter'; did you mean 'matched_parameters'"),
        (
            "[{name: matched_parameters, options: {targets: 1}}]",
            r"no option of track 'matched_parameters' called 'targ",
        ),
        (
            "[{name: matched_parameters, options: {target: 0}}]",
            r"line 6: tracks.0.options.target: track 'matched_parameters': .*greater than or equal to 1, got 0",
        ),
        ("[{name: matched_parameters, options: {target: 1.5}}]", r"options.target: .*give a whole number, got 1.5"),
        ("[{name: matched_parameters, options: {learning_rates: [0]}}]", r"learning_rates.0: .*greater than 0, got 0"),
        ("[{name: matched_parameters, options: {learning_rates: [1e-3, 1e-3]}}]", r"one learning rate is named twice"),
        (
            "[{name: matched_parameters, options: {solve: width}}]",
            r"options.solve: .*give 'head' or 'own', got 'width'",
        ),
        ("[{name: matched_parameters, options: {trial_seed: 1}}]", r"trial_seed: seed 1 is one of the suite's"),
        ("[matched_parameters, matched_parameters]", r"tracks.1: 'matched_parameters' is named twice"),
    ],
)
def test_a_mistake_is_one_line_in_its_place(tracks: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        suite(tracks)
