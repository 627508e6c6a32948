"""The group of processes that train one model together: how they meet, and how Lightning is told of them."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.pytorch.strategies import DDPStrategy
from torch import distributed, nn
from torch.distributed.distributed_c10d import Store

from fusionbench.core.errors import Diverged
from fusionbench.core.ranks import Ranks
from fusionbench.training.draws import SharedDraws

HOST = "127.0.0.1"
PATIENCE = timedelta(hours=2)
"""How long one waits for the others: over a slow step, never over one that is gone, whose connection breaks."""


def backend() -> str:
    """NCCL between GPUs, gloo between processors."""
    return "nccl" if torch.cuda.is_available() else "gloo"


def store_at(port: int, listener: socket.socket | None, of: int) -> Store:
    """Where the processes of one machine meet; the first is given the socket that listens at the port already."""
    _stay_on_this_machine()
    handle = None if listener is None else listener.detach()
    return distributed.TCPStore(  # type: ignore[attr-defined]
        HOST, port, of, listener is not None, PATIENCE, wait_for_workers=False, master_listen_fd=handle
    )


@contextmanager
def joined(ranks: Ranks, store: Store) -> Iterator[None]:
    """A process group, for as long as one model trains."""
    if torch.cuda.is_available():
        torch.cuda.set_device(ranks.local_rank)
    distributed.init_process_group(
        backend(), store=store, rank=ranks.rank, world_size=ranks.world_size, timeout=PATIENCE
    )
    try:
        yield
        distributed.barrier(device_ids=[ranks.local_rank] if torch.cuda.is_available() else None)
    except Diverged:  # On all of them, so that the group ends as it does after training.
        distributed.destroy_process_group()
        raise
    # After any other error the connections stay: else the others would fail by their loss, and tell of that.
    distributed.destroy_process_group()


def has_lost_another(error: Exception) -> bool:
    """Whether it says no more than that another process of the group is gone, which knows the reason."""
    words = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "ncclRemoteError")
    told = isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    return told or isinstance(error, distributed.DistNetworkError)


def can_be_shared(module: nn.Module) -> bool:
    """Whether there is something to train together; what only looks at the training samples has to see all of them."""
    return any(parameter.requires_grad for parameter in module.parameters())


class GroupStrategy(DDPStrategy):
    """Lightning's DDP in processes that are there and have met, where random draws are those of one process."""

    def __init__(self, ranks: Ranks) -> None:
        # A strategy may leave parameters out of a step: that trains on one device, so it has to on several.
        super().__init__(
            cluster_environment=GroupEnvironment(ranks), process_group_backend=backend(), find_unused_parameters=True
        )
        self.ranks = ranks

    def training_step(self, *arguments: Any) -> Any:  # Lightning gives no keywords.
        """One step of the module, whoever wrote it."""
        with SharedDraws(self.ranks, len(arguments[0])):
            return super().training_step(*arguments)


class GroupEnvironment(ClusterEnvironment):
    """What Lightning asks about the group, or a process alone; nothing is left for it to start, or to look for."""

    def __init__(self, ranks: Ranks) -> None:
        super().__init__()
        self.ranks = ranks

    creates_processes_externally = True
    main_address, main_port = HOST, 0

    @staticmethod
    def detect() -> bool:
        """Never chosen by itself."""
        return False

    def world_size(self) -> int:
        """How many."""
        return self.ranks.world_size

    def set_world_size(self, size: int) -> None:
        """It is known."""

    def global_rank(self) -> int:
        """Which of all."""
        return self.ranks.rank

    def set_global_rank(self, rank: int) -> None:
        """It is known."""

    def local_rank(self) -> int:
        """Which of those on its machine."""
        return self.ranks.local_rank

    def node_rank(self) -> int:
        """Which machine."""
        return self.ranks.rank // self.ranks.local_world_size


def _stay_on_this_machine() -> None:
    """Gloo asks for the address of the host's name, which need not resolve, nor lead here."""
    loopback = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
    if loopback:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback[0])
