"""Sound files: any rate and number of channels, and those that no one can hear."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from fusionbench.core.errors import UserError
from fusionbench.data.sounds import MOST_CHANNELS, read_sound

RATE = 8_000
TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
"""One second."""
STEP = 2.0**-15
"""Of a sound of 16 bits."""


def written(path: Path, sound: NDArray[np.float64] = TONE, rate: int = RATE, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, sound, rate, subtype=subtype)
    return path


def changed(path: Path, at: int, kind: str, value: int) -> Path:
    """A WAV whose header says something else."""
    content = bytearray(written(path).read_bytes())
    struct.pack_into(kind, content, at, value)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24"])
def test_a_sound_comes_back_as_it_was_written(tmp_path: Path, name: str, subtype: str) -> None:
    found = read_sound(written(tmp_path / name, subtype=subtype), RATE, 10)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, TONE, atol=STEP)


def test_a_wav_is_read_as_scipy_reads_it(tmp_path: Path) -> None:
    from scipy.io import wavfile

    path = written(tmp_path / "a.wav")
    rate, values = wavfile.read(path)
    assert rate == RATE
    assert (read_sound(path, RATE, 10) == values / 2**15).all()


@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_channels_are_averaged(tmp_path: Path, name: str, channels: int) -> None:
    loud = np.arange(1, channels + 1) / channels
    found = read_sound(written(tmp_path / name, TONE[:, None] * loud), RATE, 10)
    np.testing.assert_allclose(found, TONE * loud.mean(), atol=STEP)


@pytest.mark.parametrize("rate", [11_025, 16_000, 22_050, 44_100, 48_000, 44_101])
def test_a_tone_is_the_same_whatever_its_rate(tmp_path: Path, rate: int) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    found = read_sound(written(tmp_path / "a.flac", tone, rate), RATE, 10)
    assert abs(len(found) - RATE) <= 1
    middle = slice(500, 7500)  # The filter knows nothing of what is before and behind.
    np.testing.assert_allclose(found[middle], TONE[middle], atol=5e-3)


def test_what_a_lower_rate_cannot_hold_is_filtered_out_and_not_folded_back(tmp_path: Path) -> None:
    high = 0.5 * np.sin(2 * np.pi * 7_000 * np.arange(48_000) / 48_000)
    assert np.abs(read_sound(written(tmp_path / "a.wav", high, 48_000), RATE, 10)[500:7500]).max() < 5e-3


def test_only_the_first_seconds_are_read_and_a_fault_behind_them_does_not_matter(tmp_path: Path) -> None:
    path = written(tmp_path / "a.flac", np.tile(TONE, 60))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    np.testing.assert_allclose(read_sound(path, RATE, 0.5), TONE[: RATE // 2], atol=STEP)
    with pytest.raises(UserError, match=r"a\.flac"):
        read_sound(path, RATE, 60)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.ogg"])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_file_cut_short_is_refused_with_its_name(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    soundfile.write(path, np.tile(TONE, 5), RATE)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(UserError) as raised:
        read_sound(path, RATE, 10)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)
    assert name != "a.wav" or "cut short" in str(raised.value)


def test_a_stream_that_does_not_know_its_length_is_read_to_its_end(tmp_path: Path) -> None:
    path = changed(tmp_path / "a.wav", 40, "<I", 2**32 - 1)
    np.testing.assert_allclose(read_sound(path, RATE, 10), TONE, atol=STEP)


def test_chunks_before_the_sound_are_passed_over(tmp_path: Path) -> None:
    content = written(tmp_path / "a.wav").read_bytes()
    more = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    (tmp_path / "b.wav").write_bytes(content[:36] + more + content[36:])
    assert (read_sound(tmp_path / "b.wav", RATE, 10) == read_sound(tmp_path / "a.wav", RATE, 10)).all()
    (tmp_path / "b.wav").write_bytes(content[:36] + more + content[36:-2])
    with pytest.raises(UserError, match="cut short: 15998 bytes of sound of 16000"):
        read_sound(tmp_path / "b.wav", RATE, 10)


@pytest.mark.parametrize(
    ("at", "kind", "value", "message"),
    [
        (0, "<I", 0, "no sound that can be read"),
        (16, "<I", 2**31 - 1, "no sound that can be read"),
        (22, "<H", 0, "no sound that can be read"),
        (22, "<H", 65_535, "no sound that can be read"),
        (22, "<H", MOST_CHANNELS + 1, f"33 channels; at most {MOST_CHANNELS} can be read"),
        (24, "<I", 0, "no sound that can be read"),
        (24, "<I", 7, "a sample rate of 7 Hz; 1000 to 384000 Hz can be read"),
        (24, "<I", 1_000_000, "a sample rate of 1000000 Hz"),
        (40, "<I", 10**9, "cut short: 16000 bytes of sound of 1000000000"),
        (40, "<I", 0, "no sound in it: 0 samples"),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, at: int, kind: str, value: int, message: str) -> None:
    path = changed(tmp_path / "a.wav", at, kind, value)
    with pytest.raises(UserError, match=message) as raised:
        read_sound(path, RATE, 10)
    assert str(raised.value).startswith(f"{path}: ")


def test_a_flac_that_promises_days_takes_no_memory_for_them(tmp_path: Path) -> None:
    path = written(tmp_path / "a.flac")
    content = bytearray(path.read_bytes())
    content[21] |= 0x0F
    content[22:26] = b"\xff" * 4  # Of 36 bits that count its samples.
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.flac"):
        read_sound(path, RATE, 3600)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"fLaC", b"a text, not a sound" * 50, bytes(5000)])
def test_what_is_no_sound_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(UserError, match="no sound that can be read"):
        read_sound(tmp_path / "a.wav", RATE, 10)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    path = written(tmp_path / "a.wav", np.r_[TONE, value], subtype="FLOAT")
    with pytest.raises(UserError, match="NaN or infinite"):
        read_sound(path, RATE, 10)


def test_a_format_in_which_a_cut_cannot_be_seen_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="AIFF is not read; give a WAV or FLAC file"):
        read_sound(written(tmp_path / "a.aiff"), RATE, 10)


def test_what_is_not_there_or_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.wav: cannot be read: No such file"):
        read_sound(tmp_path / "a.wav", RATE, 10)
    os.mkfifo(tmp_path / "pipe.wav")  # Opening it would wait for ever.
    for name in (".", "pipe.wav"):
        with pytest.raises(UserError, match="no file; give the path of a sound"):
            read_sound(tmp_path / name, RATE, 10)
