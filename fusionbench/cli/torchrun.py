"""`fusionbench run` under torchrun: the training, in processes that are there already."""

from __future__ import annotations

import os
import sys

from fusionbench.api.progress import LineWatcher
from fusionbench.api.work import Work
from fusionbench.core.errors import UserError
from fusionbench.core.ranks import Ranks
from fusionbench.core.surroundings import forget_others


def train_under_torchrun(work: Work, ranks: Ranks, again: frozenset[str]) -> bool:
    """Train what is not done; False if this process has to end, so that torchrun ends the others.

    Raises:
        UserError: wrong use, or bad data; on every process alike.
    """
    from fusionbench.engines.gpus import refuse_uneven

    if work.devices is not None:
        raise UserError("--devices: torchrun has said how many (--nnodes, --nproc-per-node); leave it out")
    refuse_uneven(ranks.world_size, work.suite.budget.batch_size)
    place = work.place()
    forget_others()
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # Before torch is imported, as in workers.

    from fusionbench.engines.torchrun import TorchrunProcess

    watcher = LineWatcher(len(work.runs), 0, lambda line: print(line, flush=True) if ranks.is_first else None)
    problem = TorchrunProcess(work.suite, place, ranks, watcher, keep_encodings=work.keep_encodings).run(
        work.runs, again
    )
    if problem:
        print(
            f"fusionbench, device {ranks.rank} of {ranks.world_size}: {problem}; the same command goes on",
            file=sys.stderr,
        )
    return not problem
