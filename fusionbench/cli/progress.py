"""What a user sees while a suite runs: a live display on a terminal, one line per event in a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from fusionbench.bench.jobs import EncodeJob, Job, MeasureJob, Message, PrepareJob, PretrainJob, TrainJob
from fusionbench.engines.titles import title


def outcome(message: Message) -> str:
    """How a job ended: `done 0.912 in 1.4 s`, or the status and its reason."""
    if message.facts.get("score") is not None:
        return f"{message.text} {message.facts['score']:.4f} in {message.facts['seconds']:.1f} s"
    reason = message.facts.get("reason", "")
    return f"{message.text}: {reason}" if reason else message.text


def waiting_for(count: int, holder: str) -> str:
    """That others are at work, who, and what to do if they are not."""
    runs = "1 run is" if count == 1 else f"{count} runs are"
    return f"{runs} being done by another runner on these results; waiting for it ({holder})"


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
        if isinstance(job, PretrainJob | EncodeJob):
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
        if isinstance(job, PretrainJob | EncodeJob):
            self.console.print(f"{title(job)}: {outcome(message)}", highlight=False, markup=False)
        if not isinstance(job, TrainJob):
            return
        self.bars.advance(self.suite)
        if message.text != "done":
            self.console.print(f"{title(job)}: {outcome(message)}", highlight=False, markup=False)
        self.bars.update(self.suite, left=self._left())

    def waiting(self, count: int, holder: str) -> None:
        """Another runner is at work."""
        self.console.print(waiting_for(count, holder), highlight=False, markup=False)

    def more(self, count: int) -> None:
        """The next round of trials."""
        self.total += count
        self.bars.update(self.suite, total=self.total)

    def _left(self) -> str:
        """Time left, from the runs that this call has done."""
        done = int(self.bars.tasks[0].completed) - self.already
        seconds = (time.monotonic() - self.began) / done * (self.total - self.already - done)
        return f"about {seconds / 60:.0f} min left" if seconds >= 90 else f"about {seconds:.0f} s left"
