"""What of a record is sent."""

from __future__ import annotations

from dataclasses import replace

from published_suite import Published, made_up, timed

from fusionbench.plan.suite import Choice
from fusionbench.publish.mirror import mirror


def test_the_summary_holds_scores_validation_and_measures_by_the_names_that_records_have(made: Published) -> None:
    run = made.runs[0]
    summary = mirror(made.suite, made.store, made.record(run)).summary
    record = made.record(run)
    assert {name: summary[name] for name in record.scores} == record.scores
    assert {name: summary[name] for name in record.validation} == record.validation
    assert (summary["size/fusion_parameters"], summary["size/flops_per_sample"]) == (2890, 0.1 + 0.2)
    assert (summary["status"], summary["epochs_run"]) == ("done", 3)


def test_settings_are_flat_and_named_by_their_paths_in_a_suite(made: Published) -> None:
    config = mirror(made.suite, made.store, made.record(made.runs[0])).config
    assert (config["suite"], config["key"]) == ("tiny", made.runs[0].key)
    assert (config["budget.epochs"], config["dataset.name"], config["seed"]) == (3, "digits", 0)
    assert (config["environment.torch"], config["data.counts.test"]) == ("2.15.0", 361)
    assert (config["task.modalities.0.name"], config["task.modalities.0.shape"]) == ("left", [64])
    assert not any(isinstance(value, dict) for value in config.values())
    assert not any(name.startswith(("scores", "curves", "validation")) for name in config)


def test_a_diverged_run_keeps_the_epochs_that_it_reached(made: Published) -> None:
    content = mirror(made.suite, made.store, made.record(made.runs[1]))
    assert content.curves[1:] == [{"train/loss": 0.1 + 0.2, "validation/accuracy": 2 / 3}, {"train/loss": 2 / 3}]
    assert content.is_failure
    assert "diverged" in content.tags


def test_latency_is_that_of_the_newest_session(made: Published) -> None:
    timed(made, 0.25, "2026-01-02")
    timed(made, 0.75, "2026-01-01")
    summary = mirror(made.suite, made.store, made.record(made.runs[0])).summary
    assert summary["latency/fusion/batch_1/threads_1/median_ms"] == 0.25
    assert len(summary["latency/session"]) == 12


def test_what_is_sent_has_another_digest_once_the_record_changes(made: Published) -> None:
    record = made.record(made.runs[0])
    other = replace(record, scores={**record.scores, "test/nll": 0.5})
    digests = [mirror(made.suite, made.store, one).digest for one in (record, record, other)]
    assert digests[0] == digests[1] != digests[2]


def test_names_too_long_for_wandb_are_cut_and_stay_apart(made: Published) -> None:
    suite = replace(made.suite, name="s" * 64)
    tracks = [Choice(f"{'same_encoders' * 6}_{number}") for number in (1, 2)]
    contents = [mirror(suite, made.store, made_up(replace(made.runs[0], track=track))) for track in tracks]
    assert all(len(content.group) == 128 for content in contents)
    assert all(len(tag) <= 64 for content in contents for tag in content.tags)
    assert contents[0].group != contents[1].group
    assert contents[0].tags != contents[1].tags
