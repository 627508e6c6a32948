"""An array of jobs, sent by submitit: its number, its logs, how it stands and how its jobs ended."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import redirect_stderr, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from submitit import SlurmExecutor
from submitit.core.utils import FailedJobError, JobPaths, pickle_load

from fusionbench.core.errors import UserError
from fusionbench.engines.slurm_commands import WARNING_S, Queue, cancel, queue
from fusionbench.engines.slurm_job import Left
from fusionbench.plan.engines import Slurm
from fusionbench.records.store import JOBS


@dataclass(frozen=True)
class Array:
    """Jobs that were sent together."""

    number: str
    paths: tuple[JobPaths, ...]
    """Where submitit keeps what belongs to each job."""
    folder: Path

    def queue(self) -> Queue:
        """How it stands."""
        return queue(self.number)

    def take_back(self) -> None:
        """Cancel the jobs that have not begun."""
        cancel(self.number, waiting=True)

    def cancel(self) -> None:
        """Cancel all."""
        cancel(self.number)

    def logs(self) -> list[Path]:
        """Those that are there."""
        return [path for one in self.paths if (path := Path(one.stdout)).is_file()]

    def ends(self) -> list[Left]:
        """What its jobs left as their last word; those that were killed leave none."""
        found = []
        for one in self.paths:
            with suppress(FileNotFoundError, EOFError):
                how, left = pickle_load(one.result_pickle)  # Our own jobs have written it.
                found += [left] if how == "success" else []
        return found


def send(job: Callable[[], Left], count: int, settings: Slurm, root: Path) -> Array:
    """So many times the same job.

    Args:
        job: what is called there.
        count: how often.
        settings: the user's.
        root: the suite's folder, which nodes see.

    Raises:
        UserError: SLURM does not take it, in its words.
    """
    folder = root / JOBS
    executor = SlurmExecutor(folder=folder)
    executor.parameters.update(_asked(settings, root.name, count))
    try:
        with redirect_stderr(StringIO()):  # What sbatch says is in the error too.
            jobs = executor.submit_array([job] * count)
    except FailedJobError as error:
        lines = [line for line in str(error).splitlines() if "error:" in line]
        raise UserError(f"sbatch: {(lines or [str(error)])[-1].rpartition('error: ')[2]}") from error
    return Array(jobs[0].job_id.partition("_")[0], tuple(one.paths for one in jobs), folder)


def _asked(settings: Slurm, suite: str, count: int) -> dict[str, Any]:
    """As submitit names it; it asks for five minutes where `time` is not there."""
    asked = {
        "job_name": f"fusionbench-{suite}",
        "partition": settings.partition,
        "mem": settings.memory,
        "gpus_per_node": settings.gpus or None,
        "cpus_per_task": settings.cpus,
        "signal_delay_s": WARNING_S,
        "stderr_to_stdout": True,
        "array_parallelism": count,
        "additional_parameters": {"requeue": True, **settings.sbatch},
    }
    return {name: value for name, value in asked.items() if value is not None} | {"time": settings.time}
