"""How far a download or a conversion has come: a bar on a terminal, lines in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Show = Callable[[int, str], None]
"""show(done, what): how many steps are done, and what is being done now."""


@contextmanager
def progress(label: str, total: int, lines: int | None = None) -> Iterator[Show]:
    """Progress on standard error over `total` steps.

    Args:
        label: begins the bar, and every line.
        total: how many steps there are.
        lines: in a pipe at most so many, evenly spread; None: one per step.
    """
    if sys.stderr.isatty():
        yield from _bar(label, total)
    else:
        yield from _lines(label, total, min(total, lines or total))


def _bar(label: str, total: int) -> Iterator[Show]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(label), total=total)
        yield lambda done, what: bar.update(task, completed=done, description=escape(f"{label}: {what}"))


def _lines(label: str, total: int, lines: int) -> Iterator[Show]:
    shown = 0

    def show(done: int, what: str) -> None:
        nonlocal shown
        # Only whole steps, and only when the next of the lines is due.
        if done > shown and done * lines // total > shown * lines // total:
            sys.stderr.write(f"{label}: {what} ({done} of {total})\n")
            sys.stderr.flush()
            shown = done

    yield show
