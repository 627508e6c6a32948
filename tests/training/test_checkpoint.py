"""What a checkpoint is trusted with: nothing is executed from it; one of no use costs the time, not the run."""

from __future__ import annotations

import errno
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fusionbench.core.errors import Interrupted
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.splits import Split
from fusionbench.fusion.base import FusionModule, Setting
from fusionbench.fusion.concat import ConcatFusion
from fusionbench.plan.budget import Budget
from fusionbench.plan.suite import Choice
from fusionbench.records.checkpoints import kept_seconds
from fusionbench.training.checkpoint import OURS, Border, Checkpoint, UnusableCheckpoint
from fusionbench.training.fit import Fitted, fit, quiet

BUDGET = Budget(epochs=3, batch_size=32, learning_rate=3e-3, dropout=0.2)
RUN = {"key": "0123456789ab", "number_of_devices": 1}


class Vectors(MultimodalData):
    """Two vectors, two classes."""

    @property
    def task(self) -> TaskSpec:
        return TaskSpec((ModalitySpec("a", "vector", (4,)), ModalitySpec("b", "vector", (4,))), 2)

    def convert(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        for name in ("a", "b"):
            np.save(folder / f"{name}.npy", rng.normal(size=(120, 4)).astype(np.float32))
        np.save(folder / "targets.npy", rng.integers(0, 2, 120))

    def split(self) -> Split:
        rows = np.arange(120)
        return Split(rows[:64], rows[64:90], rows[90:])


@pytest.fixture(autouse=True)
def _as_in_a_worker() -> None:
    quiet()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Vectors:
    found = Vectors(tmp_path_factory.mktemp("vectors"), 0, batch_size=32)
    found.prepare_data()
    found.setup()
    return found


def module(data: Vectors, width: int = 8) -> FusionModule:
    torch.manual_seed(0)
    encoders = {name: Choice("mlp", {"width": width, "depth": 1}) for name in data.task.names}
    return ConcatFusion(Setting(data.task, encoders, width, width, 0.2))


def train(data: Vectors, kept: Checkpoint | None = None, stop: int = 0, width: int = 8) -> Fitted:
    def on_epoch(epoch: int, _: object) -> None:
        if epoch == stop:
            raise Interrupted

    model = module(data, width)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return fit(model, data, BUDGET, on_epoch, kept)


def checkpoint(path: Path, told: list[str], **changes: Any) -> Checkpoint:
    return Checkpoint(path, {**RUN, **changes}, 0.0, told.append)


@pytest.fixture
def path(tmp_path: Path, data: Vectors) -> Path:
    """Of a run that was stopped in its third epoch."""
    found = tmp_path / "run.checkpoint"
    with pytest.raises(Interrupted):
        train(data, checkpoint(found, []), stop=3)
    return found


def test_it_is_loaded_as_weights_only_and_holds_all_that_is_needed(path: Path) -> None:
    found = torch.load(path, weights_only=True)
    assert found[OURS] == RUN
    assert found["optimizer_states"]
    assert found["lr_schedulers"]
    (border,) = [state for name, state in found["callbacks"].items() if name.startswith("Border")]
    assert set(border["random"]) == {"torch", "cuda", "numpy", "python", "own"}
    assert [one.name for one in path.parent.iterdir()] == [path.name]  # Nothing half-written beside it.


def test_how_long_it_took_stands_in_it_for_readers_without_torch(path: Path) -> None:
    (border,) = [s for name, s in torch.load(path, weights_only=True)["callbacks"].items() if name.startswith("Border")]
    assert kept_seconds(path) == pytest.approx(border["seconds"], abs=1.0)
    assert kept_seconds(path) > 0


def test_it_tells_how_much_is_done_already(path: Path, data: Vectors) -> None:
    resumed: list[int] = []
    found = train(data, Checkpoint(path, RUN, 0.0, on_resume=resumed.append))
    assert resumed == [2]
    assert found.curves == train(data).curves
    assert found.epochs_run == 3


class Hostile:
    """What pickle would run."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.victim),)


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)


def a_weight(path: Path) -> int:
    """Where some tensor's numbers lie in the file."""
    with zipfile.ZipFile(path) as parts:
        largest = max(parts.infolist(), key=lambda part: part.file_size)
        return parts.open(largest)._orig_compress_start + largest.file_size // 2  # type: ignore[attr-defined]


def damage(path: Path, how: str) -> None:
    whole = path.read_bytes()
    if how == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    if how == "empty":
        path.write_bytes(b"")
    if how == "a weight":
        flip(path, a_weight(path))
    if how == "text":
        path.write_text("no checkpoint at all")
    if how == "a folder":
        path.unlink()
        path.mkdir()
    if how == "a list":
        torch.save([1, 2], path)
    if how == "pickle":
        path.write_bytes(pickle.dumps(Hostile(path.with_name("executed"))))
    if how == "pickle in its place":
        torch.save({OURS: RUN, "state_dict": Hostile(path.with_name("executed"))}, path)
    if how == "compressed":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as parts:
            parts.writestr("archive/data.pkl", b"0" * 10_000_000)
    if how == "a pipe":
        path.unlink()
        os.mkfifo(path)


@pytest.mark.parametrize(
    "how",
    [
        *("truncated", "empty", "a weight", "text", "a folder", "a list"),
        *("pickle", "pickle in its place", "compressed", "a pipe"),
    ],
)
def test_what_is_damaged_or_hostile_is_named_and_the_run_starts_again(path: Path, data: Vectors, how: str) -> None:
    damage(path, how)
    told: list[str] = []
    found = train(data, checkpoint(path, told))
    assert found.curves == train(data).curves
    assert told[0].startswith(f"{path}: ")
    assert "not used, the run starts again" in told[0]
    assert not path.with_name("executed").exists()


def test_one_of_another_run_is_named_and_not_used(path: Path, data: Vectors) -> None:
    told: list[str] = []
    found = train(data, checkpoint(path, told, key="ba9876543210"))
    assert told == [f"{path}: of another key (0123456789ab); not used, the run starts again"]
    assert found.curves == train(data).curves


def test_one_that_does_not_fit_says_so_and_leaves_the_module_for_another(path: Path, data: Vectors) -> None:
    kept = checkpoint(path, [])
    with pytest.raises(UnusableCheckpoint, match="it does not fit this run"):
        train(data, kept, width=12)
    kept.ignore("it does not fit")
    assert train(data, kept, width=12).curves == train(data, width=12).curves


def test_a_full_disk_costs_the_checkpoint_and_not_the_run(
    tmp_path: Path, data: Vectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("fusionbench.training.checkpoint.write_over", full)
    told: list[str] = []
    assert train(data, checkpoint(tmp_path / "run.checkpoint", told)).curves == train(data).curves
    assert told
    assert "cannot be written (No space left on device); after a kill this run starts again" in told[0]


def test_a_short_run_keeps_nothing(tmp_path: Path, data: Vectors) -> None:
    train(data, Checkpoint(tmp_path / "run.checkpoint", RUN, 600.0))
    assert list(tmp_path.iterdir()) == []


def test_a_long_run_keeps_its_state_once_a_minute_at_most(tmp_path: Path, data: Vectors) -> None:
    clock = [0.0]
    border = Border(Checkpoint(tmp_path / "x", RUN, 600.0), data, lambda: clock[0])
    saved: list[float] = []

    class Trainer:
        world_size, current_epoch = 1, 1

        def save_checkpoint(self, path: Path) -> None:
            saved.append(clock[0])

    for moment in (599.0, 601.0, 620.0, 660.0, 662.0, 700.0, 730.0):
        clock[0] = moment
        border.on_train_epoch_start(Trainer(), module(data))  # type: ignore[arg-type]
    assert saved == [601.0, 662.0, 730.0]
