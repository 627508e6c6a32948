"""What SLURM is asked: its partitions, what has become of jobs, how long one may still run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass

from fusionbench.core.errors import UserError, unknown
from fusionbench.plan.engines import Slurm, seconds_of

GOES_ON = ("PENDING", "RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "REQUEUED", "REQUEUE_HOLD", "RESIZING")
"""States of a job that may still do something."""
HOPELESS = (
    "BadConstraints",
    "InvalidAccount",
    "InvalidQOS",
    "PartitionConfig",
    "PartitionNodeLimit",
    "PartitionTimeLimit",
)
"""Reasons to wait that do not go away by waiting."""
WARNING_S = 90
"""So long before its limit a job is warned, and no run is to last into that time."""
PATIENCE_S = 60.0
"""For an answer of SLURM's."""


@dataclass(frozen=True)
class Queue:
    """How the jobs of an array stand."""

    states: Counter[str]
    reason: str = ""
    """Why those that wait do, in SLURM's word."""

    @property
    def is_over(self) -> bool:
        """Whether none will do anything more."""
        return not any(self.states[state] for state in GOES_ON)

    @property
    def is_hopeless(self) -> bool:
        """Whether a job waits for what never comes."""
        return any(reason in HOPELESS for reason in self.reason.split(", "))

    def __str__(self) -> str:
        said = ", ".join(f"{count} {state.lower()}" for state, count in sorted(self.states.items()))
        return f"{said} ({self.reason})" if self.reason else said


def refuse_absent() -> None:
    """Raises UserError where this machine cannot send jobs."""
    missing = [name for name in ("sbatch", "srun", "squeue", "scancel", "sinfo") if shutil.which(name) is None]
    if missing:
        raise UserError(
            f"--engine slurm: no {missing[0]} here; start it on a login node of a SLURM cluster, or leave --engine out"
        )


def refuse_partition(settings: Slurm) -> None:
    """Before anything is prepared.

    Raises:
        UserError: SLURM does not answer, there is no such partition, or it does not let jobs run for so long.
    """
    lines = [line.split("|") for line in _asked("sinfo", "--noheader", "--format=%R|%l|%P").splitlines()]
    limits = {name: limit for name, limit, _ in lines}
    default = next((name for name, _, starred in lines if starred.endswith("*")), "")
    if settings.partition is not None:
        for name in settings.partition.split(","):
            if name not in limits:
                raise unknown("partition", name, limits, "--partition")
    if not (settings.partition or default):
        raise UserError(f"--partition: this cluster has no default; name one of {', '.join(sorted(limits))}")
    names = (settings.partition or default).split(",")
    longest = [seconds_of(limits[name]) for name in names]
    wanted = seconds_of(settings.time) if settings.time else None
    if wanted is not None and wanted < 2 * WARNING_S:
        raise UserError(f"--time {settings.time}: too short, since a job leaves {WARNING_S} s before its limit")
    if wanted is not None and all(limit is not None and wanted > limit for limit in longest):
        told = ", ".join(f"{name} at most {limits[name]}" for name in names)
        raise UserError(f"--time {settings.time}: longer than the partition allows ({told})")


def queue(job: str) -> Queue:
    """How an array stands; nothing of it is left a while after its last job has ended."""
    said = _asked("squeue", "--noheader", "--array", f"--jobs={job}", "--states=all", "--format=%T|%r", gone="")
    lines = [line.split("|", 1) for line in said.splitlines() if "|" in line]
    reasons = {reason for state, reason in lines if state == "PENDING" and reason not in ("None", "")}
    return Queue(Counter(state for state, _ in lines), ", ".join(sorted(reasons)))


def time_left(job: str) -> float | None:
    """Seconds that a job may still run; None: without limit."""
    return seconds_of_left(_asked("squeue", "--noheader", f"--jobs={job}", "--format=%L", gone="").strip())


def seconds_of_left(text: str) -> float | None:
    """As squeue writes it: always with seconds.

    >>> [seconds_of_left(text) for text in ("0:59", "9:58", "3:59:00", "1-00:00:00", "UNLIMITED")]
    [59, 598, 14340, 86400, None]
    """
    return seconds_of(text) if re.fullmatch(r"[0-9:-]+", text) else None


def requeue(job: str) -> None:
    """Put a job that runs back into the queue; that ends it."""
    _asked("scontrol", "requeue", job)


def cancel(job: str, *, waiting: bool = False) -> None:
    """End all jobs of an array, or those that wait to begin; if there is none, that is no mistake."""
    _asked("scancel", *(("--state=PENDING",) if waiting else ()), job, gone="")


def _asked(*command: str, gone: str | None = None) -> str:
    """What SLURM answers; `gone` where it does not know the job any more."""
    try:
        done = subprocess.run(  # noqa: S603  (no shell; the words are ours)
            command, capture_output=True, text=True, timeout=PATIENCE_S, check=False, env={**os.environ, "LC_ALL": "C"}
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"{command[0]}: SLURM does not answer ({error}); try again when it does") from error
    if done.returncode and gone is not None and "Invalid job id" in done.stderr:
        return gone
    if done.returncode:
        said = next(iter(done.stderr.strip().splitlines()), f"exit code {done.returncode}")
        raise UserError(f"{command[0]}: {said}")
    return done.stdout
