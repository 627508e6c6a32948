"""Engines: where a suite's runs happen, and what each may be told. No part of a key: all find the same."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal, get_args

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from fusionbench.core.canonical import canonical_json
from fusionbench.core.errors import UserError, shown, unknown
from fusionbench.core.options import complaint
from fusionbench.plan.source import Source
from fusionbench.plan.suite_file import STRICT

EngineName = Literal["local", "slurm", "ray"]
TIME = r"^(\d+-\d+(:\d+(:\d+)?)?|\d+(:\d+){0,2})$"
MEMORY = r"^[0-9]+[KMGT]?$"
SECONDS = {"m": (60,), "m:s": (60, 1), "h:m:s": (3600, 60, 1), "d-h": (86400, 3600, 60, 1)}
"""What the parts of a time limit stand for, in SLURM's forms."""
FORMS = {"time": "a limit such as '4:00:00' or '1-12', in quotes in a file", "memory": "a size such as 16G"}
"""How these are written; without quotes YAML reads 4:00:00 as a number."""
BYTES = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclass(config=STRICT, kw_only=True, frozen=True)
class Local:
    """Worker processes of this machine."""


@dataclass(config=STRICT, kw_only=True, frozen=True)
class Slurm:
    """An array of jobs, each of which takes runs of the suite until none is left."""

    jobs: int = Field(default=1, ge=1)
    """So many jobs; each takes `--workers` runs at a time, by default as many as its GPUs, or else cores, allow."""
    partition: str | None = None
    time: str | None = Field(default=None, pattern=TIME)
    """The limit of a job in SLURM's form; None: the partition's own."""
    memory: str | None = Field(default=None, pattern=MEMORY)
    """Of a job."""
    gpus: int = Field(default=0, ge=0)
    """Of a job."""
    cpus: int = Field(default=1, ge=1)
    """Of a job."""
    sbatch: dict[str, str | int] = Field(default_factory=dict)
    """Other options of sbatch, such as account or qos."""
    stage: str | None = None
    """A folder on a node's local disk that converted data are copied to."""


@dataclass(config=STRICT, kw_only=True, frozen=True)
class Ray:
    """A task per run."""

    address: str | None = None
    """Of a cluster, or `auto`; None: a cluster on this machine, for as long as the suite runs."""
    cpus: float | None = Field(default=None, gt=0)
    """Of a run; None: its devices times its threads."""
    gpus: float | None = Field(default=None, ge=0)
    """Of a run; below 1: several share a GPU. None: one for each of its devices where the cluster has GPUs."""
    memory: str | None = Field(default=None, pattern=MEMORY)
    """Of a run."""
    retries: int = Field(default=2, ge=0)
    """How often a run is tried again whose process or node was lost."""


EngineSettings = Local | Slurm | Ray
KINDS: Mapping[str, type[EngineSettings]] = {"local": Local, "slurm": Slurm, "ray": Ray}


def settings_of(engine: str, tree: Mapping[str, Any], source: Source) -> EngineSettings:
    """An engine's settings.

    Args:
        engine: its name.
        tree: what it is told.
        source: where that stands, for what is said of mistakes.

    Raises:
        UserError: the first mistake: an unknown key, a wrong type, a value out of range.
    """
    try:
        return TypeAdapter(KINDS[engine]).validate_json(canonical_json(dict(tree)))
    except ValidationError as error:
        problem = error.errors()[0]
        path = (engine, *(part for part in problem["loc"] if isinstance(part, str | int)))
        place = source.place(path)
        if problem["type"] == "unexpected_keyword_argument":
            raise unknown("setting", str(path[-1]), known_settings(engine), place) from error
        if path[-1] in FORMS:
            raise UserError(f"{place}: give {FORMS[str(path[-1])]}, got {shown(problem['input'])}") from error
        raise UserError(f"{place}: {complaint(problem)}") from error


def known_settings(engine: str) -> list[str]:
    """The names of what an engine may be told."""
    return [one.name for one in fields(KINDS[engine])]


def engine_names() -> tuple[str, ...]:
    """All there are."""
    return get_args(EngineName)


def seconds_of(limit: str) -> float | None:
    """A time limit in SLURM's form as seconds; None for one that is no time (`UNLIMITED`).

    >>> [seconds_of(limit) for limit in ("30", "30:00", "4:00:00", "1-12", "1-00:30", "UNLIMITED")]
    [1800, 1800, 14400, 129600, 88200, None]
    """
    if not re.fullmatch(TIME, limit):
        return None
    parts = [int(part) for part in re.split("[-:]", limit)]
    form = "d-h" if "-" in limit else ("m", "m:s", "h:m:s")[len(parts) - 1]
    return sum(count * unit for count, unit in zip(parts, SECONDS[form], strict=False))


def bytes_of(size: str) -> int:
    """A size such as 16G, in bytes; without a letter it is megabytes, as for SLURM.

    >>> bytes_of("2K"), bytes_of("3")
    (2048, 3145728)
    """
    unit = size[-1] if size[-1] in BYTES else "M"
    return int(size.removesuffix(unit)) * BYTES[unit]
