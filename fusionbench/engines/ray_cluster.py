"""A Ray cluster: reached by its address, or started on this machine; how much room it has for runs."""

from __future__ import annotations

import logging
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from fusionbench.core.errors import UserError
from fusionbench.plan.engines import Ray, bytes_of

ANSWER_S = 60.0
"""So long a cluster is given to say that it is there."""
WAY = "; start one (ray start --head), or leave the address out for one of this machine"
NEAR = 1e-9
"""For shares such as a tenth of a GPU, which no binary number is."""


@dataclass(frozen=True)
class Share:
    """What one run has of a node."""

    cpus: float
    gpus: float
    memory: int
    """Bytes; 0: not counted."""
    retries: int

    def options(self) -> dict[str, Any]:
        """As Ray takes them."""
        asked = {"num_cpus": self.cpus, "num_gpus": self.gpus, "max_retries": self.retries}
        return asked | ({"memory": self.memory} if self.memory else {})

    def fits(self, node: dict[str, float]) -> int:
        """How many at a time a node with these resources takes."""
        wanted = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory}
        return min(math.floor(node.get(name, 0.0) / much + NEAR) for name, much in wanted.items() if much)

    def __str__(self) -> str:
        memory = f" and {self.memory / 2**30:.1f} GiB" if self.memory else ""
        return f"{self.cpus:g} CPUs, {self.gpus:g} GPUs{memory}"


@dataclass(frozen=True)
class Cluster:
    """Nodes that are connected to."""

    share: Share

    def room(self) -> int:
        """How many runs at a time."""
        return sum(self.share.fits(node) for node in _nodes())

    def largest(self) -> Share:
        """All of the node that has most: nothing else runs there meanwhile."""
        most = max(_nodes(), key=lambda node: (node.get("GPU", 0.0), node.get("CPU", 0.0)), default={})
        return Share(most.get("CPU", self.share.cpus), most.get("GPU", 0.0), 0, self.share.retries)

    def beside_us(self, actor: Any) -> Any:
        """The same actor, for this node, without a share."""
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
        return actor.options(num_cpus=0, scheduling_strategy=here)


@contextmanager
def connected(settings: Ray, cpus: float, devices: int, cores: int, gpus: int, *, debug: bool) -> Iterator[Cluster]:
    """The cluster of an address, or one of this machine for as long as it is used; one that is connected to stays.

    Args:
        settings: the user's.
        cpus: of a run, where these do not say.
        devices: that train a run together.
        cores: of a cluster that is started here.
        gpus: likewise.
        debug: whether what nodes print is shown.

    Raises:
        UserError: nobody answers, versions differ, or no node has room for a run.
    """
    ours = not ray.is_initialized()
    if ours:
        _connect(settings.address, cores, gpus, debug=debug)
    try:
        has_gpus = any(node.get("GPU") for node in _nodes())
        share = Share(
            settings.cpus or cpus,
            (devices if has_gpus else 0.0) if settings.gpus is None else settings.gpus,
            bytes_of(settings.memory) if settings.memory else 0,
            settings.retries,
        )
        cluster = Cluster(share)
        if not cluster.room():
            have = ", ".join(f"{_most(name):g} {name}s" for name in ("CPU", "GPU"))
            way = "ask for less (--cpus, --gpus, --memory)"
            raise UserError(f"no node of the Ray cluster has {share} for a run, at most {have}; {way}")
        yield cluster
    finally:
        if ours:
            ray.shutdown()


def _refuse_unanswered(address: str) -> None:
    """Ray itself waits for minutes where nobody is, or somebody else listens."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "health-check", "--address", address]
    try:
        answered = subprocess.run(command, check=False, capture_output=True, timeout=ANSWER_S).returncode == 0  # noqa: S603
    except subprocess.TimeoutExpired:
        answered = False
    if not answered:
        raise UserError(f"--address {address}: no Ray cluster answers there{WAY}")


def _connect(address: str | None, cores: int, gpus: int, *, debug: bool) -> None:
    if address and re.fullmatch(r".+:\d+", address) and "/" not in address:
        _refuse_unanswered(address)
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "info" if debug else "fatal")  # What is wrong, we say.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # It would send them to its makers.
    # What Ray will do soon, it says in a warning; tasks that ask for no GPU hide all of them by themselves.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # Of a cluster of ours: it is there for these runs alone.
    quiet: dict[str, Any] = {"log_to_driver": debug, "logging_level": logging.INFO if debug else logging.CRITICAL}
    fresh: dict[str, Any] = {"num_cpus": cores, "num_gpus": gpus, "include_dashboard": False}
    try:
        ray.init(address=address, **quiet) if address else ray.init("local", **fresh, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        where = f"--address {address}" if address else "a Ray cluster on this machine"
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UserError(f"{where}: {said}{WAY if address else ''}") from error


def _nodes() -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _most(name: str) -> float:
    return max((node.get(name, 0.0) for node in _nodes()), default=0.0)
