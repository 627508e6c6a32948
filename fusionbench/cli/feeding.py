"""A run with --wandb online: what the watcher sees goes to W&B too, while the suite runs."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from fusionbench.bench.jobs import Job, LatencyJob, Message, TrainJob
from fusionbench.cli.publishing import target_of
from fusionbench.core.errors import UserError
from fusionbench.publish.live import Feed, ended, epoch
from fusionbench.records.environment import environment

if TYPE_CHECKING:
    from fusionbench.api.progress import Shown
    from fusionbench.api.running import Show


def refuse_live_without_server(options: argparse.Namespace) -> None:
    """--wandb-live is for a server.

    Raises:
        UserError: it was asked for with files, or alone.
    """
    if options.wandb_live and options.wandb != "online":
        raise UserError("--wandb-live: epochs go to a server while a run lasts; add --wandb online")


def fed(options: argparse.Namespace, show: Show) -> Show:
    """What makes watchers; where that was asked for, ones that also tell W&B."""
    if options.wandb != "online":
        return show
    target = target_of(options)
    first = {
        "suite": options.suite,
        "set": options.set,
        "results": options.results,
        "project": target.project,
        "entity": target.entity,
        "live": options.wandb_live,
        "host": environment()["host"],
    }
    return lambda total, already: FedWatcher(show(total, already), first, is_heard=options.debug)


class FedWatcher:
    """Shows what another watcher shows; of runs of the suite, also tells W&B's process, until models are timed."""

    def __init__(self, shown: Shown, first: Mapping[str, Any], *, is_heard: bool) -> None:
        self.shown, self.first, self.is_heard = shown, first, is_heard

    def __enter__(self) -> Self:
        self.shown.__enter__()
        self.feed = Feed(self.first, is_heard=self.is_heard)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.feed.close(None if kind is None else 0.0)
        self.shown.__exit__(kind, error, trace)

    def started(self, job: Job) -> None:
        """A live run begins later, with the first word of the process that trains, which names itself."""
        if isinstance(job, LatencyJob):
            self.feed.close(0.0)  # It would be timed too; what it has not sent goes at the end.
        self.shown.started(job)

    def progress(self, job: Job, message: Message) -> None:
        """Of an epoch, its scores."""
        self.shown.progress(job, message)
        if isinstance(job, TrainJob):
            self.feed.tell(epoch(job.run, message.done, message.facts))

    def ended(self, job: Job, message: Message) -> None:
        """The record is there."""
        self.shown.ended(job, message)
        if isinstance(job, TrainJob):
            self.feed.tell(ended(job.run))

    def waiting(self, count: int, holder: str) -> None:
        """Nothing of ours."""
        self.shown.waiting(count, holder)

    def more(self, count: int) -> None:
        """Trials, which are not sent."""
        self.shown.more(count)

    def told(self, line: str) -> None:
        """For the user alone."""
        self.shown.told(line)

    def said(self, line: str) -> None:
        """Likewise."""
        self.shown.said(line)
