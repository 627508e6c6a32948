"""Writes log_mel_reference.json, what other libraries make of a sound: not run by tests, it needs both of them.

python tests/data/log_mel_reference.py      with torchaudio and librosa installed
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FILE = Path(__file__).with_suffix(".json")
CASES = ((16_000, 64, 25.0, 10.0), (8_000, 32, 32.0, 16.0), (22_050, 20, 30.0, 13.0))
"""Rate in Hz, bands, window and step in ms."""
SECONDS, LOWEST_HZ = 0.1, 60.0
ROWS, EVERY = (0, 1, 4), 7


def sound(rate: int) -> NDArray[np.float64]:
    """A tone, a rising one and a little that no two samples share, without any random number."""
    n = np.arange(round(rate * SECONDS))
    return 0.4 * np.sin(0.31 * n) + 0.1 * np.sin(1e-4 * n * n) + 0.002 * ((n * 7919) % 101 / 50 - 1)


def main() -> None:
    """One file; a few rows of the spectrogram's power, before the logarithm, and of the triangles."""
    librosa, torch, torchaudio = (import_module(name) for name in ("librosa", "torch", "torchaudio"))
    found = []
    for rate, bands, window_ms, step_ms in CASES:
        window, step = round(rate * window_ms / 1000), round(rate * step_ms / 1000)
        padded = 2 ** int(np.ceil(np.log2(window)))
        mel = torchaudio.transforms.MelSpectrogram(
            rate, padded, window, step, f_min=LOWEST_HZ, n_mels=bands, pad_mode="constant"
        ).double()
        power = mel(torch.from_numpy(sound(rate))).T.numpy()
        triangles = librosa.filters.mel(sr=rate, n_fft=padded, n_mels=bands, fmin=LOWEST_HZ, htk=True, norm=None).T
        found.append(
            {
                "shape": power.shape,
                "power": [[float(f"{value:.7g}") for value in power[row, ::EVERY]] for row in ROWS],
                "triangles": [[float(f"{value:.7g}") for value in row] for row in triangles[5::23, ::EVERY]],
            }
        )
    made = f"torchaudio {torchaudio.__version__} (power), librosa {librosa.__version__} (triangles)"
    FILE.write_text(json.dumps({"made": made, "cases": found}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
