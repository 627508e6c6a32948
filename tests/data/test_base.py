"""What all datasets share: orders of rows, batches by rows, and the way through a plain Lightning Trainer."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning import LightningModule, Trainer
from torch import Tensor, nn

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.orders import EVALUATION_BATCH, EpochOrder, InOrder
from fusionbench.data.splits import Rows, Split

ROWS = 1700


class Toy(MultimodalData):
    """Row i has the values i and -i."""

    conversions = 0

    @property
    def task(self) -> TaskSpec:
        return TaskSpec((ModalitySpec("plus", "vector", (1,)), ModalitySpec("minus", "vector", (2,))), classes=2)

    def convert(self, folder: Path) -> None:
        type(self).conversions += 1
        numbers = np.arange(ROWS)[:, None]
        np.save(folder / "plus.npy", numbers)
        np.save(folder / "minus.npy", -numbers.repeat(2, 1))
        np.save(folder / "targets.npy", numbers[:, 0] % 2)

    def split(self) -> Split:
        order = np.arange(ROWS)
        return Split(order[:500], order[500:600], order[600:])


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    data = Toy(tmp_path, seed=5, batch_size=64)
    data.prepare_data()
    data.setup()
    return data


def drawn(order: EpochOrder, epoch: int) -> list[int]:
    order.set_epoch(epoch)
    return [int(row) for rows in order for row in rows]


# --- orders -------------------------------------------------------------------------------------------------------


@given(st.integers(1, 300), st.integers(1, 64), st.integers(0, 99), st.integers(0, 99))
def test_an_epoch_has_every_row_at_most_once_in_full_batches(rows: int, batch: int, seed: int, epoch: int) -> None:
    pool = np.arange(rows) * 3 + 1
    order = EpochOrder(pool, batch, seed)
    order.set_epoch(epoch)
    batches = list(order)
    met = np.concatenate(batches)
    assert len(batches) == len(order)
    assert len(set(met.tolist())) == len(met)
    assert set(met.tolist()) <= set(pool.tolist())
    assert {len(rows) for rows in batches} == {min(batch, rows)}
    assert rows - len(met) < batch


def test_every_epoch_and_every_seed_has_an_order_of_its_own() -> None:
    rows = np.arange(200)
    orders = [tuple(drawn(EpochOrder(rows, 8, seed), epoch)) for seed in range(4) for epoch in range(4)]
    assert len(set(orders)) == 16


def test_the_same_seed_and_epoch_give_the_same_order_whatever_came_before() -> None:
    fresh, used = (EpochOrder(np.arange(200), 8, seed=7) for _ in range(2))
    torch.manual_seed(1)
    for epoch in range(3):
        drawn(used, epoch)
    assert drawn(used, 3) == drawn(fresh, 3)


def test_rows_left_out_of_one_epoch_come_in_another() -> None:
    order = EpochOrder(np.arange(70), 64, seed=0)
    met = {row for epoch in range(20) for row in drawn(order, epoch)}
    assert met == set(range(70))


@given(st.integers(0, 300), st.integers(1, 64))
def test_in_order_has_every_row_once_and_as_it_came(rows: int, batch: int) -> None:
    pool = np.random.default_rng(0).permutation(rows)
    order = InOrder(pool, batch)
    batches = list(order)
    assert [int(row) for part in batches for row in part] == pool.tolist()
    assert len(batches) == len(order)


# --- batches ------------------------------------------------------------------------------------------------------


def test_a_batch_holds_the_rows_asked_for_in_that_order(toy: Toy) -> None:
    batch = toy.batch(np.array([7, 3, 7]))
    assert batch.inputs["plus"].tolist() == [[7.0], [3.0], [7.0]]
    assert batch.inputs["minus"].tolist() == [[-7.0, -7.0], [-3.0, -3.0], [-7.0, -7.0]]
    assert batch.targets.tolist() == [1, 1, 1]
    assert batch.ids.tolist() == [7, 3, 7]
    assert batch.inputs["plus"].dtype == torch.float32
    assert batch.targets.dtype == batch.ids.dtype == torch.int64
    assert list(batch.present) == ["plus", "minus"]
    assert all(there.all() and there.shape == (3,) for there in batch.present.values())


def test_loaders_give_whole_batches_without_worker_processes(toy: Toy) -> None:
    train, validation, test = toy.train_dataloader(), toy.val_dataloader(), toy.test_dataloader()
    assert [len(batch) for batch in train] == [64] * (500 // 64)
    assert [len(batch) for batch in test] == [EVALUATION_BATCH, EVALUATION_BATCH, 1100 - 2 * EVALUATION_BATCH]
    assert torch.cat([batch.ids for batch in validation]).tolist() == list(range(500, 600))
    assert (len(train), len(validation), len(test)) == (7, 1, 3)
    assert train.num_workers == 0


def test_setting_up_again_converts_and_splits_once(tmp_path: Path) -> None:
    before = Toy.conversions
    data = Toy(tmp_path)
    data.prepare_data()
    data.setup("fit")
    parts = data.parts
    data.setup("test")
    Toy(tmp_path).setup()
    assert Toy.conversions == before + 1
    assert data.parts is parts
    assert len(data.fingerprint) == 64


def test_fitted_preprocessing_sees_the_training_rows(tmp_path: Path) -> None:
    seen: list[list[int]] = []

    class Fitted(Toy):
        def preprocess(self, modality: str, values: np.ndarray, train: Rows) -> np.ndarray:
            seen.append(train.tolist())
            return np.asarray(values, dtype=np.float32)

    Fitted(tmp_path).setup()
    assert seen == [list(range(500))] * 2


def test_the_data_folder_is_the_one_given_else_that_of_the_environment_else_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUSIONBENCH_DATA", str(tmp_path / "env"))
    assert Toy(tmp_path / "given").root == tmp_path / "given"
    assert Toy().root == tmp_path / "env"
    monkeypatch.delenv("FUSIONBENCH_DATA")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert Toy().root == tmp_path / "home" / ".cache" / "fusionbench"


# --- Lightning ----------------------------------------------------------------------------------------------------


class Watching(LightningModule):
    """Notes the rows it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 2)
        self.epochs: list[list[int]] = []
        self.validated: list[int] = []
        self.tested: list[int] = []

    def on_train_epoch_start(self) -> None:
        self.epochs.append([])

    def training_step(self, batch: MultimodalBatch, batch_index: int) -> Tensor:
        self.epochs[-1] += batch.ids.tolist()
        return self.layer(batch.inputs["plus"] / ROWS).mean()

    def validation_step(self, batch: MultimodalBatch, batch_index: int) -> None:
        self.validated += batch.ids.tolist()

    def test_step(self, batch: MultimodalBatch, batch_index: int) -> None:
        self.tested += batch.ids.tolist()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Augmented(Toy):
    """Training sees values that are 10,000 higher with every epoch."""

    def train_batch(self, rows: Rows, epoch: int) -> MultimodalBatch:
        batch = self.batch(rows)
        batch.inputs["plus"] = batch.inputs["plus"] + 10_000 * (epoch + 1)
        return batch


class Seeing(Watching):
    """Notes by how much the values are off, in training and in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.added: list[set[float]] = []

    def training_step(self, batch: MultimodalBatch, batch_index: int) -> Tensor:
        self.added.append(set((batch.inputs["plus"][:, 0] - batch.ids).tolist()))
        return super().training_step(batch, batch_index)

    def validation_step(self, batch: MultimodalBatch, batch_index: int) -> None:
        assert set((batch.inputs["plus"][:, 0] - batch.ids).tolist()) == {0.0}

    def test_step(self, batch: MultimodalBatch, batch_index: int) -> None:
        assert set((batch.inputs["plus"][:, 0] - batch.ids).tolist()) == {0.0}
        self.tested += batch.ids.tolist()


def plain_trainer() -> Trainer:
    return Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*does not need to be set.*:UserWarning")
def test_a_dataset_that_augments_is_told_the_epoch_of_a_training_batch_and_of_no_other(tmp_path: Path) -> None:
    module, data, trainer = Seeing(), Augmented(tmp_path, seed=5, batch_size=64), plain_trainer()
    trainer.fit(module, data)
    trainer.test(module, data, verbose=False)
    assert module.added == [{10_000.0}] * 7 + [{20_000.0}] * 7 + [{30_000.0}] * 7
    assert module.tested == list(range(600, ROWS))


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*does not need to be set.*:UserWarning")
def test_without_augmentation_training_rows_are_seen_as_validation_rows_in_the_same_order(tmp_path: Path) -> None:
    seen = []
    for augments in (True, False):
        module, data = Seeing(), Augmented(tmp_path, seed=5, batch_size=64)
        data.augments = augments
        plain_trainer().fit(module, data)
        seen.append(module.epochs)
    assert module.added == [{0.0}] * 21
    assert seen[0] == seen[1]


@pytest.mark.filterwarnings("ignore:.*does not have many workers")  # Lightning's advice for per-sample data sets.
@pytest.mark.filterwarnings("ignore:.*does not need to be set.*:UserWarning")
def test_a_plain_trainer_sees_a_new_order_each_epoch_and_every_evaluation_row_once(tmp_path: Path) -> None:
    module, data, trainer = Watching(), Toy(tmp_path, seed=5, batch_size=64), plain_trainer()
    trainer.fit(module, data)
    trainer.test(module, data, verbose=False)
    expected = EpochOrder(np.arange(500), 64, seed=5)
    assert module.epochs == [drawn(expected, epoch) for epoch in range(3)]
    assert module.validated == list(range(500, 600)) * 3
    assert module.tested == list(range(600, ROWS))
