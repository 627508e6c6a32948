"""Tracks: options filled in and checked, and which trials a run takes something over from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fusionbench.core.errors import UserError
from fusionbench.plan.load import suite_of
from fusionbench.plan.source import parse_source
from fusionbench.plan.suite import Choice, RunSpec, Suite
from fusionbench.plan.tracks import TRIAL_SEED, all_trials, learning_rates, track_label, trials_of

BASE = "name: x\ndatasets: [digits]\nstrategies: [concat, late]\nseeds: 2\nbudget: {learning_rate: 2e-3}\n"


def suite(tracks: str) -> Suite:
    return suite_of(parse_source(f"{BASE}tracks: {tracks}", "my.yaml"))


def matched(options: str = "") -> list[RunSpec]:
    return list(suite(f"[{{name: matched_parameters, options: {{{options}}}}}]").runs())


def test_a_track_has_all_its_options() -> None:
    expected = {"target": None, "learning_rates": [0.0006, 0.002, 0.006], "trial_seed": TRIAL_SEED}
    assert suite("[matched_parameters]").tracks == (Choice("matched_parameters", expected),)
    assert suite("[same_encoders]").tracks == (Choice("same_encoders"),)


def test_each_final_run_has_a_trial_for_each_learning_rate_at_one_seed_of_their_own() -> None:
    run = matched()[0]
    trials = trials_of(run)
    assert [trial.budget.learning_rate for trial in trials] == [0.0006, 0.002, 0.006]
    assert {(trial.seed, trial.role) for trial in trials} == {(TRIAL_SEED, "trial")}
    for trial in trials:
        assert replace(trial, seed=run.seed, role="final", track=run.track, budget=run.budget) == run
        assert trials_of(trial) == ()


def test_all_seeds_of_a_strategy_share_their_trials() -> None:
    runs = matched()
    assert len(runs) == 4
    assert len(all_trials(runs)) == 2 * 3


def test_a_grid_with_another_rate_finds_the_trials_of_the_others() -> None:
    keys = [{trial.key for trial in trials_of(matched(f"learning_rates: {rates}")[0])} for rates in ("[1e-3, 2e-3]",)]
    keys += [{trial.key for trial in trials_of(matched("learning_rates: [2e-3, 1e-3, 4e-3]")[0])}]
    assert keys[0] < keys[1]
    assert matched("learning_rates: [1e-3, 2e-3]")[0].key != matched("learning_rates: [2e-3, 1e-3, 4e-3]")[0].key


def test_trials_with_another_target_are_other_trials() -> None:
    assert not {t.key for t in all_trials(matched("target: 1000"))} & {t.key for t in all_trials(matched())}


def test_one_learning_rate_alone_needs_no_trials() -> None:
    run = matched("learning_rates: [3e-3]")[0]
    assert (trials_of(run), learning_rates(run)) == ((), (3e-3,))
    same = next(iter(suite("[same_encoders]").runs()))
    assert (trials_of(same), learning_rates(same)) == ((), (2e-3,))


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
        ("[{name: matched_parameters, options: {trial_seed: 1}}]", r"trial_seed: seed 1 is one of the suite's"),
        ("[matched_parameters, matched_parameters]", r"tracks.1: 'matched_parameters' is named twice"),
    ],
)
def test_a_mistake_is_one_line_in_its_place(tracks: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        suite(tracks)
