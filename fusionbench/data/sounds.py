"""Sound files: one recording as one row of numbers, at the sample rate that is asked for, however it was recorded.

WAV, FLAC, Ogg and MP3, by libsndfile; channels are averaged, the rate is changed by a polyphase filter. A file says how
long it is: one that promises more than it holds was cut short on its way, and is refused, not filled up.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from fusionbench.core.errors import UserError

Sound = NDArray[np.float64]
"""(n,), from -1 to 1 in files of whole numbers."""
RATES = (1_000, 384_000)
"""Lowest and highest sample rate, in Hz; the filter that changes an odd one has as many taps as the rate says."""
MOST_CHANNELS = 32
BLOCK = 2**16
"""Samples decoded at once: memory goes with what is kept, not with what a header says."""
FORMATS = ("WAV", "WAVEX", "FLAC", "OGG", "MP3")
"""Of libsndfile's, those in which a file that was cut short is told from a whole one."""
UNKNOWN_BYTES = 2**31 - 2**16
"""From here on a WAV's length is none: who writes a stream cannot know it, and fills its place."""
MOST_CHUNKS = 1000
"""Of a WAV, before its sound."""


def read_sound(path: Path, rate: int, seconds: float) -> Sound:
    """The first seconds of a file, channels averaged: (n,) at `rate`, n at most rate * seconds.

    Args:
        path: of the file.
        rate: of what is returned, in Hz.
        seconds: what comes after them is neither decoded nor checked.

    Raises:
        UserError: there is no such file, or it is no sound, broken, cut short, empty or not of finite numbers.
    """
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: no file; give the path of a sound, such as a WAV or FLAC file")
    try:
        with path.open("rb") as file:
            _refuse_cut_wav(path, file)
            own_rate, sound = _decoded(path, file, seconds)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    except soundfile.LibsndfileError as error:
        reason = str(error.error_string).rstrip(".")
        raise UserError(f"{path}: no sound that can be read ({reason}); give a WAV or FLAC file") from error
    shared = math.gcd(rate, own_rate)
    if own_rate != rate:
        sound = resample_poly(sound, rate // shared, own_rate // shared)
    return np.asarray(sound[: round(rate * seconds)])


def _decoded(path: Path, file: BinaryIO, seconds: float) -> tuple[int, Sound]:
    """The file's own rate in Hz, and its first seconds at that rate."""
    with soundfile.SoundFile(file) as sound:
        if sound.format not in FORMATS:
            raise UserError(f"{path}: {sound.format} is not read; give a WAV or FLAC file")
        if not RATES[0] <= sound.samplerate <= RATES[1]:
            raise UserError(f"{path}: a sample rate of {sound.samplerate} Hz; {RATES[0]} to {RATES[1]} Hz can be read")
        if sound.channels > MOST_CHANNELS:
            raise UserError(f"{path}: {sound.channels} channels; at most {MOST_CHANNELS} can be read")
        wanted = min(sound.frames, math.ceil(seconds * sound.samplerate))
        blocks = [np.zeros(0)]
        while (left := wanted - sum(map(len, blocks))) > 0:
            block = sound.read(min(left, BLOCK), dtype="float64", always_2d=True)
            if not len(block):
                break
            blocks.append(block.mean(1))
        found = np.concatenate(blocks)
        if len(found) < wanted:
            raise UserError(f"{path}: cut short: {len(found)} samples of {sound.frames}; bring it here again")
        if not len(found):
            raise UserError(f"{path}: no sound in it: 0 samples; leave it out")
        if not np.isfinite(found).all():
            raise UserError(f"{path}: holds values that are NaN or infinite; leave it out, or write it anew")
        return sound.samplerate, found


def _refuse_cut_wav(path: Path, file: BinaryIO) -> None:
    """Whether all of a WAV's sound is there only its header says: libsndfile reads what there is. Ends at its start."""
    size = path.stat().st_size
    riff = file.read(12)
    for _ in range(MOST_CHUNKS if riff[:4] == b"RIFF" and riff[8:] == b"WAVE" else 0):
        head = file.read(8)
        if len(head) < 8:
            break
        length, there = struct.unpack("<I", head[4:])[0], size - file.tell()
        if head[:4] == b"data":
            if there < length < UNKNOWN_BYTES:
                raise UserError(f"{path}: cut short: {there} bytes of sound of {length}; bring it here again")
            break
        file.seek(length + length % 2, 1)  # Chunks begin at even bytes.
    file.seek(0)
