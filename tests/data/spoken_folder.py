"""A small folder of spoken digits in the official layout: two speakers, ten takes of each digit, tones of 60 ms."""

from __future__ import annotations

import hashlib
import io
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import soundfile

from fusionbench.data import spoken_digits
from fusionbench.data.av_digits import AVDigits
from fusionbench.data.spoken_digits import FOLDER, RATE, names

SPEAKERS = ("ada", "bert")
TAKES = range(10)


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on these are all recordings, as they are made here."""
    monkeypatch.setattr(spoken_digits, "TAKES", TAKES)
    monkeypatch.setattr(spoken_digits, "SPEAKERS", dict.fromkeys(SPEAKERS, ""))
    files = made()
    sums = {}
    for speaker in SPEAKERS:
        whole = b"".join(files[f"{digit}_{speaker}_{take}.wav"] for digit, take in product(range(10), TAKES))
        sums[speaker] = hashlib.sha256(whole).hexdigest()
    monkeypatch.setattr(spoken_digits, "SPEAKERS", sums)


def made() -> dict[str, bytes]:
    """By name, the files' contents: a tone for each digit, a little higher for each take."""
    found = {}
    for name in names():
        digit, take = int(name[0]), int(name.split("_")[2][:-4])
        time = np.arange(round(0.06 * RATE)) / RATE
        file = io.BytesIO()
        soundfile.write(file, 0.5 * np.sin(2 * np.pi * (300 * (digit + 1) + 3 * take) * time), RATE, format="WAV")
        found[name] = file.getvalue()
    return found


def lay_out(root: Path, files: dict[str, bytes]) -> Path:
    """The official layout in a data folder."""
    folder = root / FOLDER
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def ready(root: Path, seed: int = 0, **options: float) -> AVDigits:
    """Prepared and set up."""
    data = AVDigits(root, seed, batch_size=16, **options)  # type: ignore[arg-type]
    data.prepare_data()
    data.setup()
    return data
