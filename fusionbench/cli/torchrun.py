"""`fusionbench run` under torchrun: the training, in processes that are there already."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from fusionbench.cli.progress import LineWatcher
from fusionbench.cli.suites import place_of
from fusionbench.core.errors import UserError
from fusionbench.core.ranks import Ranks
from fusionbench.core.surroundings import forget_others
from fusionbench.plan.suite import RunSpec, Suite


def train_under_torchrun(
    options: argparse.Namespace, suite: Suite, runs: Sequence[RunSpec], ranks: Ranks, again: frozenset[str]
) -> bool:
    """Train what is not done; False if this process has to end, so that torchrun ends the others.

    Raises:
        UserError: wrong use, or bad data; on every process alike.
    """
    from fusionbench.engines.gpus import refuse_uneven

    if options.devices is not None:
        raise UserError("--devices: torchrun has said how many (--nnodes, --nproc-per-node); leave it out")
    refuse_uneven(ranks.world_size, suite.budget.batch_size)
    place = place_of(options, suite)
    forget_others()
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # Before torch is imported, as in workers.

    from fusionbench.engines.torchrun import TorchrunProcess

    watcher = LineWatcher(len(runs), 0, lambda line: print(line, flush=True) if ranks.is_first else None)
    problem = TorchrunProcess(suite, place, ranks, watcher, keep_encodings=options.keep_encodings).run(runs, again)
    if problem:
        print(
            f"fusionbench, device {ranks.rank} of {ranks.world_size}: {problem}; the same command goes on",
            file=sys.stderr,
        )
    return not problem
