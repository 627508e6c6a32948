"""The engine `slurm`: an array of jobs that share the suite by claims; this process sends them and watches the folder.

    <results>/<suite>/slurm/<array>_<job>_0_log.out    what a job says

Nothing here is needed for the jobs to go on: kill this process, and the same command later finds what they have done.
Ctrl-C and SIGTERM end the jobs too.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from fusionbench.core.errors import UserError
from fusionbench.core.files import try_out
from fusionbench.engines.deadline import Deadline
from fusionbench.engines.local import terminable
from fusionbench.engines.runner import Runner
from fusionbench.engines.seen import Seen
from fusionbench.engines.slurm_array import Array, send
from fusionbench.engines.slurm_commands import refuse_absent, refuse_partition
from fusionbench.engines.slurm_job import LIMIT, MISTAKE, SuiteJob
from fusionbench.plan.engines import Slurm
from fusionbench.plan.suite import RunSpec
from fusionbench.records.checkpoints import all_kept, are_further
from fusionbench.records.glances import MISSING

LOOK_S, ASK_S = 1.0, 3.0
"""How often to look into the folder, and to ask SLURM."""


class SlurmEngine:
    """Sends jobs until every run has a record, or jobs get nothing more done."""

    def __init__(self, runner: Runner, settings: Slurm, workers: int | None, told: Callable[[str], None]) -> None:
        refuse_absent()
        refuse_partition(settings)
        self.runner, self.settings, self.workers, self.told = runner, settings, workers, told
        self.store = runner.store

    def run(
        self, runs: Sequence[RunSpec], again: frozenset[str] = frozenset(), deadline: Deadline | None = None
    ) -> Counter[str]:
        """As every engine's, but for the deadline: jobs have one of their own.

        Raises:
            UserError: also where jobs end and get nothing done.
        """
        self.runner.clear(runs)
        seen = Seen(self.runner, runs, again)
        if seen.left or seen.unmeasured():
            try_out(self.store.root)
            self.runner.prepare([*seen.trials.values(), *runs])
            self._train(seen)
        return Counter("missing" if status in MISSING else status for status in map(self.store.status, runs))

    def _train(self, seen: Seen) -> None:
        """An array, and another for what it has left, such as the run of a node that was lost."""
        while True:
            before, kept = seen.count, all_kept(self.store.root)
            array = self._sent(self._job(seen), min(self.settings.jobs, max(1, before)))
            self._watch(array, seen)
            if not seen.left:
                return
            if seen.count == before and not are_further(all_kept(self.store.root), kept):
                raise self._stuck(array, seen)
            self.told(f"slurm: {len(seen.left)} runs are left of {array.number}")

    def latency(
        self, runs: Sequence[RunSpec], options: dict[str, object], *, anew: bool, deadline: Deadline | None = None
    ) -> list[Path]:
        """In a job of its own, after all others."""
        if not self.runner.untimed(runs, options, anew=anew):
            return []
        before = set(self.store.root.glob("*/latency/*.json"))
        seen = Seen(self.runner, runs, frozenset())
        array = self._sent(replace(self._job(seen), timing=options, anew=anew), 1)
        self._watch(array, seen)
        made = set(self.store.root.glob("*/latency/*.json")) - before
        if not made:
            raise self._stuck(array, seen)
        return sorted(made)

    def _job(self, seen: Seen) -> SuiteJob:
        runner, settings = self.runner, self.settings
        return SuiteJob(
            runner.suite,
            tuple(seen.runs),
            runner.place,
            seen.old,
            self.workers,
            runner.devices,
            settings.cpus,
            runner.keep_encodings,
            Path(settings.stage) if settings.stage else None,
            tuple(runner.fingerprints.values()),
            str(Path.cwd()),
            tuple(str(Path(place).absolute()) for place in sys.path),
        )

    def _sent(self, job: SuiteJob, count: int) -> Array:
        array = send(job, count, self.settings, self.store.root)
        self.told(f"slurm: sent {count} {'job' if count == 1 else 'jobs'} as {array.number}; logs in {array.folder}")
        return array

    def _watch(self, array: Array, seen: Seen) -> None:
        """Until the array is over.

        Raises:
            UserError: it will never begin.
            KeyboardInterrupt: stopped; the jobs are too.
        """
        try:
            with terminable():
                self._follow(array, seen)
        except (KeyboardInterrupt, UserError):
            with suppress(UserError):
                array.cancel()
            raise

    def _follow(self, array: Array, seen: Seen) -> None:
        """Tell what is done; jobs that have not begun when nothing is left to do are taken back."""
        said, asked = "", -ASK_S
        while True:
            time.sleep(LOOK_S)
            seen.look()
            if time.monotonic() - asked < ASK_S:
                continue
            asked, queue = time.monotonic(), array.queue()
            if str(queue) not in ("", said):
                said = str(queue)
                self.told(f"slurm: {array.number}: {said}")
            if queue.is_hopeless:
                change = "--partition, --cpus, --gpus, --memory, --time or --sbatch"
                raise UserError(f"slurm: no node takes such a job ({queue.reason}); change {change}")
            if queue.is_over:
                seen.look()
                return
            if seen.had_work and not seen.left:
                array.take_back()

    def _stuck(self, array: Array, seen: Seen) -> UserError:
        """Why an array has ended without a new record: what its jobs say, or that they say nothing."""
        ends = array.ends()
        for left in ends:
            if left.how == MISTAKE:
                return UserError(left.text)
        if not array.logs():
            return UserError(
                f"the jobs of {array.number} ended without a word: can the nodes read and write {array.folder}? "
                "--results has to be a folder that they share with this machine"
            )
        runs = f"{len(seen.left)} runs are left"
        if any(left.how == LIMIT for left in ends):
            return UserError(f"{runs}, and no job had time to end one: give more --time; logs in {array.folder}")
        return UserError(f"{runs}, and the jobs of {array.number} ended before they did any; logs in {array.folder}")
