"""What a notebook shows while a suite runs: bars that need no widgets, in whichever program draws the notebook."""

from __future__ import annotations

import time
from collections.abc import Callable
from html import escape
from types import TracebackType
from typing import Any, Self

from fusionbench.api.progress import outcome, time_left, waiting_for
from fusionbench.bench.jobs import EncodeJob, Job, Message, PrepareJob, PretrainJob, TrainJob
from fusionbench.engines.titles import title

EVERY_S = 0.2
"""Between two drawings of how far a run has come."""
MOST_NOTES = 20

Draw = Callable[[str, str], None]
"""Shows HTML, and plain text where there is none, in the place of what was shown before."""


class NotebookWatcher:
    """Runs done, what each worker is at, the time left, and what went wrong."""

    def __init__(self, total: int, already: int, draw: Draw) -> None:
        self.total, self.already, self.done = total, already, already
        self.draw, self.began, self.drawn = draw, time.monotonic(), 0.0
        self.doing = "starting"
        self.rows: dict[int, tuple[str, int, int]] = {}
        """By job: its title, how far it is, and of how much."""
        self.notes: list[str] = []

    def __enter__(self) -> Self:
        # Importing torch takes the server seconds: without a word, that looks like a hang.
        self._show()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What stays in the notebook: no bar of what does not run any more."""
        self.rows.clear()
        seconds = f"{time.monotonic() - self.began:.0f} s"
        self.doing = f"stopped after {seconds}; the same call goes on" if kind else f"done in {seconds}"
        self._show()

    def told(self, line: str) -> None:
        """A notice, or any other line, above the bars."""
        self.notes.append(line)
        self._show()

    said = told

    def started(self, job: Job) -> None:
        """A bar for the worker."""
        self.doing = "runs"
        self.rows[id(job)] = title(job), 0, job.run.budget.epochs if isinstance(job, TrainJob) else 0
        self._show()

    def progress(self, job: Job, message: Message) -> None:
        """Epochs, or whatever the job counts."""
        self.rows[id(job)] = title(job), message.done, message.total
        if time.monotonic() - self.drawn >= EVERY_S:
            self._show()

    def ended(self, job: Job, message: Message) -> None:
        """The bar goes; a run that did not end well stays as a line, and so does what is worth to know of others."""
        self.rows.pop(id(job), None)
        self.done += isinstance(job, TrainJob)
        if isinstance(job, PrepareJob) and message.facts.get("encodings"):
            self.notes.append(str(message.facts["encodings"]))
        if isinstance(job, PretrainJob | EncodeJob) or (isinstance(job, TrainJob) and message.text != "done"):
            self.notes.append(f"{title(job)}: {outcome(message)}")
        self._show()

    def waiting(self, count: int, holder: str) -> None:
        """Another runner is at work."""
        self.told(waiting_for(count, holder))

    def more(self, count: int) -> None:
        """The next round of trials."""
        self.total += count
        self._show()

    def _show(self) -> None:
        self.drawn = time.monotonic()
        left = time_left(self.began, self.total, self.already, self.done) if self.rows else ""
        bars = [(self.doing, self.done, self.total, left), *((*row, "") for row in self.rows.values())]
        notes = [f"... and {len(self.notes) - MOST_NOTES} lines before", *self.notes[-MOST_NOTES:]]
        notes = notes[len(self.notes) <= MOST_NOTES :]
        plain = "\n".join([*notes, *(f"{what} {done}/{total} {more}".rstrip() for what, done, total, more in bars)])
        self.draw("".join([*(f"<div>{escape(note)}</div>" for note in notes), _table(bars)]), plain)


def _table(bars: list[tuple[str, int, int, str]]) -> str:
    return f'<table style="text-align: left">{"".join(_bar(*bar) for bar in bars)}</table>'


def _bar(what: str, done: int, total: int, more: str) -> str:
    """A line; a bar without an end moves where nothing tells how far it is."""
    bar = f'<progress value="{done}" max="{total}"></progress>' if total else "<progress></progress>"
    counted = f"{done}/{total}" if total else ""
    return f"<tr><td>{escape(what)}</td><td>{bar}</td><td>{counted}</td><td>{escape(more)}</td></tr>"


def drawing() -> Draw:
    """A place in the output of the cell that runs."""
    from IPython.display import display

    handle: Any = None

    def draw(html: str, plain: str) -> None:
        nonlocal handle
        shown = {"text/html": html, "text/plain": plain}
        if handle is None:
            handle = display(shown, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            handle.update(shown, raw=True)

    return draw
