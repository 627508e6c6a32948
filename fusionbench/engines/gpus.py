"""How the GPUs and cores of a machine are shared out among workers, without asking torch, which takes seconds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fusionbench.core.errors import UserError

DRIVER = Path("/proc/driver/nvidia/gpus")
VISIBLE = "CUDA_VISIBLE_DEVICES"


def visible_gpus(environment: Mapping[str, str] = os.environ, driver: Path = DRIVER) -> tuple[str, ...]:
    """The GPUs that a child may use, as CUDA_VISIBLE_DEVICES names them: that variable's own, else all there are."""
    try:
        if version("torch").endswith("+cpu"):
            return ()
    except PackageNotFoundError:
        return ()
    there = tuple(str(number) for number in range(len(list(driver.iterdir())))) if driver.is_dir() else ()
    if VISIBLE not in environment or not there:
        return there
    named = [word.strip() for word in environment[VISIBLE].split(",")]
    # CUDA reads the list up to the first word that names no GPU.
    ends = [place for place, word in enumerate(named) if word in ("", "-1")]
    return tuple(named[: min(ends, default=len(named))])


def gpus_of(slot: int, devices: int, gpus: tuple[str, ...]) -> tuple[str, ...]:
    """The GPUs of the worker or group in a slot, from 0: the next `devices`, round and round.

    >>> [gpus_of(slot, 2, ("0", "1", "2", "3")) for slot in range(3)]
    [('0', '1'), ('2', '3'), ('0', '1')]
    """
    return tuple(gpus[(slot * devices + place) % len(gpus)] for place in range(devices)) if gpus else ()


def workers_by_default(devices: int, gpus: tuple[str, ...], cores: int) -> int:
    """How many runs at a time: each has its GPUs to itself, or with none its cores."""
    return max(1, min(cores, len(gpus) // devices) if gpus else cores // devices)


def refuse_too_many(devices: int, gpus: tuple[str, ...], cores: int) -> None:
    """Before anything is read or trained.

    Raises:
        UserError: there are not so many.
    """
    there, what = (len(gpus), "GPUs") if gpus else (cores, "cores and no GPU")
    if not 1 <= devices <= there:
        hint = f" ({VISIBLE} hides the others)" if gpus and os.environ.get(VISIBLE) else ""
        raise UserError(f"--devices {devices}: this machine has {there} {what}{hint}; give a number from 1 to {there}")


def refuse_uneven(devices: int, batch_size: int) -> None:
    """Likewise.

    Raises:
        UserError: a training batch cannot be shared out evenly among so many devices.
    """
    if batch_size % devices:
        near = max(devices, batch_size - batch_size % devices)
        raise UserError(
            f"{devices} devices cannot share out batches of {batch_size} samples (budget.batch_size) evenly;\n"
            f"take a number of devices that divides it, or --set budget.batch_size={near}, which makes other runs"
        )
