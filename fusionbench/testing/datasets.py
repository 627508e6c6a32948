"""What every dataset has to keep, as plain functions; each raises AssertionError or UserError with the reason.

What no model can be trained on (parts that share rows, wrong shapes, NaN) a dataset's own `setup` refuses.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.catalogue import describe, load
from fusionbench.core.modalities import kinds_of
from fusionbench.data.base import MultimodalData
from fusionbench.data.store import fingerprint_of, open_arrays, prepared
from fusionbench.fusion.base import Setting
from fusionbench.plan.load import suite_of
from fusionbench.plan.source import Source
from fusionbench.testing.samples import quiet_trainer

BATCH, SEEDS, FEW = 32, (0, 1), 8


def ready(name: str, root: Path | None, options: Mapping[str, Any], seed: int = 0) -> MultimodalData:
    """The dataset, converted where it is not yet and set up.

    Args:
        name: as a suite names it.
        root: the data folder; None: the default one.
        options: its own.
        seed: of the split.
    """
    made: MultimodalData = load("dataset", name)(root, seed, BATCH, **options)
    made.prepare_data()
    made.setup()
    return made


def check_conversion(data: MultimodalData) -> None:
    """Converted anew, the arrays are the same: the fingerprint is of contents, not of time or place."""
    with tempfile.TemporaryDirectory() as folder:
        again = prepared(Path(folder), data.name, data.decided_by(), None, data.convert)
        found = fingerprint_of(open_arrays(again))
    assert found == data.fingerprint, "converted anew the arrays are others; does it draw, or read the time?"


def check_split(data: MultimodalData, other: MultimodalData) -> None:
    """Test rows are the dataset's own, whatever the seed; the same seed gives the same parts.

    Args:
        data: under one seed.
        other: under another.
    """
    assert data.parts is not None
    assert other.parts is not None
    alike = np.array_equal(np.sort(data.parts.test), np.sort(other.parts.test))
    assert alike, "the seed moves the test rows: scores of two seeds would be of other rows"
    again = data.split()
    parts = ("train", "validation", "test")
    same = all(np.array_equal(getattr(again, part), getattr(data.parts, part)) for part in parts)
    assert same, "asked twice, split gives other rows; draw them by a generator of the seed"


def check_batches(data: MultimodalData) -> None:
    """A batch has the rows that are asked for, in their order, the same whenever they are asked for."""
    assert data.parts is not None
    rows = data.parts.test[:FEW][::-1].copy()
    one, again = data.batch(rows), data.batch(rows)
    assert one.ids.tolist() == rows.tolist(), "a batch's ids are not the rows that were asked for"
    _assert_alike(one, again, "asked twice, batch gives other samples; draw in train_batch alone")
    single = data.batch(rows[:1])
    for name in data.task.names:
        steps = single.inputs[name].shape[1] if name in single.masks else None
        same = torch.equal(single.inputs[name][0], one.inputs[name][0][:steps])
        assert same, f"'{name}' of a row depends on the other rows of the batch"
    assert torch.equal(data.labels(rows).targets, one.targets), "labels and batch give other targets"


def check_training_batches(data: MultimodalData) -> None:
    """An epoch meets no training row twice, in an order of (seed, epoch); samples are of (seed, epoch, row) alone."""
    assert data.parts is not None
    order = data.train_order()
    order.set_epoch(1)
    met = np.concatenate([np.asarray(rows) for rows in order])
    again = np.concatenate([np.asarray(rows) for rows in order])
    assert np.array_equal(met, again), "the order of an epoch is another when it is asked for again"
    assert len(set(met.tolist())) == len(met), "an epoch meets a training row twice"
    assert set(met.tolist()) <= set(data.parts.train.tolist()), "an epoch meets a row that is not for training"
    rows = data.parts.train[:FEW].copy()
    one, again_batch = data.train_batch(rows, 2), data.train_batch(rows, 2)
    _assert_alike(one, again_batch, "asked twice, train_batch gives other samples: draw by (seed, epoch, row) alone")


def check_plan(name: str, data: MultimodalData, options: dict[str, Any]) -> None:
    """A suite plans it by what its source says alone, and its default encoders fit its modalities."""
    stated = kinds_of(name, describe("dataset", name).facts, options)
    found = {spec.name: spec.kind for spec in data.task.modalities}
    assert dict(stated) == found, f"its source says the modalities {dict(stated)}, its task {found}"
    chosen = {"name": name, "options": options}
    tree = {"name": "contract", "datasets": [chosen], "strategies": ["concat"], "seeds": 1, "measures": []}
    row = suite_of(Source("contract", tree, {})).rows[0]
    assert set(row.encoders) == set(found), "it has no default encoder for each modality"


def check_training(name: str, data: MultimodalData, options: dict[str, Any]) -> None:
    """A strategy trains on it for some steps, and its loss is finite."""
    chosen = {"name": name, "options": options}
    tree = {"name": "contract", "datasets": [chosen], "strategies": ["concat"], "seeds": 1, "measures": []}
    row = suite_of(Source("contract", tree, {})).rows[0]
    width = next(iter(row.encoders.values())).options["width"]
    module = load("strategy", "concat")(Setting(data.task, row.encoders, width, 16))
    trainer = quiet_trainer(epochs=1, limit_val_batches=1, limit_train_batches=3)
    trainer.fit(module, data)
    loss = trainer.callback_metrics["train/loss"]
    assert loss.isfinite(), f"the loss of its first steps is {float(loss)}"


def _assert_alike(one: MultimodalBatch, other: MultimodalBatch, what: str) -> None:
    for part in ("inputs", "masks", "present"):
        found, expected = getattr(one, part), getattr(other, part)
        assert found.keys() == expected.keys(), what
        for name, tensor in found.items():
            same = torch.equal(torch.nan_to_num(tensor.float()), torch.nan_to_num(expected[name].float()))
            assert same, f"{what} ('{name}')"
    assert torch.equal(one.targets, other.targets), what
