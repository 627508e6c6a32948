"""What the launcher asks a worker process to do, and what it hears back. No torch: the launcher never imports it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from socket import socket
from threading import Lock
from typing import Any, Literal, NoReturn

from fusionbench.core.catalogue import describe
from fusionbench.core.errors import Interrupted
from fusionbench.core.ranks import ALONE, Ranks
from fusionbench.plan.suite import Choice, RunSpec
from fusionbench.records.checkpoints import CHECKPOINT_AFTER_S
from fusionbench.records.claims import SILENT_AFTER_S


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
    stored_encodings: bool = True
    """Whether frozen encoders run once and what they give is stored; decides no result."""
    checkpoint_after: float = CHECKPOINT_AFTER_S
    """Seconds of training from which on a run keeps its state at epochs' borders; decides no result."""
    silent_after: float = SILENT_AFTER_S
    """Seconds after which a worker hangs that neither computes nor says anything; decides no result."""

    def stores(self, run: RunSpec) -> bool:
        """Whether a run reads stored encodings: all its encoders are frozen, and its strategy can do without inputs."""
        cacheable = describe("strategy", run.strategy.name).facts.get("cacheable", True)
        return self.stored_encodings and bool(run.encoders) and run.is_frozen and bool(cacheable)


@dataclass(frozen=True)
class TrainJob:
    """Train one run, test it once, publish its record and the measures that need nothing but its model."""

    place: Place
    run: RunSpec
    measures: tuple[Choice, ...]
    devices: int = 1
    """So many processes train it together; no part of the run's key, since they find what one finds."""
    keep_weights: bool = False
    """Whether its weights stay beside its record."""
    time_limit: float = 0.0
    """Seconds that it may take; 0: no limit."""


@dataclass(frozen=True)
class RendezvousJob:
    """Nothing but what training on several devices costs before its first step; see selftest."""

    place: Place
    devices: int = 1


@dataclass(frozen=True)
class MeasureJob:
    """Take measures of a run that is done already: from its weights where they are kept, else it is trained again."""

    place: Place
    run: RunSpec
    measures: tuple[Choice, ...]


@dataclass(frozen=True)
class PrepareJob:
    """Download, verify, convert one dataset; build every model once, so that a wrong option shows before training."""

    place: Place
    runs: tuple[RunSpec, ...]
    """One run per strategy, all of the same dataset."""
    devices: int = 1
    """What is to be shared out among so many devices."""
    seeds: int = 1
    """Of how many seeds encodings will be stored at a time."""
    measures: tuple[Choice, ...] = ()
    """That will be taken of the runs."""


@dataclass(frozen=True)
class PretrainJob:
    """Train one encoder on its modality's own labels, unless an earlier call has; all runs of its seed share it."""

    place: Place
    run: RunSpec
    """One of those that use it."""
    modality: str


@dataclass(frozen=True)
class EncodeJob:
    """Store what one frozen encoder makes of all rows, unless an earlier call has; all runs of its seed share it."""

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
    forms: tuple[str, ...] = ()
    """Of the trained models, timed and scored one beside the other; none: models as they are built, timed alone."""


@dataclass(frozen=True)
class ExportJob:
    """Write the trained model of a run that is done as a file of another form."""

    place: Place
    run: RunSpec
    form: str
    """torch-export or onnx."""
    path: Path
    """Where the file goes."""


@dataclass(frozen=True)
class ExplainJob:
    """Say which inputs of one test row speak for the answer of a run that is done; leaves nothing."""

    place: Place
    run: RunSpec
    example: int
    """Which test row, from 0."""
    of_class: str | None = None
    """Whose logit; None: the model's answer."""


@dataclass(frozen=True)
class TimeJob:
    """Time a few steps of a row, or of one of its encoders beforehand; leaves no record, and no weights."""

    place: Place
    run: RunSpec
    """One of the row's."""
    measures: tuple[Choice, ...] = ()
    modality: str = ""
    """Whose encoder; empty: the row itself."""


AboutModel = ExportJob | ExplainJob
"""About the trained model of a record, which stays as it is."""
Job = TimeJob | TrainJob | MeasureJob | PrepareJob | PretrainJob | EncodeJob | LatencyJob | RendezvousJob | AboutModel


def devices_of(job: Job) -> int:
    """How many processes do the job together."""
    return job.devices if isinstance(job, TrainJob | RendezvousJob) else 1


def runs_of(job: Job) -> tuple[RunSpec, ...]:
    """The runs that it is about."""
    match job:
        case PrepareJob() | LatencyJob():
            return job.runs
        case RendezvousJob():
            return ()
        case _:
            return (job.run,)


@dataclass(frozen=True)
class WorkerContext:
    """What a worker process is given besides its job."""

    log: Path | None = None
    """Where its output goes; None: where the launcher's goes."""
    gpus: tuple[str, ...] = ()
    """The GPUs it may see; none: whatever the launcher sees."""
    ranks: Ranks = ALONE
    port: int = 0
    """Where the processes of a group meet on this machine."""
    listener: socket | None = None
    """For the first of a group, the socket that listens there: no port is ever looked for and then taken by another."""


@dataclass(frozen=True)
class Message:
    """One thing that a worker tells the launcher."""

    kind: Literal["progress", "notice", "finished", "user_error", "beat"]
    text: str = ""
    """finished: the status; user_error: the message; progress: what is going on."""
    done: int = 0
    total: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    """progress of training: "pid" of the process at first, then each epoch's scores."""


class Report:
    """The worker's end of the pipe to the launcher."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._one_at_a_time = Lock()

    def send(self, message: Message) -> None:
        """Tell the launcher.

        Raises:
            Interrupted: it is gone.
        """
        try:
            with self._one_at_a_time:  # Heartbeats come from a thread of their own.
                self.connection.send(message)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Interrupted from error

    def is_abandoned(self) -> bool:
        """Whether the launcher is gone; it never says anything, so that all there is to read is the end."""
        return self.connection.poll()

    def await_end(self) -> NoReturn:
        """Stay until the launcher ends this process, or is gone itself; no error of ours becomes another's."""
        self.connection.poll(None)
        os._exit(1)

    def notice(self, line: str) -> None:
        """Something that the user should know, although the work goes on."""
        self.send(Message("notice", line))

    def progress(self, done: int, total: int, text: str = "", facts: dict[str, Any] | None = None) -> None:
        """So much of the job is done."""
        self.send(Message("progress", text, done, total, facts or {}))
