"""`plan --time`: rows are timed by a few steps, once a machine; no time is asserted, only that there is one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from small_suites import Bench

from fusionbench.cli.main import main
from fusionbench.plan.load import load_suite
from fusionbench.records.timings import Timing, row_key


def timings(bench: Bench) -> dict[str, dict[str, Any]]:
    (path,) = (bench.data / "timings").glob("*.json")
    found: dict[str, dict[str, Any]] = json.loads(path.read_text())["rows"]
    return found


def test_rows_are_timed_once_and_a_plan_then_says_how_long(
    own_data: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = own_data.suite(strategies=["chance", "concat", "late"])
    assert main(own_data.arguments("plan", suite)) == 0
    assert f"how long that takes here: fusionbench plan {suite} --time" in capsys.readouterr().err
    assert not (own_data.data / "timings").exists()
    assert main(own_data.arguments("plan", suite, "--time")) == 0
    told = capsys.readouterr().out
    assert "timing digits / concat" in told
    assert "tiny: 6 runs; 6 to do\nwhat is left takes about " in told
    assert own_data.records() == {}
    runs = {row_key(run): run for run in load_suite(suite).runs()}
    assert set(timings(own_data)) == set(runs)
    assert all(Timing(**row).seconds(1) > 0 for row in timings(own_data).values())
    monkeypatch.setattr("fusionbench.engines.local.Pool._start", None)  # No worker is started for what is known.
    for words in ([], ["--time"], ["--set", "seeds=5", "--set", "budget.epochs=300"]):
        assert main(own_data.arguments("plan", suite, *words)) == 0
        said = capsys.readouterr()
        assert "what is left takes about " in (said.out if "--time" in words else said.err)


def test_what_could_not_be_timed_is_named_with_the_reason_and_the_rest_is_timed(
    own_data: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = own_data.suite(strategies=["concat", *own_data.own("raises", "dies", "unbuildable", "unsuited")], seeds=1)
    assert main(own_data.arguments("plan", suite, "--time")) == 0
    told = capsys.readouterr().out
    own = own_data.package
    assert f"not timed, taken as others on average: digits / {own}.raises: RuntimeError: no idea" in told
    assert f"digits / {own}.unbuildable: ValueError: no such shape" in told
    assert f"digits / {own}.dies: " in told
    assert f"{own}.unsuited: " not in told  # Its record that says why is soon made.
    assert "what is left takes about " in told
    assert len(timings(own_data)) == 2


def test_data_that_are_not_there_are_a_reason_too(own_data: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    (own_data.folder / own_data.package).mkdir()
    (own_data.folder / own_data.package / "lost.py").write_text(
        '"""Lost."""\nfrom fusionbench.core.errors import UserError\nfrom fusionbench.data.base import MultimodalData\n'
        'class Lost(MultimodalData):\n    views = {"v": {"a": "vector"}}\n'
        '    default_encoders = {"vector": "mlp"}\n'
        '    def prepare_data(self):\n        raise UserError("no such folder; put it there")\n'
    )
    suite = own_data.suite(datasets=["digits", f"{own_data.package}.lost"], strategies=["concat"], seeds=1)
    assert main(own_data.arguments("plan", suite, "--time")) == 0
    told = capsys.readouterr().out
    assert f"not timed, taken as others on average: {own_data.package}.lost: no such folder; put it there" in told
    assert "what is left takes about " in told


def test_encoders_beforehand_and_stored_encodings_are_timed_without_training_or_storing_them(
    own_data: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    frozen = {"image": {"name": "small_cnn", "options": {"width": 8}, "pretrain": {"epochs": 1}}}
    strategies = ["concat", "logistic_regression"]
    suite = own_data.suite(strategies=strategies, encoders=frozen, seeds=1, tracks=["same_encoders", "tuned"])
    assert main(own_data.arguments("plan", suite, "--time")) == 0
    told = capsys.readouterr().out
    assert "timing digits / encoder of left" in told
    assert "not timed" not in told
    assert "(with its trials)" in told
    assert not (own_data.data / "pretrained").exists()
    assert not (own_data.data / "encodings").exists()
    run = next(load_suite(suite).runs())
    assert {row_key(run, what, name) for what in ("pretrain", "encode") for name in ("left", "right")} <= set(
        timings(own_data)
    )
