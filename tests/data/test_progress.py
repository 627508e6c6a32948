from __future__ import annotations

import pytest

from fusionbench.data.progress import progress


def test_a_pipe_gets_one_line_per_step(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("shards", 2) as show:
        show(0, "a 1 of 2 MB")
        show(1, "a")
        show(1, "b 1 of 2 MB")
        show(2, "b")
    assert capsys.readouterr().err == "shards: a (1 of 2)\nshards: b (2 of 2)\n"


def test_a_pipe_gets_no_more_lines_than_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("shards", 1000, lines=4) as show:
        for done in range(1, 1001):
            show(done, "x")
    assert [line.split("(")[1] for line in capsys.readouterr().err.splitlines()] == [
        f"{done} of 1000)" for done in (250, 500, 750, 1000)
    ]


def test_a_terminal_gets_a_bar_that_may_show_brackets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress("shards", 3) as show:
        show(1, "[a]")
    assert "[a]" in capsys.readouterr().err
