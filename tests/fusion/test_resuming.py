"""Every strategy, stopped at an epoch's border, goes on to the last bit; one that forgets something does not."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.catalogue import load, names
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.splits import Split
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import mlp_head, stacked
from fusionbench.testing.resuming import EPOCHS, check_resuming
from fusionbench.testing.samples import options_of, setting_of
from fusionbench.training.fit import quiet


class Vectors(MultimodalData):
    """Two vectors, three classes; 64 training rows, two batches."""

    @property
    def task(self) -> TaskSpec:
        return TaskSpec((ModalitySpec("m0", "vector", (5,)), ModalitySpec("m1", "vector", (5,))), 3)

    def convert(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        first, second = rng.normal(size=(120, 5)), rng.normal(size=(120, 5))
        np.save(folder / "m0.npy", first.astype(np.float32))
        np.save(folder / "m1.npy", second.astype(np.float32))
        np.save(folder / "targets.npy", np.digitize(first[:, 0] * second[:, 0], (-0.3, 0.3)).astype(np.int64))

    def split(self) -> Split:
        rows = np.arange(120)
        return Split(rows[:64], rows[64:90], rows[90:])


@pytest.fixture(autouse=True)
def _as_in_a_worker() -> None:
    quiet()
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Vectors:
    found = Vectors(tmp_path_factory.mktemp("vectors"), 0, batch_size=32)
    found.prepare_data()
    found.setup()
    return found


def setting(data: Vectors, strategy: str = "") -> Setting:
    return replace(setting_of(data.task, strategy=strategy), dropout=0.3, epochs=EPOCHS)


@pytest.mark.parametrize("strategy", names("strategy"))
def test_every_strategy_goes_on_as_if_it_had_not_been_stopped(strategy: str, data: Vectors, tmp_path: Path) -> None:
    def make() -> FusionModule:
        torch.manual_seed(0)
        module: FusionModule = load("strategy", strategy)(setting(data, strategy), **options_of(strategy, data.task))
        return module

    check_resuming(make, data, tmp_path)


class Remembers(FusionModule):
    """Scales what it sees by how many steps there were, by a number that it keeps; draws from generators of its own."""

    remembers: ClassVar[tuple[str, ...]] = ("steps", "seen")

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.head = mlp_head(2 * setting.width, setting)
        self.steps, self.seen = 0, [torch.zeros(2 * setting.width)]
        self.draws = torch.Generator().manual_seed(1)
        self.others = (np.random.default_rng(2), np.random.Generator(np.random.MT19937(3)), random.Random(4))
        self.numbers, self.words, self.old = self.others

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        return Prediction(self.head(stacked(encoded)[0].flatten(1) + self.seen[0]))

    def training_step(self, batch: MultimodalBatch, batch_index: int) -> Tensor:
        self.steps += 1
        luck = float(torch.rand((), generator=self.draws)) + self.numbers.random() + self.words.random()
        luck += self.old.random() + random.random() + np.random.random()  # noqa: NPY002
        # Not the same for all numbers: the head's normalisation would take that away.
        self.seen[0] = self.seen[0] + luck / self.steps * torch.linspace(0, 1, len(self.seen[0]))
        return super().training_step(batch, batch_index)


class Forgets(Remembers):
    """A copy that leaves one of them out."""

    remembers = ("steps",)


class ForgetsNumber(Remembers):
    """A copy that leaves the other out."""

    remembers = ("seen",)


class StartsAnew(Remembers):
    """A copy that saves all, and throws it away when training starts."""

    def on_train_start(self) -> None:
        self.steps = 0


def test_what_a_strategy_names_and_its_generators_are_kept(data: Vectors, tmp_path: Path) -> None:
    check_resuming(lambda: _made(Remembers, data), data, tmp_path)


@pytest.mark.parametrize("broken", [Forgets, ForgetsNumber, StartsAnew])
def test_a_copy_that_forgets_something_is_found(broken: type[FusionModule], data: Vectors, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"stopped after every epoch and resumed: .* differ"):
        check_resuming(lambda: _made(broken, data), data, tmp_path)


@pytest.mark.parametrize("strategy", ["gradient_blend", "quality_aware", "agm", "alternating", "pmr"])
def test_a_strategy_without_what_it_keeps_is_found(
    strategy: str, data: Vectors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: type[FusionModule] = load("strategy", strategy)
    monkeypatch.setattr(made, "remembers", ())
    options = options_of(strategy, data.task) | ({"super_epoch": 2} if strategy == "gradient_blend" else {})
    kept = {"agm": "usual", "alternating": "projection", "pmr": "prototypes"}.get(strategy)

    def make() -> FusionModule:
        torch.manual_seed(0)
        module = made(setting(data), **options)
        if kept:
            module._non_persistent_buffers_set.add(kept)  # As if it had been registered so.
        return module

    with pytest.raises(AssertionError, match=r"resumed: .* differ"):
        check_resuming(make, data, tmp_path)


def _made(broken: type[FusionModule], data: Vectors) -> FusionModule:
    torch.manual_seed(0)
    random.seed(0)
    return broken(setting(data))
