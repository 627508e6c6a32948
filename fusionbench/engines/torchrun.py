"""A suite's training under torchrun: every process is one device of one group, on one machine or on several.

torchrun starts the processes and ends them all when one ends with an error, so nothing is started here. The first
process decides what is done next and tells the others through torchrun's own store; a group is formed for each run.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path
from threading import Timer

import torch
from torch.distributed import DistNetworkError
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from fusionbench.bench.artefacts import pretrain_one
from fusionbench.bench.encodings import encode_one
from fusionbench.bench.jobs import Job, Message, Place, Report, TrainJob
from fusionbench.bench.session import prepare
from fusionbench.bench.train import train
from fusionbench.core.errors import Interrupted, UserError
from fusionbench.core.ranks import Ranks
from fusionbench.engines.job_files import JobFiles
from fusionbench.engines.local import Watcher
from fusionbench.engines.other_data import refuse_other_data
from fusionbench.engines.pace import Pace
from fusionbench.engines.runner import Runner
from fusionbench.engines.watch import Watch
from fusionbench.plan.suite import RunSpec, Suite
from fusionbench.records.claims import LOCK, Claims
from fusionbench.training.fit import quiet
from fusionbench.training.group import joined

CONNECT = timedelta(minutes=5)
"""For torchrun's store, which is there before this process is: longer means that torchrun has been killed since."""
WAIT = timedelta(days=7)
"""For the first process's next word, which may come after a download."""


class TorchrunProcess:
    """One process of a group that trains a suite's runs one after the other."""

    def __init__(
        self, suite: Suite, place: Place, ranks: Ranks, watcher: Watcher, *, keep_encodings: bool = False
    ) -> None:
        self.suite, self.place, self.ranks, self.watcher = suite, place, ranks, watcher
        self.runner = Runner(suite, place, 1, watcher, ranks.world_size, keep_encodings=keep_encodings)
        self.claims = Claims()
        self.store = _store_of_torchrun()
        self.numbers = count()
        """Of what is agreed on and of runs: the same on all processes, which go the same way."""
        quiet()
        torch.set_num_threads(place.threads)

    def run(self, runs: Sequence[RunSpec], again: frozenset[str]) -> str:
        """Train what is not done; empty if all of it went well, else why this process has to end.

        Raises:
            UserError: the data are missing or wrong, or cannot be shared out.
        """
        try:
            rounds = self._rounds(runs, again) if self.ranks.is_first else iter(())
            self._prepare(self._agreed(rounds))
            problem = ""
            while not problem and (several := self._agreed(rounds)):
                problem = next(filter(None, (self._done(run, again) for run in several)), "")  # Up to the first.
            if not problem:
                self.runner.encodings.forget()
                self.runner.encodings.forget_trunks()
            return problem
        except (Interrupted, DistNetworkError):
            return "another process of the group, or torchrun, is gone"
        finally:
            self.claims.release_all()

    # --- what is done next ---------------------------------------------------------------------------------------

    def _rounds(self, runs: Sequence[RunSpec], again: frozenset[str]) -> Iterator[list[RunSpec]]:
        """All that is known at first; then round by round the trials, then the runs that take over from them.

        Asked of the first process alone: reading moves invalid records aside.
        """
        self.runner.clear(runs)
        pending = [run for run in runs if self.runner.store.is_wanted(run, again)]
        trials = self.runner.trials(pending, again)
        yield [*trials, *pending]
        yield from self.runner.rounds(trials, pending, again)
        yield pending

    def _agreed(self, rounds: Iterator[list[RunSpec]]) -> list[RunSpec]:
        """What the first process has found next, on all of them; nothing when it is at the end."""
        name = f"runs/{next(self.numbers)}"
        if self.ranks.is_first:
            self.store.set(name, json.dumps([run.to_json() for run in next(rounds, [])]))
        return [RunSpec.from_json(run) for run in json.loads(self._word(name))]

    def _prepare(self, runs: Sequence[RunSpec]) -> None:
        """Every dataset ready on every machine, by the first process there; the others wait."""
        ready = f"ready/{self.ranks.rank // self.ranks.local_world_size}"
        if self.ranks.local_rank == 0:
            for job in self.runner.preparing(runs):
                self.watcher.started(job)
                message = prepare(job)
                refuse_other_data(self.runner.suite, self.runner.store, job, message)
                self.watcher.ended(job, message)
            for first in self.runner.encodings.pretraining(runs):
                self.watcher.started(first)
                message = pretrain_one(first, self._told(first))
                self.runner.encodings.note(message)
                self.watcher.ended(first, message)
            for one in self.runner.encodings.jobs(runs):
                self.watcher.started(one)
                message = encode_one(one, self._told(one))
                self.runner.encodings.note(message)
                self.watcher.ended(one, message)
            self.store.set(ready, "")
        self._word(ready)

    def _is_taken(self, number: int, run: RunSpec, again: frozenset[str]) -> bool:
        """Whether the run is ours to do; another runner on the same results may have it, or have done it."""
        store = self.runner.store
        if self.ranks.is_first:
            mine = self.claims.take(store.path(run, LOCK)) and store.is_wanted(run, again)
            self.store.set(f"taken/{number}", "yes" if mine else "no")
        return self._word(f"taken/{number}") == "yes"

    def _word(self, name: str) -> str:
        self.store.wait([name], WAIT)
        return bytes(self.store.get(name)).decode()

    def _told(self, job: Job) -> _Told:
        return _Told(job, self.watcher, self.claims, self.store, JobFiles(self.runner.store).lock(job))

    # --- one run -------------------------------------------------------------------------------------------------

    def _done(self, run: RunSpec, again: frozenset[str]) -> str:
        number = next(self.numbers)
        return self._train(number, run) if self._is_taken(number, run, again) else ""

    def _train(self, number: int, run: RunSpec) -> str:
        job = self.runner.training(run)
        self.watcher.started(job)
        join = partial(joined, self.ranks, PrefixStore(f"run/{number}", self.store))
        with self._limited(job):
            message = train(job, self._told(job), self.ranks, join)
        if message.text == "failed" and not self.ranks.is_first:
            message = JobFiles(self.runner.store).crashed(job, f"device {self.ranks.rank}: {message.facts['reason']}")
        self.claims.release(self.runner.store.path(run, LOCK))
        self.watcher.ended(job, message)
        gc.collect()  # The next run's model and data come into the same process.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        # The others may be waiting for this one within a step: only their end brings all together again.
        return f"{run.key} failed and is recorded" if message.text == "failed" else ""

    @contextmanager
    def _limited(self, job: TrainJob) -> Iterator[None]:
        """Ended after its time limit: nothing is above this process that could do that, and go on with the next."""
        timer = Timer(job.time_limit, self._end_late, [job])
        timer.daemon = True
        if job.time_limit and self.ranks.is_first:
            timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _end_late(self, job: TrainJob) -> None:
        """A failed record; then torchrun ends the others of the group, since this one ends with an error."""
        JobFiles(self.runner.store).crashed(job, Watch(job).too_late)
        self.claims.release_all()
        sys.stderr.write(f"{job.run.key} failed and is recorded: {Watch(job).too_late}; the same command goes on\n")
        sys.stderr.flush()
        os._exit(1)


class _Told(Report):
    """What a worker tells its launcher, told to the watcher; and the claim, if it has one, is kept alive."""

    def __init__(self, job: Job, watcher: Watcher, claims: Claims, store: Store, lock: Path | None) -> None:
        self.job, self.watcher, self.claims, self.store = job, watcher, claims, store
        self.lock, self.pace = lock, Pace()

    def send(self, message: Message) -> None:
        """Between epochs; and a look whether torchrun is still there, which takes its store with it.

        Raises:
            Interrupted: it is not.
        """
        try:
            self.store.set("alive", "")
        except DistNetworkError as error:
            raise Interrupted from error
        if message.kind == "notice":
            self.watcher.told(message.text)
            return
        self.watcher.progress(self.job, message)
        if self.lock is not None:
            self.claims.note(self.lock, self.pace.facts(message))
        self.claims.beat()

    def is_abandoned(self) -> bool:
        """Torchrun ends what it has started."""
        return False


def _store_of_torchrun() -> Store:
    try:
        store, _, _ = next(iter(rendezvous("env://", timeout=CONNECT)))
    except DistNetworkError as error:
        raise UserError(
            "torchrun, which has started this process, does not answer; the same command goes on"
        ) from error
    return store
