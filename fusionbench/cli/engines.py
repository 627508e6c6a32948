"""Engines on the command line: which one, and what it is told."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fusionbench.plan.engines import EngineSettings

ENGINES = ("local", "slurm", "ray")
SETTINGS: dict[str, tuple[str, str, Any]] = {
    "jobs": ("N", "slurm: jobs of the array, which share the suite (default: 1)", int),
    "partition": ("NAME", "slurm: where jobs run (default: the cluster's own)", str),
    "time": ("LIMIT", "slurm: of a job, such as 4:00:00; no run begins that cannot end by then", str),
    "memory": ("SIZE", "slurm: of a job, ray: of a run, such as 16G", str),
    "gpus": ("N", "slurm: of a job; ray: of a run, 0.25 for four on a GPU", float),
    "cpus": ("N", "slurm: of a job; ray: of a run", float),
    "stage": ("DIR", "slurm: copy converted data to this folder of the node's local disk", str),
    "address": (
        "HOST:PORT",
        "ray: of a cluster, or auto (default: a cluster on this machine while the suite runs)",
        str,
    ),
    "retries": ("N", "ray: how often a run is tried again whose node was lost (default: 2)", int),
}
"""By name: what it is given as, what it says, and its type."""


def add_engine_arguments(entry: argparse.ArgumentParser) -> None:
    """--engine and the settings of engines, in a group of their own."""
    text = "where runs happen: these and more may stand in a configuration file (docs/scaling.md)"
    group = entry.add_argument_group("engines", text)
    group.add_argument("--engine", choices=ENGINES, help="(default: as the configuration file says, else local)")
    for name, (metavar, about, kind) in SETTINGS.items():
        group.add_argument(f"--{name}", metavar=metavar, type=kind, help=about)
    about = "slurm: another option of sbatch, such as account=lab; may be repeated"
    group.add_argument("--sbatch", metavar="NAME=VALUE", action="append", default=[], help=about)


def engine_of(options: argparse.Namespace) -> EngineSettings:
    """The engine that a command line asks for; verbs that take none, and torchrun, have the local one.

    Raises:
        UserError: a mistake in it, or in the configuration file.
    """
    from fusionbench.core.errors import UserError
    from fusionbench.core.ranks import ranks_under_torchrun
    from fusionbench.plan.configuration import chosen_engine
    from fusionbench.plan.engines import Local

    if "engine" not in options:
        return Local()
    if ranks_under_torchrun(os.environ) is not None:
        if options.engine not in (None, "local"):
            raise UserError(
                f"--engine {options.engine}: torchrun has started this process, and is the engine; leave it out"
            )
        return Local()
    given = {name: _whole(value) for name in SETTINGS if (value := getattr(options, name)) is not None}
    for pair in options.sbatch:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise UserError(f"--sbatch {pair}: give it as NAME=VALUE, such as account=lab")
        given.setdefault("sbatch", {})[name] = value
    return chosen_engine(options.engine, given)


def _whole(value: Any) -> Any:
    """A number without a fraction as a whole one: SLURM counts GPUs, Ray has parts of them."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
