"""What the launcher asks a worker process to do, and what it hears back. No torch: the launcher never imports it."""

from __future__ import annotations

from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from fusionbench.core.errors import Interrupted
from fusionbench.plan.suite import Choice, RunSpec

SESSION_MEASURES = ("latency",)
"""Measures over all strategies at once, after all training; the others are taken of each run's model."""


@dataclass(frozen=True)
class Place:
    """Where a suite's work happens."""

    results: Path
    suite: str
    data: Path | None
    """The data folder; None: the default one."""
    threads: int
    """torch threads per worker."""
    environment: dict[str, Any]
    debug: bool = False


@dataclass(frozen=True)
class TrainJob:
    """Train one run, test it once, publish its record and the measures that need nothing but its model."""

    place: Place
    run: RunSpec
    measures: tuple[Choice, ...]


@dataclass(frozen=True)
class MeasureJob:
    """Take measures of a run that is done already: they were added to the suite later."""

    place: Place
    run: RunSpec
    measures: tuple[Choice, ...]


@dataclass(frozen=True)
class PrepareJob:
    """Download, verify, convert one dataset; build every model once, so that a wrong option shows before training."""

    place: Place
    runs: tuple[RunSpec, ...]
    """One run per strategy, all of the same dataset."""


@dataclass(frozen=True)
class PretrainJob:
    """Train one encoder on its modality's own labels, unless an earlier call has; all runs of its seed share it."""

    place: Place
    run: RunSpec
    """One of those that use it."""
    modality: str


@dataclass(frozen=True)
class LatencyJob:
    """One latency session over the strategies of one dataset."""

    place: Place
    runs: tuple[RunSpec, ...]
    """One run per strategy, all of the same dataset."""
    options: dict[str, Any]


Job = TrainJob | MeasureJob | PrepareJob | PretrainJob | LatencyJob


@dataclass(frozen=True)
class Message:
    """One thing that a worker tells the launcher."""

    kind: Literal["progress", "finished", "user_error"]
    text: str = ""
    """finished: the status; user_error: the message; progress: what is going on."""
    done: int = 0
    total: int = 0
    facts: dict[str, Any] = field(default_factory=dict)


class Report:
    """The worker's end of the pipe to the launcher."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def send(self, message: Message) -> None:
        """Tell the launcher.

        Raises:
            Interrupted: it is gone.
        """
        try:
            self.connection.send(message)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Interrupted from error

    def progress(self, done: int, total: int, text: str = "") -> None:
        """So much of the job is done."""
        self.send(Message("progress", text, done, total))
