"""Log-mel spectrogram: how loud a sound is, moment by moment, in bands that are as wide as the ear hears them.

    P[t, k] = |sum_n x[n + t*step] w[n] exp(-2 pi i k n / N)|^2      N the window's samples, up to a power of two
    y[t, b] = ln max(floor, sum_k triangle_b(k) P[t, k])              (T, F)

w is a Hann window whose middle is at sample t*step; before a sound and behind it is silence. The bands' triangles, of
height 1, stand at equal distances on the mel scale 2595 log10(1 + f / 700), from 60 Hz to half the sample rate.
Computed in 64 bits and kept in 16: processors round differently, and what is kept is to be the same on each.

Source: torchaudio's MelSpectrogram with its defaults (`mel_scale="htk"`, `norm=None`, `power=2`, `center=True`) and
silence at the ends; tests hold this to what it gave.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.signal import ShortTimeFFT, get_window

from fusionbench.core.errors import UserError

LOWEST_HZ = 60.0
FLOOR = 1e-6
"""Of a band's power: a little above the noise that 16 bits have of themselves, so that silence is one value."""


@dataclass(frozen=True)
class LogMel:
    """What decides a spectrogram, and so the shape (T, F) of every sample."""

    seconds: float
    """What is kept of a sound; a shorter one is followed by silence."""
    rate: int = 16_000
    """In Hz, of the sounds that it is computed of."""
    bands: int = 64
    """F."""
    window_ms: float = 25.0
    step_ms: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.seconds <= 3600:
            raise UserError(f"log-mel: seconds is {self.seconds:g}; give more than 0, at most 3600")
        if not 0 < self.step_ms <= self.window_ms <= 1000:
            raise UserError(
                f"log-mel: step_ms is {self.step_ms:g}, window_ms {self.window_ms:g}; the step may be as long as the "
                "window, which may be 1000"
            )
        if self.step < 1 or self.bands < 1 or not self.triangles.any(0).all():
            raise UserError(
                f"log-mel: {self.bands} bands of windows of {self.window_ms:g} ms at {self.rate} Hz: some would hold "
                "no frequency; take fewer bands or longer windows"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """(T, F) of a sound of all its seconds."""
        return 1 + round(self.rate * self.seconds) // self.step, self.bands

    @property
    def step(self) -> int:
        """In samples."""
        return round(self.rate * self.step_ms / 1000)

    @cached_property
    def triangles(self) -> NDArray[np.float64]:
        """(K, F): how much of each frequency a band takes."""
        frequencies = np.fft.rfftfreq(self._padded, 1 / self.rate)
        edges = _hertz(np.linspace(_mel(LOWEST_HZ), _mel(self.rate / 2), self.bands + 2))
        rising = (frequencies[:, None] - edges[:-2]) / np.diff(edges)[:-1]
        falling = (edges[2:] - frequencies[:, None]) / np.diff(edges)[1:]
        return np.maximum(0.0, np.minimum(rising, falling))

    def __call__(self, sound: NDArray[np.float64]) -> NDArray[np.float16]:
        """Of a sound (n,) at `rate`, its first seconds and then silence: (T, F).

        Raises:
            UserError: its values are so large that their squares are not finite.
        """
        sound = sound[: round(self.rate * self.seconds)]
        window = get_window("hann", self._window)
        transform = ShortTimeFFT(window, self.step, self.rate, mfft=self._padded)
        long_enough = np.r_[sound, np.zeros(self._window)]  # It takes no sound shorter than half a window.
        with np.errstate(over="ignore", invalid="ignore"):
            power = transform.spectrogram(long_enough, p0=0, p1=1 + len(sound) // self.step)  # (K, t)
            loud = np.maximum(FLOOR, power.T @ self.triangles)  # (t, F)
        if not np.isfinite(loud).all():
            raise UserError("log-mel: some values of the sound are too large for a spectrogram; scale it to -1 .. 1")
        found = np.full(self.shape, np.log(FLOOR), dtype=np.float16)
        found[: len(loud)] = np.log(loud)
        return found

    @property
    def _window(self) -> int:
        return round(self.rate * self.window_ms / 1000)

    @property
    def _padded(self) -> int:
        return int(2 ** np.ceil(np.log2(max(2, self._window))))


def _mel(hertz: float) -> float:
    return float(2595.0 * np.log10(1.0 + hertz / 700.0))


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(700.0 * (10.0 ** (mel / 2595.0) - 1.0))
