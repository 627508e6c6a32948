"""`verify` on suites that were run just now: the same bytes again, whatever the track; and what stops it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small_suites import Bench

from fusionbench.cli.main import main

XOR = {"name": "synthetic_pid", "options": {"relation": "synergy", "train": 256, "validation": 256, "test": 256}}
TUNED = {"name": "tuned", "options": {"trials": 2, "trial_seeds": [1_000_000]}}
MATCHED = {"name": "matched_parameters", "options": {"target": 100_000, "grow": 0, "learning_rates": [1e-4, 3e-3]}}


def suite(bench: Bench, **changes: Any) -> str:
    tree = {"datasets": [XOR], "strategies": ["low_rank"], "seeds": 1, "budget": {"epochs": 2}, "measures": []}
    return bench.suite(**{**tree, **changes})


def paths(bench: Bench, role: str, track: str = "") -> list[Path]:
    """Records of a role, and of a track."""
    found = [path for path in bench.folder.rglob("*.json") if path.stem.count(".") == 0 and path.name != "tiny.yaml"]
    specs = {path: json.loads(path.read_text())["spec"] for path in found}
    return [path for path, spec in specs.items() if spec["role"] == role and track in ("", spec["track"]["name"])]


def verify(bench: Bench, key: str) -> int:
    return main(bench.arguments("verify", key))


def change(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_rows_of_every_track_are_trained_as_their_trials_chose(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.run(suite(bench, tracks=["same_encoders", MATCHED, TUNED])) == 0
    before = {path: path.read_bytes() for path in bench.folder.rglob("*") if path.is_file()}
    for track in ("same_encoders", "matched_parameters", "tuned"):
        (path,) = paths(bench, "final", track)
        capsys.readouterr()
        assert verify(bench, path.stem) == 0, capsys.readouterr()
        said = capsys.readouterr().out.splitlines()
        assert said[-1].endswith("confirmed, every score and curve byte for byte.")
        assert sum(line.startswith("[") for line in said) == 1  # No trial is done again.
    assert {path: path.read_bytes() for path in bench.folder.rglob("*") if path.is_file()} == before
    trial, *_ = paths(bench, "trial")
    assert verify(bench, trial.stem) == 2
    assert capsys.readouterr().err == (
        f"fusionbench: {trial.stem} is a trial, which is never tested; give the key of a final run\n"
    )


def test_the_last_digit_of_one_score_is_seen(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run(suite(bench, strategies=["concat"])) == 0
    (path,) = paths(bench, "final")
    scores = json.loads(path.read_text())["scores"]
    change(path, scores={**scores, "test/nll": scores["test/nll"] + 1e-12})
    assert verify(bench, path.stem) == 1
    out = capsys.readouterr().out
    assert "Processor, torch, threads and variables are the same, so every number has to be; these are not:" in out
    assert [line.split()[0] for line in out.splitlines() if line.startswith("  t")] == ["test/nll"]
    assert "environment: the same, as far as both state it" in out


def test_other_data_are_seen_before_anything_trains(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run(suite(bench, strategies=["concat"])) == 0
    (path,) = paths(bench, "final")
    facts = json.loads(path.read_text())["data"]
    change(path, data={**facts, "fingerprint": "a" * 64})
    capsys.readouterr()
    assert verify(bench, path.stem) == 1
    said = capsys.readouterr().out.splitlines()
    assert f"data: fingerprint of the data: aaaaaaaaaaaa then, {facts['fingerprint'][:12]} now" in said
    assert not [line for line in said if line.startswith("[")]


def test_a_record_that_does_not_say_what_its_trials_chose_is_one_line(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.run(suite(bench, strategies=["concat"], tracks=[TUNED])) == 0
    (path,) = paths(bench, "final")
    change(path, options={})
    assert verify(bench, path.stem) == 2
    assert "does not say what its trials chose" in capsys.readouterr().err


def test_another_source_or_version_of_a_plugin_is_one_line(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    (own,) = bench.own("works")
    assert bench.run(suite(bench, strategies=[own])) == 0
    (path,) = paths(bench, "final")
    assert verify(bench, path.stem) == 0
    file = bench.folder / bench.package / "works.py"
    file.write_text(file.read_text() + "\n# another\n")
    capsys.readouterr()
    from fusionbench.core.catalogue import forget

    forget()
    assert verify(bench, path.stem) == 2
    error = capsys.readouterr().err
    assert f"strategy '{own}' was another: its file, or one that it imports, has changed since" in error
