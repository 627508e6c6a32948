"""`fusionbench run` under torchrun: the training, in processes that are there already."""

from __future__ import annotations

import argparse
import os
import sys

from fusionbench.api.progress import LineWatcher, silent
from fusionbench.api.running import Show
from fusionbench.api.work import Work
from fusionbench.cli.feeding import fed
from fusionbench.core.errors import UserError
from fusionbench.core.ranks import Ranks
from fusionbench.core.surroundings import alone


def train_under_torchrun(options: argparse.Namespace, work: Work, ranks: Ranks, again: frozenset[str]) -> bool:
    """Train what is not done; False if this process has to end, so that torchrun ends the others.

    Raises:
        UserError: wrong use, or bad data; on every process alike.
    """
    from fusionbench.engines.gpus import refuse_uneven

    if work.devices is not None:
        raise UserError("--devices: torchrun has said how many (--nnodes, --nproc-per-node); leave it out")
    refuse_uneven(ranks.world_size, work.suite.budget.batch_size)
    place = work.place()
    with _shown(options, ranks)(len(work.runs), 0) as watcher, alone():
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # Before torch is imported, as in workers.
        from fusionbench.engines.torchrun import TorchrunProcess

        problem = TorchrunProcess(work.suite, place, ranks, watcher, keep_encodings=work.keep_encodings).run(
            work.runs, again
        )
    if problem:
        print(
            f"fusionbench, device {ranks.rank} of {ranks.world_size}: {problem}; the same command goes on",
            file=sys.stderr,
        )
    return not problem


def _shown(options: argparse.Namespace, ranks: Ranks) -> Show:
    """The first process alone shows what happens, and tells W&B."""
    if not ranks.is_first:
        return silent
    return fed(options, lambda total, already: LineWatcher(total, already, lambda line: print(line, flush=True)))
