"""A long training goes on after a kill: its state at an epoch's border, in one file that nothing is executed from.

The file is written by Lightning's own means, when an epoch is about to begin: weights, optimisers, schedules, loops;
and by our callbacks the best weights, the curves so far, and the state of everything that draws. The order of the data
is drawn from (seed, epoch). What is read is what torch loads as weights only, of the very run, whole by its checksums.
"""

from __future__ import annotations

import math
import stat
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from torch import distributed

from fusionbench.core.errors import Interrupted, UserError
from fusionbench.core.files import write_over
from fusionbench.data.base import MultimodalData
from fusionbench.records.checkpoints import say_seconds
from fusionbench.training import randomness

OURS = "fusionbench_run"
"""Where a file says of which run it is."""
AGAIN_S = 60.0
"""Between two files, at least: short epochs would have the disk do nothing else."""


class UnusableCheckpoint(Exception):
    """A file that is none of this run's, or not whole: training starts again. Says why."""


@dataclass
class Checkpoint:
    """Where and when the state of one run is kept."""

    path: Path
    made_for: Mapping[str, Any]
    """What has to be the same: the run's key, devices, versions."""
    after_s: float
    """Seconds of training before which nothing is kept."""
    told: Callable[[str], None] = lambda _: None
    """Hears in one line what the user should know."""
    on_resume: Callable[[int], None] = lambda _: None
    """Called with the number of epochs that are done already, before training goes on."""
    is_ignored: bool = field(default=False)
    """Whether what lies there is of no use."""

    @classmethod
    def never(cls) -> Checkpoint:
        """Nothing is kept, nothing taken up."""
        return cls(Path(), {}, math.inf, is_ignored=True)

    def ignore(self, why: str) -> None:
        """Start again, and say why."""
        self.is_ignored = True
        self.told(f"{self.path}: {why}; not used, the run starts again")

    def content(self, world_size: int) -> dict[str, Any] | None:
        """What was kept, alike on all devices; None: nothing, or nothing of use, which is told."""
        if math.isinf(self.after_s):
            return None
        found = None
        try:
            found = None if self.is_ignored else _read(self.path, self.made_for)
        except FileNotFoundError:
            pass
        except UnusableCheckpoint as error:
            self.ignore(str(error))
        if world_size > 1:
            steps: list[Any] = [None] * world_size
            distributed.all_gather_object(steps, None if found is None else found.get("global_step"))
            found = found if len(set(steps)) == 1 else None
        return found


def fit_from(
    trainer: Trainer, module: LightningModule, data: MultimodalData, border: Border, content: dict[str, Any] | None
) -> None:
    """Train, from where it was stopped if something was kept.

    Raises:
        UnusableCheckpoint: what was kept does not fit; the module is of no use any more.
    """
    if content is None:
        trainer.fit(module, datamodule=data)
        return
    border.file.found = content
    try:
        trainer.fit(module, datamodule=data, ckpt_path=str(border.file.path), weights_only=True)
    except (UserError, Interrupted):
        raise
    except Exception as error:
        if border.goes_on:
            raise
        said = " ".join(str(error).split())[:200]
        raise UnusableCheckpoint(f"it does not fit this run ({type(error).__name__}: {said})") from error


class KeptFile(CheckpointIO):
    """Writes what Lightning gives, whole or not at all; gives what was read already."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint, self.path = checkpoint, checkpoint.path
        self.found: dict[str, Any] = {}
        self.seconds = 0.0
        """Of training, when it is written."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """A full disk costs the file, not the run."""
        content = {**checkpoint, OURS: dict(self.checkpoint.made_for)}
        try:
            write_over(Path(path), lambda file: self._write(content, file))
        except (OSError, RuntimeError) as error:  # The latter is torch's, of a disk that is full.
            why = error.strerror if isinstance(error, OSError) else str(error).partition("\n")[0][:120]
            self.checkpoint.told(f"{path}: cannot be written ({why}); after a kill this run starts again")

    def _write(self, content: dict[str, Any], file: IO[bytes]) -> None:
        torch.save(content, file)
        say_seconds(file, self.seconds)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """It was read, and looked at, before."""
        found, self.found = self.found, {}
        return found

    def remove_checkpoint(self, path: Any) -> None:
        """Never asked for."""
        Path(path).unlink(missing_ok=True)


class Border(Callback):
    """Between two epochs: keeps the state when it is time, or takes up what was kept."""

    def __init__(
        self, checkpoint: Checkpoint, data: MultimodalData, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.checkpoint, self.data, self.clock = checkpoint, data, clock
        self.file = KeptFile(checkpoint)
        self.goes_on = False
        """Whether what was kept has been taken up."""
        self.before_s = 0.0
        """Of training, before it was stopped."""
        self._began = self._written = clock()
        self._owners: tuple[object, ...] = ()
        self._states: Mapping[str, Any] | None = None

    @property
    def seconds(self) -> float:
        """Of training so far."""
        return self.before_s + self.clock() - self._began

    def state_dict(self) -> dict[str, Any]:
        """What Lightning keeps of a callback."""
        return {"seconds": self.seconds, "random": randomness.states_of(*self._owners)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """What it gives back."""
        self.before_s, self._states = float(state_dict["seconds"]), dict(state_dict["random"])

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Before anything of the epoch is drawn."""
        self._owners = (pl_module, self.data)
        if self._states is not None:
            self._take_up(trainer)
        elif trainer.current_epoch > 0 and self._is_time(trainer):
            self.file.seconds = self.seconds
            trainer.save_checkpoint(self.file.path)
            self._written = self.clock()

    def _take_up(self, trainer: Trainer) -> None:
        states, self._states = self._states, None
        assert states is not None
        # From here on as if it had never stopped: Lightning would otherwise leave out what draws (a loader's start).
        trainer.fit_loop.restarting = False
        trainer.fit_loop.on_iteration_done()
        randomness.restore(states, *self._owners)
        self.goes_on = True
        self.checkpoint.on_resume(trainer.current_epoch)

    def _is_time(self, trainer: Trainer) -> bool:
        after = self.checkpoint.after_s
        if math.isinf(after):
            return False
        found = self.seconds >= after and (
            self._written == self._began or self.clock() - self._written >= min(after, AGAIN_S)
        )
        return found if trainer.world_size == 1 else bool(trainer.strategy.broadcast(found))


def _read(path: Path, made_for: Mapping[str, Any]) -> dict[str, Any]:
    """Raises FileNotFoundError or UnusableCheckpoint."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnusableCheckpoint("no file")
        _refuse_damaged(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, UnusableCheckpoint):
        raise
    except Exception as error:  # Whatever hostile bytes make of a reader.
        raise UnusableCheckpoint(f"damaged, or no checkpoint ({type(error).__name__})") from error
    stated = content.get(OURS) if isinstance(content, dict) else None
    if not isinstance(stated, dict):
        raise UnusableCheckpoint("not of a run of fusionbench")
    other = [name for name, value in made_for.items() if stated.get(name) != value]
    if other:
        raise UnusableCheckpoint(f"of another {other[0].replace('_', ' ')} ({str(stated.get(other[0]))[:40]})")
    return content


def _refuse_damaged(path: Path) -> None:
    """Torch looks at no checksum when it reads: each part against its own, as it is written, without compression."""
    size = path.stat().st_size
    with zipfile.ZipFile(path) as parts:
        plain = all(part.compress_type == zipfile.ZIP_STORED for part in parts.infolist())
        if not plain or sum(part.file_size for part in parts.infolist()) > size or parts.testzip() is not None:
            raise UnusableCheckpoint("damaged")
