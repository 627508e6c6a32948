"""`fusionbench run` under torchrun: the training, in processes that are there already."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from fusionbench.cli.progress import LineWatcher
from fusionbench.cli.suites import place_of
from fusionbench.core.errors import UserError
from fusionbench.core.seat import Seat
from fusionbench.core.surroundings import forget_others
from fusionbench.plan.suite import RunSpec, Suite


def train_together(
    options: argparse.Namespace, suite: Suite, runs: Sequence[RunSpec], seat: Seat, again: frozenset[str]
) -> bool:
    """Train what is not done; False if this process has to end, so that torchrun ends the others.

    Raises:
        UserError: wrong use, or bad data; on every process alike.
    """
    from fusionbench.bench.gpus import refuse_uneven

    if options.devices is not None:
        raise UserError("--devices: torchrun has said how many (--nnodes, --nproc-per-node); leave it out")
    refuse_uneven(seat.of, suite.budget.batch_size)
    place = place_of(options, suite)
    forget_others()
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # Before torch is imported, as in workers.

    from fusionbench.bench.elastic import Together

    watcher = LineWatcher(len(runs), 0, lambda line: print(line, flush=True) if seat.is_first else None)
    problem = Together(suite, place, seat, watcher).run(runs, again)
    if problem:
        print(f"fusionbench, device {seat.rank} of {seat.of}: {problem}; the same command goes on", file=sys.stderr)
    return not problem
