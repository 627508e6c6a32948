"""From a run's spec to its data and its model: the same way for training, measuring and plain use."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from fusionbench.core.canonical import derived_seed
from fusionbench.core.catalogue import load
from fusionbench.core.task import TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.fusion.base import FusionModule, Optimiser, Setting
from fusionbench.plan.suite import RunSpec
from fusionbench.records.record import DataFacts


def dataset_of(run: RunSpec, root: Path | None) -> MultimodalData:
    """The run's dataset with its seed and batch size; nothing is read yet."""
    made: MultimodalData = load("dataset", run.dataset.name)(
        root, run.seed, run.budget.batch_size, **run.dataset.options
    )
    return made


def setting_for(run: RunSpec, task: TaskSpec) -> Setting:
    """What the runner fixes for a run: heads are as wide as the encodings."""
    widths = [choice.options["width"] for choice in run.encoders.values()]
    width = widths[0] if widths else 1
    optimiser = Optimiser(run.budget.learning_rate, run.budget.weight_decay)
    return Setting(task, run.encoders, width, width, run.budget.dropout, optimiser, run.seed)


def build(run: RunSpec, setting: Setting) -> FusionModule:
    """The untrained model of a run; its initial weights depend on the seed alone."""
    options = {name: tuple(v) if isinstance(v, list) else v for name, v in run.strategy.options.items()}
    with seeded(run.seed, "fusion"):
        module: FusionModule = load("strategy", run.strategy.name)(setting, **options)
    return module


@contextmanager
def seeded(seed: int, purpose: str) -> Iterator[None]:
    """Every global generator seeded for one purpose; the state before comes back."""
    python, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002  (user plug-ins may draw from it)
    number = derived_seed(seed, purpose)
    with torch.random.fork_rng():
        torch.manual_seed(number)
        random.seed(number)
        np.random.seed(number % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy_state)  # noqa: NPY002


def data_facts(run: RunSpec, data: MultimodalData) -> DataFacts:
    """What a record says of the data that a run saw; after `setup`."""
    assert data.parts is not None
    return DataFacts(run.dataset.name, data.fingerprint, data.parts.sha256, data.parts.counts)
