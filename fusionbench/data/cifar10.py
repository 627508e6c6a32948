"""CIFAR-10: 60,000 photographs of 32x32 pixels in ten classes, each seen as two modalities.

Multi-view data: one picture taken apart, not two sensors. `lab` takes lightness from colour: luma (L) and chroma (a and
b) of CIE L*a*b*, in bytes. `halves` cuts the RGB picture into its left and its right half. `whole` is the RGB picture
as one modality: nothing is fused, and an encoder's score can be held against published ones. The test rows are the
official 10,000; a tenth of every class of the other 50,000, drawn by seed, is the validation split.

Training pictures are padded by `crop` black pixels, cropped at random and mirrored at random as one picture, then taken
apart, so the views stay aligned. The padding is black in the colours that are stored, which is what padding first and
converting after would give. Validation and test pictures are as they are, and so are those of training where every
encoder is frozen. Mean and standard deviation of a channel are
those of the training rows, both halves together.

The test set holds near-duplicates of training pictures (Barz & Denzler 2019, arXiv:1902.00423).

Source: Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images"; the view `lab` after Tian et al. 2019,
"Contrastive Multiview Coding", arXiv:1906.05849.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.errors import UserError
from fusionbench.core.task import Colours, ModalitySpec, TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.cifar10_files import BATCHES, FOLDER, bring, missing, read_verified, told_missing
from fusionbench.data.cifar10_pickle import CLASSES, SHAPE, unpickled
from fusionbench.data.crops import Draws, Pictures, crop_and_flip, draw
from fusionbench.data.lab import BLACK, lab_bytes
from fusionbench.data.npy import GrowingArray
from fusionbench.data.progress import progress
from fusionbench.data.splits import Rows, Split, stratified
from fusionbench.data.store import is_prepared

CHUNK = 1000
"""Pictures converted at once."""


class CIFAR10(MultimodalData):
    """Lightness and colour, or left and right half, of 32x32 photographs, or the whole of them; 10 classes."""

    views = {
        "lab": {"luma": "image", "chroma": "image"},
        "halves": {"left": "image", "right": "image"},
        "whole": {"picture": "image"},
    }
    default_encoders = {"image": {"name": "small_cnn"}}
    class_names = CLASSES
    display = "CIFAR-10"
    paper, licence, home = "krizhevsky2009learning", "none stated", "https://www.cs.toronto.edu/~kriz/cifar.html"

    def __init__(
        self,
        root: Path | str | None = None,
        seed: int = 0,
        batch_size: int = 128,
        *,
        view: Literal["lab", "halves", "whole"] = "lab",
        crop: int = 4,
        flip: bool = True,
    ) -> None:
        super().__init__(root, seed, batch_size)
        if not 0 <= crop <= SHAPE[1]:
            raise UserError(f"{self.name}: option crop: {crop} is not in 0 .. {SHAPE[1]} pixels")
        self.view, self.crop, self.flip = view, crop, flip
        self.mean, self.std = torch.zeros(1, SHAPE[0], 1, 1), torch.ones(1, SHAPE[0], 1, 1)
        """(1, 3, 1, 1) of the bytes of the training rows; known after `setup`."""
        self._drawn: tuple[int, Draws] | None = None

    @property
    def task(self) -> TaskSpec:
        """`lab`: (1, 32, 32) and (2, 32, 32); `halves`: twice (3, 32, 16); `whole`: (3, 32, 32); these in RGB."""
        by_view = {"lab": ((1, 32, 32), (2, 32, 32)), "halves": ((3, 32, 16), (3, 32, 16)), "whole": (SHAPE,)}
        shapes = by_view[self.view]
        colours = None if self.view == "lab" else self.colours
        specs = (
            ModalitySpec(name, "image", shape, colours=colours)
            for name, shape in zip(self.views[self.view], shapes, strict=True)
        )
        return TaskSpec(tuple(specs), classes=len(CLASSES))

    @property
    def colours(self) -> Colours:
        """How stored bytes, taken as 0 to 1, are normalised; known after `setup`."""
        mean, std = ((found.flatten() / 255).tolist() for found in (self.mean, self.std))
        return Colours(tuple(mean), tuple(std))

    @property
    def folder(self) -> Path:
        """Where the official files lie."""
        return self.root / FOLDER

    def identity(self) -> dict[str, str]:
        """The colours that are stored; how training pictures are augmented is decided batch by batch."""
        return {"colours": "lab" if self.view == "lab" else "rgb"}

    def origin(self) -> list[list[Any]] | None:
        """Name, size and time of every batch; None when one is gone, which is no matter once they are converted."""
        if missing(self.folder):
            return None
        stats = [(name, (self.folder / name).stat()) for name in BATCHES]
        return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]

    # --- preparing -----------------------------------------------------------------------------------------------

    def prepare_data(self) -> None:
        """Download and unpack what is missing, then convert; neither if it is converted already."""
        if not is_prepared(self.root, self.name, self.identity(), self.origin()):
            bring(self.folder)
        super().prepare_data()

    def convert(self, folder: Path) -> None:
        """Pictures u8 (n, 3, 32, 32), targets, and of every picture and channel the sums of bytes and of squares."""
        if missing(self.folder):
            raise UserError(told_missing(self.folder))
        with (
            GrowingArray(folder / "pictures.npy", "|u1", SHAPE) as pictures,
            GrowingArray(folder / "sums.npy", "<i8", (2, SHAPE[0])) as sums,
            GrowingArray(folder / "targets.npy", "<i8") as targets,
            progress("cifar10: converting", len(BATCHES)) as show,
        ):
            for done, name in enumerate(BATCHES, 1):
                found, labels = unpickled(read_verified(self.folder / name), str(self.folder / name))
                for start in range(0, len(found), CHUNK):
                    part = found[start : start + CHUNK]
                    part = lab_bytes(part) if self.view == "lab" else part
                    pictures.append(part)
                    sums.append(_sums(part))
                targets.append(labels)
                show(done, name)

    # --- reading -------------------------------------------------------------------------------------------------

    def split(self) -> Split:
        """Test: the official test batch; validation: 5,000 of the others by seed, stratified."""
        labels = np.asarray(self.arrays["targets"])
        count = len(labels) * (len(BATCHES) - 1) // len(BATCHES)
        train, validation = stratified(labels[:count], 0.1, np.random.default_rng(self.seed))
        return Split(train, validation, np.arange(count, len(labels)))

    def load_memory(self) -> None:
        """Statistics of the training rows; pictures stay bytes, read from the memory map that all runs share."""
        assert self.parts is not None
        self.arrays = {name: np.asarray(array) for name, array in self.arrays.items()}
        pixels = len(self.parts.train) * math.prod(SHAPE[1:])
        mean, square = self.arrays["sums"][self.parts.train].sum(0) / pixels  # (2, 3)
        std = np.sqrt(np.maximum(square - mean**2, 1.0))  # At least one step of a byte: a flat channel stays finite.
        self.mean, self.std = (torch.from_numpy(x).float().view(1, -1, 1, 1) for x in (mean, std))
        self.tensors["targets"] = torch.from_numpy(np.array(self.arrays["targets"]))

    def batch(self, rows: Rows) -> MultimodalBatch:
        """The pictures of those rows as they are."""
        return self._assembled(self._views(self.arrays["pictures"].take(rows, axis=0)), rows)

    def labels(self, rows: Rows) -> MultimodalBatch:
        """Without reading a picture."""
        return self._assembled({}, rows)

    def train_batch(self, rows: Rows, epoch: int) -> MultimodalBatch:
        """The pictures of those rows, cropped and mirrored as (seed, epoch, row) say."""
        pictures = self.arrays["pictures"].take(rows, axis=0)
        fill = BLACK if self.view == "lab" else np.zeros(SHAPE[0])
        changed = crop_and_flip(pictures, self.draws(epoch).of(rows), self.crop, fill)
        return self._assembled(self._views(changed), rows)

    def draws(self, epoch: int) -> Draws:
        """What the epoch does to every row."""
        if self._drawn is None or self._drawn[0] != epoch:
            count = len(self.arrays["targets"])
            self._drawn = epoch, draw(count, self.crop, self.flip, self.seed, epoch)
        return self._drawn[1]

    def _assembled(self, inputs: dict[str, Tensor], rows: Rows) -> MultimodalBatch:
        index, here = torch.from_numpy(rows), torch.ones(len(rows), dtype=torch.bool)
        return MultimodalBatch(
            inputs=inputs,
            masks={},
            present=dict.fromkeys(self.task.names, here),
            targets=self.tensors["targets"][index],
            ids=index,
        )

    def _views(self, found: Pictures) -> dict[str, Tensor]:
        """Bytes (B, 3, 32, 32) taken apart and normalised, float32."""
        pictures = torch.from_numpy(found)
        if self.view == "whole":
            return {"picture": _normalised(pictures, self.mean, self.std)}
        if self.view == "halves":
            half = pictures.shape[3] // 2
            sides = {"left": pictures[..., :half], "right": pictures[..., half:]}
            return {name: _normalised(side, self.mean, self.std) for name, side in sides.items()}
        parts = {"luma": slice(0, 1), "chroma": slice(1, 3)}
        return {name: _normalised(pictures[:, c], self.mean[:, c], self.std[:, c]) for name, c in parts.items()}


def _normalised(pictures: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    return pictures.contiguous().float().sub_(mean).div_(std)


def _sums(pictures: Pictures) -> np.ndarray[Any, np.dtype[np.int64]]:
    """(n, C, H, W) -> (n, 2, C): of every channel the sum of its bytes and the sum of their squares."""
    wide = pictures.astype(np.int64)
    return np.stack([wide.sum((2, 3)), (wide * wide).sum((2, 3))], axis=1)
