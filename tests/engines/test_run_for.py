"""`run --for`: really run, stopped by the clock, and gone on with."""

from __future__ import annotations

import pytest
from small_suites import Bench

from fusionbench.cli.main import main


def test_what_there_is_no_time_for_is_left_out_and_the_same_command_goes_on(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = bench.suite(seeds=2, measures=[])
    assert bench.run(suite, "--for", "0.001s") == 0
    told = capsys.readouterr().out
    assert "tiny: 4 missing\n--for 0.001s left out runs of every seed" in told
    assert list((bench.folder / "results").rglob("*.lock")) == []
    assert bench.records() == {}
    assert bench.run(suite, "--for", "1h") == 0
    assert "left out" not in capsys.readouterr().out
    assert len(bench.records()) == 4


@pytest.mark.parametrize("time", ["soon", "10", "0m", ""])
def test_a_duration_that_is_none_is_one_line_before_anything_is_read(
    bench: Bench, capsys: pytest.CaptureFixture[str], time: str
) -> None:
    assert main(bench.arguments("run", "no such suite", "--for", time)) == 2
    assert capsys.readouterr().err.startswith("fusionbench: --for: give a duration such as 90s, 10m, 1.5h or 1h30m")


def test_torchrun_is_refused(bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.setenv(name, "0")
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "2")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    assert bench.run(bench.suite(), "--for", "5m") == 2
    assert "--for: torchrun's processes go on" in capsys.readouterr().err
