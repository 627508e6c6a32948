"""Audio-visual digits: a digit that is spoken, and the same digit written by hand by somebody else.

Two modalities from two sensors: `audio`, a recording of 8 kHz as a log-mel spectrogram, and `image`, a picture of 8x8
pixels. A pair is of one class, and nothing but the class ties its two halves together: each tells the digit, and both
together tell it better, where one of them is in doubt.

The test recordings are the official ones, takes 0 to 4 of every digit and speaker; each is paired once and for all with
another of the test pictures, a fixed fifth of every class. Of the other takes a tenth, and of the other pictures a
fifth, are for validation; the seed draws them, and which recording goes with which picture. Every recording is used
once; there are fewer pictures, and each is used about equally often. The six speakers are the same in training and
test.

Noise is white, drawn for each recording and picture once and for all, in training, validation and test alike:

    audio_noise     deviation of what is added to the sound and to the silence behind it, per root mean square of the
                    recording; 1 is a signal as loud as the noise
    image_noise     deviation of what is added to each pixel, as a fraction of the range from white to black

Source: Jackson et al. 2018, "Free Spoken Digit Dataset"; Alpaydin & Kaynak 1998, "Optical Recognition of Handwritten
Digits", UCI, the copy in scikit-learn; the pairing is ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.log_mel import LogMel
from fusionbench.data.pairs import Pairs, paired_by_class
from fusionbench.data.progress import progress
from fusionbench.data.sounds import Sound, read_sound
from fusionbench.data.splits import Rows, Split, stratified
from fusionbench.data.spoken_digits import (
    DIGITS,
    FOLDER,
    RATE,
    TEST_TAKES,
    bring,
    digits,
    missing,
    names,
    takes,
    told_missing,
    verify,
)
from fusionbench.data.standard import fitted
from fusionbench.data.store import is_prepared

TEST_SEED = 20_250_107
"""Draws the test pictures and the test pairs, once and for all."""
AUDIO_NOISE_SEED, IMAGE_NOISE_SEED = 20_250_108, 20_250_109
SPECTROGRAM = LogMel(seconds=0.8, rate=RATE, bands=24, window_ms=48.0, step_ms=32.0)
"""One recording in 25 is longer, and is cut."""
BLACK = 16.0
"""The darkest pixel; the lightest is 0."""
HELD_TAKES, HELD_PICTURES = 0.1, 0.2
"""Of what is not for test, in validation."""


class AVDigits(MultimodalData):
    """A spoken and a written digit; 10 classes."""

    views = {"pair": {"audio": "audio", "image": "image"}}
    default_encoders = {
        "audio": {"name": "logmel_cnn", "options": {"width": 64, "channels": [8, 16, 32]}},
        "image": {"name": "small_cnn", "options": {"width": 64, "channels": [16, 32]}},
    }
    display = "AV digits"
    paper, licence = "jackson2018free, alpaydin1998digits", "CC BY-SA 4.0, CC BY 4.0"
    home = "https://github.com/Jakobovski/free-spoken-digit-dataset and scikit-learn"

    def __init__(
        self,
        root: Path | str | None = None,
        seed: int = 0,
        batch_size: int = 128,
        *,
        view: Literal["pair"] = "pair",
        audio_noise: float = 0.0,
        image_noise: float = 0.0,
    ) -> None:
        super().__init__(root, seed, batch_size)
        for option, value in (("audio_noise", audio_noise), ("image_noise", image_noise)):
            if not 0 <= value <= 100:
                raise UserError(f"{self.name}: option {option}: {value:g} is not in 0 .. 100")
        self.view, self.audio_noise, self.image_noise = view, float(audio_noise), float(image_noise)
        self.pairs = Pairs(*(np.zeros(0, dtype=np.int64) for _ in range(3)))
        """Rows of recordings and of pictures, those of training first, then validation, then test; after `setup`."""

    @property
    def task(self) -> TaskSpec:
        """(26, 24): 26 moments, 32 ms apart, in 24 bands; and (1, 8, 8)."""
        specs = ModalitySpec("audio", "audio", SPECTROGRAM.shape), ModalitySpec("image", "image", (1, 8, 8))
        return TaskSpec(specs, classes=len(DIGITS))

    @property
    def folder(self) -> Path:
        """Where the recordings lie."""
        return self.root / FOLDER

    def identity(self) -> dict[str, float]:
        """What the arrays depend on."""
        return {"audio_noise": self.audio_noise, "image_noise": self.image_noise}

    def origin(self) -> list[list[Any]] | None:
        """Name, size and time of every recording; None when one is gone, which is no matter once they are converted."""
        if missing(self.folder):
            return None
        stats = [(name, (self.folder / name).stat()) for name in names()]
        return [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats]

    # --- preparing -----------------------------------------------------------------------------------------------

    def prepare_data(self) -> None:
        """Download and unpack what is missing, then convert; neither if it is converted already."""
        if not is_prepared(self.root, self.name, self.identity(), self.origin()):
            bring(self.folder)
        super().prepare_data()

    def convert(self, folder: Path) -> None:
        """Spectrograms float16 (3000, 26, 24) and pictures float16 (1797, 1, 8, 8), noise and all; labels of each."""
        from sklearn.datasets import load_digits

        if missing(self.folder):
            raise UserError(told_missing(self.folder))
        files = names()
        found = np.zeros((len(files), *SPECTROGRAM.shape), dtype=np.float16)
        with progress("av_digits: converting", len(files), lines=10) as show:
            for row, name in enumerate(files):
                sound = read_sound(self.folder / name, RATE, SPECTROGRAM.seconds)
                found[row] = SPECTROGRAM(self._noisy_sound(row, sound))
                show(row + 1, name)
        verify(self.folder)
        written = load_digits()
        np.save(folder / "audio.npy", found)
        np.save(folder / "spoken.npy", digits())
        np.save(folder / "takes.npy", takes())
        np.save(folder / "image.npy", self._noisy_pictures(written.images[:, None]).astype(np.float16))
        np.save(folder / "written.npy", written.target.astype(np.int64))

    def _noisy_sound(self, row: int, sound: Sound) -> Sound:
        if not self.audio_noise:
            return sound
        whole = np.pad(sound, (0, round(RATE * SPECTROGRAM.seconds) - len(sound)))
        noise = np.random.default_rng([AUDIO_NOISE_SEED, row]).standard_normal(len(whole))
        return whole + self.audio_noise * np.sqrt(np.mean(sound**2)) * noise

    def _noisy_pictures(self, pictures: NDArray[np.float64]) -> NDArray[np.float64]:
        noise = np.random.default_rng(IMAGE_NOISE_SEED).standard_normal(pictures.shape)
        return pictures + self.image_noise * BLACK * noise

    # --- reading -------------------------------------------------------------------------------------------------

    def split(self) -> Split:
        """Rows of the pairs; the pairs themselves are drawn here."""
        spoken, written = (np.asarray(self.arrays[name]) for name in ("spoken", "written"))
        is_test = np.asarray(self.arrays["takes"]) < TEST_TAKES
        always, rng = np.random.default_rng(TEST_SEED), np.random.default_rng(self.seed)
        pictures, test_pictures = stratified(written, 0.2, always)
        recordings, test_recordings = np.flatnonzero(~is_test), np.flatnonzero(is_test)
        heard = [recordings[rows] for rows in stratified(spoken[recordings], HELD_TAKES, rng)]
        seen = [pictures[rows] for rows in stratified(written[pictures], HELD_PICTURES, rng)]
        drawn = [paired_by_class(*rows, spoken, written, rng) for rows in zip(heard, seen, strict=True)]
        drawn.append(paired_by_class(test_recordings, test_pictures, spoken, written, always))
        self.pairs = Pairs(*(np.concatenate([getattr(part, name) for part in drawn]) for name in vars(self.pairs)))
        ends = np.cumsum([len(part.targets) for part in drawn])
        train, validation, test = np.split(np.arange(ends[-1]), ends[:-1])
        return Split(train, validation, test, drawn=np.stack([self.pairs.first, self.pairs.second]))

    def load_memory(self) -> None:
        """Each band in units of its deviation over the training recordings; pictures as in `digits`."""
        assert self.parts is not None
        sounds, pictures = (np.asarray(self.arrays[name]) for name in ("audio", "image"))
        heard, seen = (np.unique(rows[self.parts.train]) for rows in (self.pairs.first, self.pairs.second))
        self.standard["audio"] = fitted(lambda: [sounds[heard].reshape(-1, sounds.shape[2])])
        centred = pictures.astype(np.float32) - pictures[seen].astype(np.float32).mean(0)
        self.tensors["audio"] = torch.from_numpy(self.standard["audio"](sounds))
        self.tensors["image"] = torch.from_numpy(centred / centred[seen].std())
        self.tensors["targets"] = torch.from_numpy(self.pairs.targets)

    def batch(self, rows: Rows) -> MultimodalBatch:
        """The pairs of those rows."""
        first, second = (torch.from_numpy(of[rows]) for of in (self.pairs.first, self.pairs.second))
        return self._assembled(rows, {"audio": self.tensors["audio"][first], "image": self.tensors["image"][second]})

    def labels(self, rows: Rows) -> MultimodalBatch:
        """Without a spectrogram or a picture."""
        return self._assembled(rows, {})

    def _assembled(self, rows: Rows, inputs: dict[str, torch.Tensor]) -> MultimodalBatch:
        index = torch.from_numpy(rows)
        return MultimodalBatch(
            inputs=inputs,
            masks={},
            present=dict.fromkeys(self.task.names, torch.ones(len(rows), dtype=torch.bool)),
            targets=self.tensors["targets"][index],
            ids=index,
        )
