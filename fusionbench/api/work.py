"""Which runs of which suite, where they happen and on what: what every verb, and every call, begins with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionbench.core.catalogue import forget
from fusionbench.core.errors import UserError
from fusionbench.plan.engines import EngineSettings, Local, Ray, Slurm
from fusionbench.plan.load import suite_of
from fusionbench.plan.select import only, shard
from fusionbench.plan.source import Source, read_source, with_settings
from fusionbench.plan.suite import RunSpec, Suite
from fusionbench.records.checkpoints import CHECKPOINT_AFTER_S
from fusionbench.records.claims import SILENT_AFTER_S
from fusionbench.records.store import Store

if TYPE_CHECKING:
    from fusionbench.api.foresight import Foresight
    from fusionbench.bench.jobs import Place
    from fusionbench.engines.engine import Engine
    from fusionbench.engines.local import Watcher
    from fusionbench.engines.runner import Runner

AGAIN = ("failed", "diverged", "skipped")
"""Statuses of records whose runs can be done again."""


@dataclass(frozen=True)
class Work:
    """Some or all runs of a suite, and where they happen."""

    suite: Suite
    runs: tuple[RunSpec, ...]
    results: Path = Path("results")
    data: Path | None = None
    """The data folder; None: the default one."""
    workers: int | None = None
    """Runs at a time; None: as many as GPUs, or else cores, allow."""
    devices: int | None = None
    """GPUs, or processes, that train a run together; None: one."""
    threads: int = 1
    """torch threads per run."""
    stored_encodings: bool = True
    """Whether frozen encoders run once and what they give is stored; decides no result."""
    keep_encodings: bool = False
    """Whether that stays when the runs that read it are done."""
    checkpoint_after: float = CHECKPOINT_AFTER_S
    """Seconds of training from which on a run keeps its state at epochs' borders."""
    debug: bool = False
    beside: tuple[RunSpec, ...] = ()
    """Runs that are not to be done, of which records may be there: what added strategies stand beside."""
    engine: EngineSettings = field(default_factory=Local)
    """Where the runs happen; decides no result."""
    silent_after: float = SILENT_AFTER_S
    """Seconds after which a worker hangs that neither computes nor says anything."""

    @cached_property
    def store(self) -> Store:
        """The suite's records."""
        return Store(self.results, self.suite.name)

    def place(self) -> Place:
        """Where the work happens.

        Raises:
            UserError: a number or folder that cannot be.
        """
        from fusionbench.bench.jobs import Place
        from fusionbench.data.store import data_root
        from fusionbench.records.environment import environment

        if (self.workers is not None and self.workers < 1) or self.threads < 1:
            raise UserError("workers and threads (--workers, --threads): give a number from 1 on")
        if not self.checkpoint_after >= 0:
            found = self.checkpoint_after
            raise UserError(f"checkpoint_after (--checkpoint-after): give seconds from 0 on, got {found}")
        if not self.silent_after > 0:
            raise UserError(f"silent_after (--silent-after): give seconds above 0, got {self.silent_after}")
        data = self.data
        if data is not None and not data.is_dir():
            raise UserError(
                f"--data {data}: no such folder; create it (mkdir -p {data}) or name the one that holds the data"
            )
        # Told to workers, not left to them: their server may be older than a variable that this program has set.
        root = data_root(data)
        return Place(
            self.results,
            self.suite.name,
            root,
            self.threads,
            environment(),
            self.debug,
            self.stored_encodings,
            self.checkpoint_after,
            self.silent_after,
        )

    def runner(self, watcher: Watcher, told: Callable[[str], None]) -> Runner:
        """What does the work, with so many workers on so many devices each.

        Args:
            watcher: shows what happens.
            told: hears in one line what would be better done in another way.

        Raises:
            UserError: there are not so many devices, or they cannot share out a batch; or as `place`.
        """
        from fusionbench.engines.gpus import refuse_too_many, refuse_uneven, visible_gpus, workers_by_default
        from fusionbench.engines.runner import Runner
        from fusionbench.records.environment import emulates_bfloat16

        place = self.place()
        gpus, devices = visible_gpus(), 1 if self.devices is None else self.devices
        refuse_too_many(devices, gpus, os.cpu_count() or 1)
        refuse_uneven(devices, self.suite.budget.batch_size)
        if not gpus and self.suite.budget.precision == "bf16-mixed" and emulates_bfloat16():
            text = "this processor does not compute in bfloat16, torch emulates it, many times slower; faster here:"
            told(f"precision bf16-mixed: {text} --set budget.precision=32-true")
        workers = self.workers or workers_by_default(devices, gpus, cores())
        return Runner(self.suite, place, workers, watcher, devices, gpus, self.keep_encodings, self.store)

    def foresight(self, runner: Runner) -> Foresight:
        """How long what is left takes, as far as is known on this machine."""
        from fusionbench.api.foresight import Foresight
        from fusionbench.engines.estimates import Estimates
        from fusionbench.records.timings import Timings, machine

        place = runner.place
        assert place.data is not None
        timings = Timings(place.data, machine(place.environment, runner.gpus, place.threads))
        known = Estimates(place, runner.store, timings, tuple(self.suite.runs()), runner.devices)
        return Foresight(runner, self.runs, known)

    @contextmanager
    def started(self, watcher: Watcher, told: Callable[[str], None]) -> Iterator[Engine]:
        """The engine that does the work, for as long as it is used; arguments and errors as `runner`.

        Raises:
            UserError: also where the engine is not installed, or not there.
        """
        match self.engine:
            case Local():
                yield self.runner(watcher, told)
            case Ray():
                with self._on_ray(self.engine, watcher) as engine:
                    yield engine
            case Slurm():
                yield self._on_slurm(self.engine, watcher, told)

    def _on_slurm(self, settings: Slurm, watcher: Watcher, told: Callable[[str], None]) -> Engine:
        from fusionbench.engines.gpus import refuse_uneven

        with installed("submitit", "slurm"):
            from fusionbench.engines.runner import Runner
            from fusionbench.engines.slurm import SlurmEngine
        devices, place = self.devices or 1, self.place()
        refuse_uneven(devices, self.suite.budget.batch_size)
        if devices > (there := settings.gpus or settings.cpus):
            raise UserError(f"--devices {devices}: a job has {there}; ask for more (--gpus, or --cpus)")
        place = replace(place, results=place.results.absolute(), data=place.data and place.data.absolute())
        runner = Runner(self.suite, place, 1, watcher, devices, (), self.keep_encodings, times_anywhere=True)
        return SlurmEngine(runner, settings, self.workers, told)

    def _on_ray(self, settings: Ray, watcher: Watcher) -> AbstractContextManager[Engine]:
        from fusionbench.engines.gpus import refuse_uneven, visible_gpus

        with installed("ray", "ray"):
            from fusionbench.engines.ray import ray_engine
        devices = self.devices or 1
        refuse_uneven(devices, self.suite.budget.batch_size)
        return ray_engine(
            self.suite,
            self.place(),
            settings,
            watcher,
            workers=self.workers,
            devices=devices,
            cores=cores(),
            gpus=visible_gpus(),
            keep_encodings=self.keep_encodings,
        )


def planned(
    suite: str | os.PathLike[str] | Mapping[str, Any],
    settings: Iterable[str] = (),
    filters: Iterable[str] = (),
    share: str = "1/1",
) -> tuple[Suite, tuple[RunSpec, ...]]:
    """A suite, and those of its runs that are wanted.

    Args:
        suite: a suite file, the name of a shipped suite, or what such a file holds as a dict.
        settings: laid over it, such as `budget.epochs=2`.
        filters: which runs, such as `strategy=gated,late`.
        share: `k/n`, share k of n of them.

    Raises:
        UserError: a mistake in one of these.
    """
    made = suite_of(source_of(suite, settings))
    return made, tuple(shard(only(made.runs(), filters), share))


def source_of(suite: str | os.PathLike[str] | Mapping[str, Any], settings: Iterable[str]) -> Source:
    """A suite as it is written, with settings laid over it."""
    forget()  # In a notebook a plug-in's file may have been edited since the last call.
    if isinstance(suite, Mapping):
        source = Source(str(suite.get("name", "suite")), dict(suite), {})
    else:
        source = read_source(os.fspath(suite))
    return with_settings(source, list(settings))


def statuses(words: Iterable[str], where: str = "again") -> frozenset[str]:
    """Statuses that are to be done again; UserError for another word."""
    found = frozenset(words)
    if not found <= set(AGAIN):
        raise UserError(f"{where}: give one or more of {','.join(AGAIN)}")
    return found


@contextmanager
def installed(module: str, extra: str) -> Iterator[None]:
    """Around an import: UserError, which says which extra to install, where the module is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        text = f"--engine {extra}: {module} is not installed here: pip install 'multimodal-fusionbench[{extra}]'"
        raise UserError(text) from error


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def listed(given: str | Sequence[str]) -> list[str]:
    """One word, or several, as a list."""
    return [given] if isinstance(given, str) else list(given)
