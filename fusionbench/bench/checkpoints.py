"""Where one run keeps its state, and what has to be the same for it to go on from there."""

from __future__ import annotations

import lightning
import torch

from fusionbench.bench.jobs import Report, TrainJob
from fusionbench.core.ranks import Ranks
from fusionbench.records.checkpoints import CHECKPOINT
from fusionbench.records.record import RESULTS_VERSION
from fusionbench.records.store import Store
from fusionbench.training.checkpoint import Checkpoint

FORM = 1
"""Raised when what is kept changes so that it cannot be taken up as before."""


def checkpoint_of(job: TrainJob, store: Store, report: Report, ranks: Ranks) -> Checkpoint:
    """The run's checkpoint; the first process of a group tells the user what is to be told."""
    made_for = {
        "key": job.run.key,
        "form": FORM,
        "results_version": RESULTS_VERSION,
        "number_of_devices": ranks.world_size,
        "version_of_torch": str(torch.__version__),
        "version_of_lightning": str(lightning.__version__),
    }

    def told(line: str) -> None:
        if ranks.is_first:
            report.notice(line)

    def on_resume(epochs: int) -> None:
        if ranks.is_first:
            report.progress(epochs, job.run.budget.epochs, facts={"resumed": epochs})

    return Checkpoint(store.path(job.run, CHECKPOINT), made_for, job.place.checkpoint_after, told, on_resume)
