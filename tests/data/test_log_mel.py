"""The log-mel spectrogram: against what other libraries give, and against its formula written out."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from log_mel_reference import CASES, EVERY, FILE, ROWS, SECONDS, sound
from numpy.typing import NDArray

from fusionbench.core.errors import UserError
from fusionbench.data.log_mel import FLOOR, LOWEST_HZ, LogMel

HALF = 2.0**-11
"""How far a rounding to 16 bits may move a number, for each unit of its size."""


def reference(case: int) -> dict[str, NDArray[np.float64]]:
    found = json.loads(FILE.read_text(encoding="utf-8"))["cases"][case]
    return {name: np.array(value) for name, value in found.items()}


def settings(case: int) -> LogMel:
    rate, bands, window_ms, step_ms = CASES[case]
    return LogMel(SECONDS, rate, bands, window_ms, step_ms)


@pytest.mark.parametrize("case", range(len(CASES)))
def test_power_in_bands_is_that_of_torchaudio(case: int) -> None:
    of = settings(case)
    found = of(sound(of.rate)).astype(np.float64)
    expected = np.log(np.maximum(FLOOR, reference(case)["power"]))
    assert found.shape == tuple(reference(case)["shape"]) == of.shape
    np.testing.assert_allclose(found[list(ROWS), ::EVERY], expected, rtol=2 * HALF, atol=1e-5)


@pytest.mark.parametrize("case", range(len(CASES)))
def test_bands_are_the_triangles_of_librosa(case: int) -> None:
    np.testing.assert_allclose(settings(case).triangles[5::23, ::EVERY], reference(case)["triangles"], atol=1e-6)


def test_it_is_its_formula_written_out() -> None:
    of = LogMel(0.03, rate=8_000, bands=5, window_ms=8.0, step_ms=4.0)
    x = np.random.default_rng(0).normal(size=200)  # Shorter than 0.03 s: 240 samples.
    lowest, highest = (2595 * math.log10(1 + f / 700) for f in (LOWEST_HZ, 4000))
    edges = [700 * (10 ** ((lowest + i * (highest - lowest) / 6) / 2595) - 1) for i in range(7)]
    for t, b in ((0, 0), (0, 4), (3, 2), (6, 1), (6, 4)):
        total = 0.0
        for k in range(33):
            part = 0j
            for n in range(64):
                at = 32 * t + n - 32
                if 0 <= at < len(x):
                    hann = 0.5 - 0.5 * math.cos(2 * math.pi * n / 64)
                    part += x[at] * hann * np.exp(-2j * math.pi * k * n / 64)
            f, low, middle, high = 125.0 * k, *edges[b : b + 3]
            total += max(0.0, min((f - low) / (middle - low), (high - f) / (high - middle))) * abs(part) ** 2
        assert of(x)[t, b] == pytest.approx(math.log(total), rel=2 * HALF)
    assert of.shape == (8, 5)
    assert (of(x)[7:] == np.float16(math.log(FLOOR))).all()  # Behind it: silence, which has no frame of its own.


def test_silence_is_one_value_and_finite() -> None:
    of = LogMel(0.5)
    for quiet in (np.zeros(8_000), np.zeros(1), np.full(8_000, 1e-12)):
        assert np.unique(of(quiet)).tolist() == [np.float16(math.log(FLOOR))]


def test_what_comes_after_its_seconds_is_not_heard() -> None:
    of = LogMel(0.1)
    x = np.random.default_rng(0).normal(size=16_000)
    assert of(x).shape == of(x[:1600]).shape == of.shape
    assert (of(x) == of(x[:1600])).all()


def test_values_that_leave_the_finite_numbers_are_refused() -> None:
    with pytest.raises(UserError, match="too large for a spectrogram"):
        LogMel(0.1)(np.full(1600, 1e200))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seconds": 0.0}, "seconds is 0"),
        ({"seconds": math.nan}, "seconds is nan"),
        ({"seconds": 1e9}, r"seconds is 1e\+09; give more than 0, at most 3600"),
        ({"step_ms": 30.0}, "step_ms is 30, window_ms 25"),
        ({"window_ms": 1e9}, r"window_ms 1e\+09"),
        ({"step_ms": 0.01}, "take fewer bands or longer windows"),
        ({"bands": 0}, "0 bands"),
        ({"bands": 200}, "some would hold no frequency"),
        ({"rate": 100}, "some would hold no frequency"),
    ],
)
def test_a_spectrogram_that_cannot_be_is_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        LogMel(**{"seconds": 1.0, **options})  # type: ignore[arg-type]
