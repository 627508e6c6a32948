"""Jobs as tasks of a Ray cluster, as many at a time as it has room for; what they find is written here.

A node needs fusionbench and the data, no common file system. A task whose process or node is lost is tried again by
Ray; a run that is lost more often than that has a failed record which says so.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path, PurePosixPath
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError, RayTaskError, TaskCancelledError

from fusionbench.bench.jobs import Job, LatencyJob, MeasureJob, Message, TrainJob, runs_of
from fusionbench.core.errors import UserError
from fusionbench.core.files import write_over
from fusionbench.engines.job_files import JobFiles
from fusionbench.engines.local import POLL_S, Pool, Watcher
from fusionbench.engines.own_code import own_code
from fusionbench.engines.ray_cluster import Cluster, Share
from fusionbench.engines.ray_task import Errand, Returned, do_errand
from fusionbench.engines.titles import title
from fusionbench.engines.worker_group import GRACE_S, WorkerGroup
from fusionbench.records.claims import LOCK
from fusionbench.records.record import InvalidRecord, from_text
from fusionbench.records.store import Store
from fusionbench.records.trials import trials_of


class Mailbox:
    """The actor that keeps what tasks tell until somebody asks; it lives beside who asks."""

    def __init__(self) -> None:
        self._kept: list[tuple[int, list[Message]]] = []

    def put(self, number: int, messages: list[Message]) -> None:
        """From a task."""
        self._kept.append((number, messages))

    def take(self) -> list[tuple[int, list[Message]]]:
        """All that came since the last time."""
        kept, self._kept = self._kept, []
        return kept


class RayPool(Pool):
    """Claims, order and waiting for other runners as on one machine; the work is done elsewhere."""

    def __init__(self, most: int | None, watcher: Watcher, cluster: Cluster, data: Mapping[str, str]) -> None:
        super().__init__(1, watcher)
        self.most, self.cluster, self.data = most, cluster, data
        self.mailbox: Any = None

    def _fill(self, *given: Any) -> None:
        """As many as there is room for now: nodes come and go."""
        room = max(1, self.cluster.room())
        self.workers = min(room, self.most or room)
        super()._fill(*given)

    def _group(self, job: Job, files: JobFiles, slot: int) -> WorkerGroup:
        if self.mailbox is None:
            self.mailbox = self.cluster.beside_us(ray.remote(Mailbox)).remote()
        share = self.cluster.largest() if isinstance(job, LatencyJob) else self.cluster.share
        return RemoteJob(job, Home(files.store, self.data), slot, share, self.mailbox)

    def _ready(self) -> set[int]:
        groups = [group for group in self._running.values() if isinstance(group, RemoteJob)]
        ray.wait([group.reference for group in groups], timeout=POLL_S)
        try:
            told = ray.get(self.mailbox.take.remote())
        except RayActorError:  # Its node is lost, ours; then nobody hears how far runs are.
            told = []
        for number, messages in told:
            for group in groups:
                group.told += messages if group.number == number else []
        done, _ = ray.wait([group.reference for group in groups], num_returns=len(groups), timeout=0)
        for group in groups:
            group.is_done = group.reference in done
        return set()


class RemoteJob(WorkerGroup):
    """One task; the pool sees what it sees of processes."""

    _count = 0

    def __init__(self, job: Job, home: Home, slot: int, share: Share, mailbox: Any) -> None:
        self.home, self.slot, self.share, self.mailbox = home, slot, share, mailbox
        self.told: list[Message] = []
        """Progress that the pool has not heard yet."""
        self.is_done = False
        self.reference: Any = None
        RemoteJob._count += 1
        self.number = RemoteJob._count
        super().__init__(job, None, ())

    def _start(self, log: Path | None, gpus: tuple[str, ...]) -> None:
        runs = runs_of(self.job)
        folder, places = str(Path.cwd()), tuple(str(Path(place).absolute()) for place in sys.path)
        errand = Errand(
            self.number, self.job, self.home.needed(self.job), own_code(runs), folder, places, self.share.gpus > 0
        )
        task = ray.remote(do_errand).options(**self.share.options(), name=title(self.job))
        self.reference = task.remote(errand, self.mailbox)

    @property
    def connections(self) -> list[Connection]:
        """Ray's own, which the pool asks otherwise."""
        return []

    def hear(self, ready: set[int]) -> list[Message]:  # type: ignore[override]
        """Progress since the last time."""
        told, self.told = self.told, []
        return told

    def look(self) -> None:
        """The node does: it ends what hangs or takes too long, and tries again."""

    def told_last(self) -> list[str]:
        """Of what a lost node printed nothing is known."""
        return []

    @property
    def is_over(self) -> bool:
        """Whether it has ended, for good or not."""
        return self.is_done

    def close(self) -> Message | str:
        """What it said, once its files are here; or else what went wrong."""
        try:
            returned: Returned = ray.get(self.reference)
        except TaskCancelledError:
            return "it was cancelled by somebody"
        except RayTaskError as error:  # Not the run's fault, which has a record: that of the node.
            cause = str(error.cause or error).strip().splitlines()
            raise UserError(f"{title(self.job)}: a node of the Ray cluster cannot do it: {cause[-1]}") from error
        except RayError as error:
            text = str(error).strip().splitlines() or [""]
            tries = self.share.retries + 1
            return f"its process or node was lost ({tries} of {tries} tries): {type(error).__name__}: {text[0]}"
        self.home.bring(self.job, returned)
        return self.home.named(returned)

    def has_first_said(self, message: Message | str) -> bool:
        """Whether a node has done it: then its record has come with it."""
        return isinstance(message, Message)

    def end(self) -> None:
        """Ask for its end, as Ctrl-C does."""
        if self.reference is not None:
            ray.cancel(self.reference)

    def stop(self, *, remove_logs: bool = True) -> None:
        """End it, by force if need be."""
        _, left = ray.wait([self.reference], timeout=GRACE_S) if self.reference is not None else ([], [])
        if left:
            ray.cancel(self.reference, force=True)


@dataclass(frozen=True)
class Home:
    """The results folder, which is here alone: what goes to nodes from it, and what comes back."""

    store: Store
    fingerprints: Mapping[str, str]
    """Of the data here, by the name of a data set's folder; empty where it is not known."""

    def needed(self, job: Job) -> dict[str, bytes]:
        """Records that a job reads: its runs' own, as measures do, and those of trials that choose for them."""
        runs = [one for run in runs_of(job) for one in (run, *trials_of(run, self.store))]
        if isinstance(job, TrainJob):
            runs.remove(job.run)
        paths = {self.store.path(run) for run in runs}
        if isinstance(job, MeasureJob):  # Of weights, where they are kept.
            paths |= {path for path in self.store.path(job.run).parent.glob(f"{job.run.key}.*") if path.suffix != LOCK}
        return {str(path.relative_to(self.store.root)): path.read_bytes() for path in paths if path.is_file()}

    def bring(self, job: Job, returned: Returned) -> None:
        """Write what came; a run's record last.

        Raises:
            UserError: the node has other data, or sends what is no file of the job's.
            OSError: the results folder cannot be written.
        """
        run = runs_of(job)[0]
        record, folder = self.store.path(run), self.store.folder(run.dataset)
        for name, content in returned.files.items():
            path = self.store.root / PurePosixPath(name)
            if ".." in path.parts or not path.is_relative_to(folder):
                raise UserError(f"node {returned.node} sent {name!r}, which is no file of {title(job)}")
            if path != record:
                write_over(path, content)
        published = returned.files.get(str(record.relative_to(self.store.root)))
        if isinstance(job, TrainJob) and published:
            self._publish(job, published, returned.node)

    def named(self, returned: Returned) -> Message:
        """What a node said, with paths as they are here."""
        sessions = [name for name in returned.files if "path" in returned.message.facts]
        if len(sessions) != 1:
            return returned.message
        return replace(returned.message, facts={**returned.message.facts, "path": str(self.store.root / sessions[0])})

    def _publish(self, job: TrainJob, content: bytes, node: str) -> None:
        try:
            record = from_text(content, job.run)
        except InvalidRecord as error:
            raise UserError(f"node {node} sent no valid record of {title(job)}: {error}") from error
        here = self.fingerprints.get(self.store.folder(job.run.dataset).name)
        if record.data and here and record.data.fingerprint != here:
            raise UserError(
                f"{job.run.dataset.name}: node {node} has other data than this machine "
                f"(fingerprint {record.data.fingerprint[:12]} there, {here[:12]} here); "
                "bring the same there, or name another folder with --data"
            )
        self.store.publish(record)
