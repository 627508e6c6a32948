"""What is shown while a suite runs."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path

import pytest
from rich.console import Console

from fusionbench.api.notebook import NotebookWatcher
from fusionbench.api.progress import LineWatcher, LiveWatcher, silent
from fusionbench.bench.jobs import LatencyJob, Message, Place, PrepareJob, PretrainJob, TrainJob
from fusionbench.plan.load import load_suite

RUN = next(load_suite("quickstart").runs())
PLACE = Place(Path("results"), "quickstart", None, 1, {})
TRAIN = TrainJob(PLACE, RUN, ())
DONE = Message("finished", "done", facts={"score": 0.91234, "seconds": 1.26, "reason": ""})
FAILED = Message("finished", "failed", facts={"score": None, "seconds": 0.0, "reason": "RuntimeError: no [idea]"})


def test_a_pipe_gets_one_line_per_event() -> None:
    lines: list[str] = []
    with LineWatcher(10, 4, lines.append) as watcher:
        watcher.started(PrepareJob(PLACE, (RUN,)))
        watcher.started(TRAIN)
        watcher.progress(TRAIN, Message("progress", "", 1, 20))
        watcher.ended(TRAIN, DONE)
        watcher.ended(TRAIN, FAILED)
        watcher.waiting(2, "process 7 on host there")
        watcher.waiting(1, "process 7 on host there")
        watcher.started(LatencyJob(PLACE, (RUN,), {}))
        watcher.said("left: image")
    assert lines == [
        "preparing digits",
        "[5/10] digits / chance, seed 0: done 0.9123 in 1.3 s",
        "[6/10] digits / chance, seed 0: failed: RuntimeError: no [idea]",
        "2 runs are being done by another runner on these results; waiting for it (process 7 on host there)",
        "1 run is being done by another runner on these results; waiting for it (process 7 on host there)",
        "timing digits, 1 strategies interleaved",
        "left: image",
    ]


def test_a_terminal_gets_runs_done_the_current_epoch_and_the_time_left() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120)
    with LiveWatcher(10, 4, console) as watcher:
        watcher.started(TRAIN)
        watcher.progress(TRAIN, Message("progress", "", 7, 20))
        watcher.bars.refresh()
        watcher.ended(TRAIN, FAILED)
        watcher.bars.refresh()
    text = screen.getvalue()
    assert "7/20" in text
    assert "digits / chance, seed 0" in text
    assert "5/10" in text
    assert "left" in text
    assert "failed: RuntimeError: no [idea]" in text


def test_preparing_has_the_terminal_to_itself() -> None:
    screen = io.StringIO()
    prepare = PrepareJob(PLACE, (RUN,))
    with LiveWatcher(10, 0, Console(file=screen, force_terminal=True, width=120)) as watcher:
        watcher.bars.refresh()
        assert "starting" in screen.getvalue()
        watcher.started(prepare)
        assert not watcher.bars.live.is_started
        watcher.ended(prepare, Message("finished", "prepared"))
        assert watcher.bars.live.is_started
        watcher.started(TRAIN)
        watcher.bars.refresh()
    assert "preparing digits" in screen.getvalue()
    assert "runs" in screen.getvalue()


def test_pretraining_is_announced_and_its_score_told() -> None:
    run = next(run for run in load_suite("sentiment").runs() if run.pretrained)
    job, place = (
        PretrainJob(PLACE, run, "image"),
        "pretraining imdb_cifar10+length=128+relation=redundant / image, seed 0",
    )
    ended = Message("finished", "validation accuracy", facts={"score": 0.93214, "seconds": 81.2})
    lines: list[str] = []
    with LineWatcher(10, 0, lines.append) as watcher:
        watcher.started(job)
        watcher.ended(job, ended)
        watcher.ended(job, Message("finished", "there already"))
    assert lines == [place, f"{place}: validation accuracy 0.9321 in 81.2 s", f"{place}: there already"]
    screen = io.StringIO()
    with LiveWatcher(10, 0, Console(file=screen, force_terminal=True, width=160)) as watcher:
        watcher.started(job)
        watcher.progress(job, Message("progress", "", 5, 8))
        watcher.bars.refresh()
        watcher.ended(job, ended)
    assert "5/8" in screen.getvalue()
    assert "validation accuracy 0.9321" in screen.getvalue()
    assert "0/10" in screen.getvalue()


def test_a_notebook_gets_a_bar_for_the_suite_and_one_for_each_worker() -> None:
    drawn: list[tuple[str, str]] = []
    with NotebookWatcher(10, 4, lambda html, plain: drawn.append((html, plain))) as watcher:
        assert "starting" in drawn[-1][1]
        watcher.started(TRAIN)
        watcher.drawn = -1.0  # As if the last drawing were long ago.
        watcher.progress(TRAIN, Message("progress", "", 7, 20))
        html, plain = drawn[-1]
        assert '<progress value="4" max="10">' in html
        assert '<progress value="7" max="20">' in html
        assert "digits / chance, seed 0 7/20" in plain
        many = len(drawn)
        watcher.progress(TRAIN, Message("progress", "", 8, 20))
        assert len(drawn) == many  # Not more often than anybody sees.
        watcher.ended(TRAIN, FAILED)
        watcher.told("<so & so>")
        assert "&lt;so &amp; so&gt;" in drawn[-1][0]
    html, plain = drawn[-1]
    assert "failed: RuntimeError: no [idea]" in html
    assert plain.splitlines()[-1].startswith("done in ")
    assert html.count("<progress") == 1


def test_a_notebook_that_was_stopped_shows_so() -> None:
    drawn: list[str] = []
    with suppress(KeyboardInterrupt), NotebookWatcher(10, 0, lambda _, plain: drawn.append(plain)) as watcher:
        watcher.started(TRAIN)
        raise KeyboardInterrupt
    assert drawn[-1].startswith("stopped after ")
    assert "digits / chance" not in drawn[-1]


def test_where_nothing_is_to_be_shown_a_notice_is(capsys: pytest.CaptureFixture[str]) -> None:
    with silent(3, 0) as watcher:
        watcher.said("left: image")
        watcher.started(LatencyJob(PLACE, (RUN,), {}))
        watcher.told("many times slower here")
    assert capsys.readouterr() == ("", "many times slower here\n")
