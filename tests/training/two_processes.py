"""The same function in several processes that form a group over gloo; what each of them returns."""

from __future__ import annotations

import multiprocessing
import socket
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.forkserver import ensure_running
from typing import Any

from fusionbench.core.ranks import Ranks
from fusionbench.core.surroundings import alone


def together(task: Callable[..., Any], *arguments: Any, of: int = 2) -> list[Any]:
    """`task(ranks, *arguments)` in every process of a group, by rank; importable functions only."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["fusionbench.training.fit"])
    with alone():  # As workers are: Lightning seeds the processes of a group anew by PL_GLOBAL_SEED.
        ensure_running()
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        pipes, processes = [], []
        for rank in range(of):
            here, there = context.Pipe(duplex=False)
            ranks = Ranks(rank, of, rank, of)
            own = listener if rank == 0 else None
            process = context.Process(target=_work, args=(task, arguments, ranks, port, own, there), daemon=True)
            process.start()
            there.close()
            pipes.append(here)
            processes.append(process)
    found = [pipe.recv() for pipe in pipes]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * of
    return found


HOST = "127.0.0.1"


def _work(
    task: Callable[..., Any],
    arguments: tuple[Any, ...],
    ranks: Ranks,
    port: int,
    listener: socket.socket | None,
    pipe: Connection,
) -> None:
    import torch

    from fusionbench.training.fit import quiet
    from fusionbench.training.group import joined, store_at

    torch.set_num_threads(1)
    quiet()
    warnings.simplefilter("ignore")
    with joined(ranks, store_at(port, listener, ranks.world_size)):
        pipe.send(task(ranks, *arguments))
