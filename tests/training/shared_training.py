"""Trainings that several processes can do together, or one alone: what each gives as test scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fusionbench.bench.build import build, dataset_of, seeded, setting_for
from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.catalogue import describe, load
from fusionbench.core.errors import Diverged
from fusionbench.core.ranks import Ranks
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.imdb import IMDB
from fusionbench.data.splits import Rows, Split
from fusionbench.fusion.base import FusionModule, Optimiser, Prediction, Setting
from fusionbench.fusion.concat import ConcatFusion
from fusionbench.plan.budget import Budget
from fusionbench.plan.load import suite_of
from fusionbench.plan.names import slug
from fusionbench.plan.source import parse_source
from fusionbench.plan.suite import Choice
from fusionbench.training.fit import evaluate, fit
from fusionbench.training.group import can_be_shared

SUITE = """{name: s, datasets: [digits], strategies: all, seeds: 1,
    encoders: {image: {name: small_cnn, options: {width: 16, channels: [8], groups: 4}}},
    budget: {epochs: 1, batch_size: BATCH, learning_rate: 3e-3, dropout: 0.3}}"""
"""One epoch: of two whose validation accuracy differs by one sample, rounding may choose the other."""
GENTLE = Budget(epochs=1, batch_size=128, learning_rate=1e-6, dropout=0.3)
STEEP = ("block", "compact_bilinear", "mfb", "mfh")
"""Near zero, their square root magnifies the rounding of float32 up to a thousandfold: they are compared after fewer
and smaller steps. At those of the others, rounding alone parts them. A step that is a tenth too long still moves their
scores by ten times the bound."""
Scores = dict[str, dict[str, float]]


class Tags(MultimodalData):
    """Two vectors; 30 tags, of which a sample has some. Numbers of rows that 2 does not divide."""

    @property
    def task(self) -> TaskSpec:
        vectors = (ModalitySpec("seen", "vector", (6,)), ModalitySpec("heard", "vector", (4,)))
        return TaskSpec(vectors, 30, "multilabel", "gap20")

    def convert(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        seen, heard = rng.normal(size=(361, 6)), rng.normal(size=(361, 4))
        logits = seen @ rng.normal(size=(6, 30)) + heard @ rng.normal(size=(4, 30)) - 3
        np.save(folder / "seen.npy", seen.astype(np.float32))
        np.save(folder / "heard.npy", heard.astype(np.float32))
        np.save(folder / "targets.npy", (logits > 0).astype(np.float32))

    def split(self) -> Split:
        rows = np.arange(361)
        return Split(rows[:200], rows[200:271], rows[271:])


class Amounts(Tags):
    """The same vectors, three numbers to predict."""

    @property
    def task(self) -> TaskSpec:
        return replace(super().task, classes=3, kind="regression", metric="rmse")

    def convert(self, folder: Path) -> None:
        super().convert(folder)
        seen, heard = (np.load(folder / f"{name}.npy") for name in ("seen", "heard"))
        np.save(folder / "targets.npy", 40 + 5 * (seen[:, :3] * heard[:, :3] + seen[:, 3:]))


class Gaps(Tags):
    """The same vectors, one of five classes of very different size; two samples of three are not heard."""

    @property
    def task(self) -> TaskSpec:
        return replace(super().task, classes=5, kind="multiclass", metric="accuracy")

    def convert(self, folder: Path) -> None:
        super().convert(folder)
        tags = np.load(folder / "targets.npy")[:, :4]
        np.save(folder / "targets.npy", np.where(tags.any(1), tags.argmax(1), 4).astype(np.int64))

    def batch(self, rows: Rows) -> MultimodalBatch:
        whole = super().batch(rows)
        return replace(whole, present=whole.present | {"heard": whole.ids % 3 == 0})


class Partly(ConcatFusion):
    """Leaves its encoder of the left half out of every second step."""

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        if self.training and self.trainer.global_step % 2:
            left = encoded["left"]
            encoded = {**encoded, "left": replace(left, pooled=left.pooled.detach())}
        return super().fuse(encoded)


class BurstsOnOne(ConcatFusion):
    """Its loss is not finite on the second half of a batch's samples: on one of two devices."""

    def loss(self, prediction: Prediction, batch: MultimodalBatch) -> Tensor:
        spoiled = self.trainer.global_rank == self.trainer.world_size - 1
        return super().loss(prediction, batch) * (float("nan") if spoiled else 1.0)


def digits_scores(ranks: Ranks, folder: Path, batch_size: int = 128, only: tuple[str, ...] = ()) -> Scores:
    """Every strategy of the folder that has something to train, or only some."""
    found = {}
    for run in suite_of(parse_source(SUITE.replace("BATCH", str(batch_size)), "s.yaml")).runs():
        if describe("strategy", run.strategy.name).facts.get("fitted"):
            continue  # Solved for, on one device.
        data = dataset_of(run, folder)
        data.prepare_data()
        data.setup()
        # As if of two: gradient_blend does not take a training of one.
        module = build(run, setting_for(replace(run, budget=replace(run.budget, epochs=2)), data.task))
        if can_be_shared(module) and (not only or run.strategy.name in only):
            budget = GENTLE if run.strategy.name in STEEP else run.budget
            module.setting = replace(module.setting, optimiser=Optimiser.of(budget))
            found[slug("strategy", run.strategy)] = _scores(module, data, ranks, budget)
    return found


def own_scores(ranks: Ranks, folder: Path, name: str) -> Scores | str:
    """One of the strategies above, on digits; in words if it diverged."""
    (run, *_) = suite_of(parse_source(SUITE.replace("BATCH", "128"), "s.yaml")).runs()
    data = dataset_of(run, folder)
    data.prepare_data()
    data.setup()
    encoders = {modality: Choice("mlp", {"width": 16, "depth": 1}) for modality in data.task.names}
    with seeded(0, "fusion"):
        module = {"Partly": Partly, "BurstsOnOne": BurstsOnOne}[name](Setting(data.task, encoders, 16, 16, 0.3))
    try:
        return {name: _scores(module, data, ranks, run.budget)}
    except Diverged as error:
        return str(error)


def tags_scores(ranks: Ranks, folder: Path) -> Scores:
    """Multilabel."""
    data = Tags(folder, 0, batch_size=32)
    data.prepare_data()
    data.setup()
    encoders = {name: Choice("mlp", {"width": 16, "depth": 1}) for name in data.task.names}
    return {"gated": _scores(_gated(data, encoders), data, ranks, Budget(3, 32, 3e-3, dropout=0.3))}


def amounts_scores(ranks: Ranks, folder: Path) -> Scores:
    """A regression: by one loss, and by losses that are measured on validation rows too."""
    data = Amounts(folder, 0, batch_size=32)
    data.prepare_data()
    data.setup()
    encoders = {name: Choice("mlp", {"width": 16, "depth": 1}) for name in data.task.names}
    found = {}
    for name in ("gated", "gradient_blend"):
        with seeded(0, "fusion"):
            module: FusionModule = load("strategy", name)(Setting(data.task, encoders, 16, 16, 0.3, epochs=3))
        found[name] = _scores(module, data, ranks, Budget(3, 32, 3e-3, dropout=0.3))
    return found


def gaps_scores(ranks: Ranks, folder: Path, strategies: tuple[str, ...]) -> Scores:
    """Some strategies where modalities are missing and devices have other numbers of them."""
    data = Gaps(folder, 0, batch_size=32)
    data.prepare_data()
    data.setup()
    encoders = {name: Choice("mlp", {"width": 16, "depth": 1}) for name in data.task.names}
    found = {}
    for name in strategies:
        with seeded(0, "fusion"):
            module: FusionModule = load("strategy", name)(Setting(data.task, encoders, 16, 16, 0.3))
        found[name] = _scores(module, data, ranks, Budget(3, 32, 3e-3, dropout=0.3))
    return found


def review_scores(ranks: Ranks, folder: Path) -> Scores:
    """Reviews of different lengths, in batches of like length, by an LSTM and by a transformer."""
    found = {}
    for name, options in (
        ("lstm", {"width": 16, "hidden": 8, "embed": 8, "layers": 2}),
        ("transformer", {"width": 16, "layers": 1, "heads": 2, "hidden": 16}),
    ):
        data = IMDB(folder, 0, batch_size=8, features=60)
        data.setup()
        encoders = {"sequence": Choice(name, options), "ngrams": Choice("bag", {"width": 16})}
        found[name] = _scores(_gated(data, encoders), data, ranks, Budget(2, 8, 3e-3, dropout=0.3))
    return found


def _gated(data: MultimodalData, encoders: dict[str, Choice]) -> FusionModule:
    with seeded(0, "fusion"):
        module: FusionModule = load("strategy", "gated")(Setting(data.task, encoders, 16, 16, 0.3), hidden=16)
    return module


def _scores(module: FusionModule, data: MultimodalData, ranks: Ranks, budget: Budget) -> dict[str, float]:
    data.share_out(ranks)
    with seeded(0, "training"):
        fitted = fit(module, data, budget, lambda *_: None)
        drawn = float(torch.rand(()))
    tested = evaluate(module, data, budget)
    assert data.parts is not None
    if ranks.is_first:
        assert tested.predictions["ids"].tolist() == data.parts.test.tolist()
    others: dict[str, Any] = {"loss": fitted.curves["train/loss"][-1], "drawn next": drawn}
    return {**tested.scores, **fitted.validation, **others}
