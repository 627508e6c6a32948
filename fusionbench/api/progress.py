"""What a user sees while a suite runs: a live display on a terminal or in a notebook, one line per event in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from fusionbench.bench.jobs import EncodeJob, Job, MeasureJob, Message, PrepareJob, PretrainJob, TimeJob, TrainJob
from fusionbench.engines.local import Watcher
from fusionbench.engines.titles import title


class Shown(Watcher, AbstractContextManager["Shown"], Protocol):
    """A watcher that begins to show when it is entered, and also takes lines."""

    def said(self, line: str) -> None:
        """A line like any other."""


def watcher_here(total: int, already: int) -> Shown:
    """For a call from Python: bars in a notebook or on a terminal, else lines on standard error."""
    console = Console()
    if console.is_jupyter:
        from fusionbench.api.notebook import NotebookWatcher, drawing

        return NotebookWatcher(total, already, drawing())
    if console.is_terminal:
        return LiveWatcher(total, already, console)
    return LineWatcher(total, already, _to_standard_error)


def silent(total: int, already: int) -> Shown:
    """Shows nothing but notices."""
    return LineWatcher(total, already, lambda _: None)


def outcome(message: Message) -> str:
    """How a job ended: `done 0.912 in 1.4 s`, or the status and its reason; what could not be measured besides."""
    left = "".join(f"; not measured: {line}" for line in message.facts.get("unmeasured", ()))
    return f"{_ended(message)}{left}"


def measured(message: Message) -> str:
    """How a measure was taken, where it needs a trained model: `from its weights`; empty where it does not."""
    return outcome(message) if "how" in message.facts else ""


def _ended(message: Message) -> str:
    if "how" in message.facts:
        return f"{message.text} {message.facts['how']}"
    if message.facts.get("score") is not None:
        return f"{message.text} {message.facts['score']:.4f} in {message.facts['seconds']:.1f} s"
    reason = message.facts.get("reason", "")
    return f"{message.text}: {reason}" if reason else message.text


def waiting_for(count: int, holder: str) -> str:
    """That others are at work, who, and what to do if they are not."""
    runs = "1 run is" if count == 1 else f"{count} runs are"
    return f"{runs} being done by another runner on these results; waiting for it ({holder})"


def time_left(began: float, total: int, already: int, done: int) -> str:
    """Time left, from the runs that this call has done; empty before the first."""
    if done <= already:
        return ""
    seconds = (time.monotonic() - began) / (done - already) * (total - done)
    return f"about {seconds / 60:.0f} min left" if seconds >= 90 else f"about {seconds:.0f} s left"


def _to_standard_error(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


class LineWatcher:
    """One line per event, for pipes and log files."""

    def __init__(self, total: int, already: int, write: Callable[[str], None]) -> None:
        self.total, self.count, self.write = total, already, write

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to put away."""

    def told(self, line: str) -> None:
        """A notice, apart from the lines."""
        _to_standard_error(line)

    def said(self, line: str) -> None:
        """A line like any other."""
        self.write(line)

    def started(self, job: Job) -> None:
        """Only long jobs are announced; a training run is told when it ends."""
        if not isinstance(job, TrainJob | MeasureJob):
            self.write(title(job))

    def progress(self, job: Job, message: Message) -> None:
        """Too often for a line."""

    def ended(self, job: Job, message: Message) -> None:
        """The run and how it ended; of preparing, how much room encodings will take."""
        if isinstance(job, PrepareJob) and message.facts.get("encodings"):
            self.write(message.facts["encodings"])
        if isinstance(job, TrainJob):
            self.count += 1
            self.write(f"[{self.count}/{self.total}] {title(job)}: {outcome(message)}")
        if isinstance(job, PretrainJob | EncodeJob) or (isinstance(job, MeasureJob) and measured(message)):
            self.write(f"{title(job)}: {outcome(message)}")

    def waiting(self, count: int, holder: str) -> None:
        """Another runner is at work."""
        self.write(waiting_for(count, holder))

    def more(self, count: int) -> None:
        """The next round of trials."""
        self.total += count


class LiveWatcher:
    """Runs done, what each worker is at, and the time left, on a terminal."""

    def __init__(self, total: int, already: int, console: Console) -> None:
        self.console, self.total, self.already = console, total, already
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
        )
        self.rows: dict[int, TaskID] = {}
        self.began = time.monotonic()

    def __enter__(self) -> Self:
        self.bars.start()
        # Importing torch takes the server seconds: without a word, that looks like a hang.
        self.suite = self.bars.add_task("starting", total=self.total or None, completed=self.already, left="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def told(self, line: str) -> None:
        """A notice, above the bars."""
        self.console.print(line, highlight=False, markup=False)

    said = told

    def started(self, job: Job) -> None:
        """A row for the worker; one that prepares data has the terminal to itself, for its own display."""
        if isinstance(job, PrepareJob):
            self.bars.stop()
            self.console.print(title(job), highlight=False, markup=False)
            return
        self.bars.update(self.suite, description="runs", visible=self.total > 0)
        total = job.run.budget.epochs if isinstance(job, TrainJob) else None
        self.rows[id(job)] = self.bars.add_task(f"  {title(job)}", total=total, left="")

    def progress(self, job: Job, message: Message) -> None:
        """Epochs, or whatever the job counts."""
        self.bars.update(self.rows[id(job)], completed=message.done, total=message.total)

    def ended(self, job: Job, message: Message) -> None:
        """The row goes; a run that did not end well stays as a line above."""
        if isinstance(job, PrepareJob):
            if message.facts.get("encodings"):
                self.console.print(message.facts["encodings"], highlight=False, markup=False)
            self.bars.start()
            return
        self.bars.remove_task(self.rows.pop(id(job)))
        if isinstance(job, PretrainJob | EncodeJob) or (isinstance(job, MeasureJob) and measured(message)):
            self.console.print(f"{title(job)}: {outcome(message)}", highlight=False, markup=False)
        if not isinstance(job, TrainJob | TimeJob):
            return
        self.bars.advance(self.suite)
        if message.text not in ("done", "timed") or message.facts.get("unmeasured"):
            self.console.print(f"{title(job)}: {outcome(message)}", highlight=False, markup=False)
        done = int(self.bars.tasks[0].completed)
        self.bars.update(self.suite, left=time_left(self.began, self.total, self.already, done))

    def waiting(self, count: int, holder: str) -> None:
        """Another runner is at work."""
        self.console.print(waiting_for(count, holder), highlight=False, markup=False)

    def more(self, count: int) -> None:
        """The next round of trials."""
        self.total += count
        self.bars.update(self.suite, total=self.total)
