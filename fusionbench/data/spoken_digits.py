"""The recordings of the Free Spoken Digit Dataset: where they are, how they get here, and whether they are those.

    <root>/spoken_digits/<digit>_<speaker>_<take>.wav             10 digits x 6 speakers x 50 takes, 8 kHz mono
    <root>/free-spoken-digit-dataset-26eb9aa.tar.gz               GitHub's archive of the commit

GitHub makes that archive anew whenever it likes, so that its bytes are not always the same: the recordings are
verified, not the archive. Nothing else in it is unpacked.

Source: https://github.com/Jakobovski/free-spoken-digit-dataset, whose README says what the test set is.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusionbench.core.errors import UserError, shown
from fusionbench.core.locks import locked
from fusionbench.data.archives import DAMAGED, members, official

Ints = NDArray[np.int64]
FOLDER = "spoken_digits"
COMMIT = "26eb9aaf76e81b692f806f9140c2d2777410d7a1"
ARCHIVE = f"free-spoken-digit-dataset-{COMMIT[:7]}.tar.gz"
URL = f"https://github.com/Jakobovski/free-spoken-digit-dataset/archive/{COMMIT}.tar.gz"
ARCHIVE_BYTES = 15_610_801
"""About: what git makes of the commit here."""
UNPACKED_BYTES, LARGEST_BYTES = 2**25, 2**17
"""More than the archive and its largest recording have."""
RATE = 8_000
DIGITS, TAKES = range(10), range(50)
TEST_TAKES = 5
"""The first so many takes of each digit and speaker are the official test set."""
SPEAKERS = {
    "george": "314b34bbd5dcd2bc4baf35fdaf7820cf401f43b60cce0c7d6298ef261c5948fd",
    "jackson": "a225c20182fa25f5412994c2da1b8280d176a053042b96af2df7754644475490",
    "lucas": "d8e5192a0476dfa86fc6cdc7aa71ccd727f9f9934a351584fac79b6ffa654ffb",
    "nicolas": "fb041904d00a3ca9e8da3fd8b2a7162488e1c72151165a49cadac7627104bf30",
    "theo": "292f14c019dbba2a9508ba1ee26f5b5a25061e3a7a0ad444e25856b9a87c160e",
    "yweweler": "d9f468e7f1c5159d4c91fb4b5bf248087609b219f73d628e14fd78581a43932e",
}
"""By speaker, the SHA-256 of all recordings, one after the other by digit and then take."""
WANTED = re.compile(rf"free-spoken-digit-dataset-{COMMIT}/recordings/([0-9]_[a-z]+_[0-9]{{1,2}}\.wav)")


def names() -> list[str]:
    """Every recording's file, by digit, then speaker, then take: row i of the dataset."""
    return [f"{digit}_{speaker}_{take}.wav" for digit, speaker, take in product(DIGITS, SPEAKERS, TAKES)]


def digits() -> Ints:
    """(n,): the digit of each."""
    return np.repeat(np.array(DIGITS), len(SPEAKERS) * len(TAKES))


def takes() -> Ints:
    """(n,): which of its speaker's recordings of the digit each is."""
    return np.tile(np.array(TAKES), len(DIGITS) * len(SPEAKERS))


def missing(folder: Path) -> list[str]:
    """The recordings that are not in the folder."""
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    return [name for name in names() if name not in there]


def told_missing(folder: Path) -> str:
    """How many recordings are not there, and on a second line every way to get them."""
    absent = missing(folder)
    return (
        f"the spoken digits are not whole in {folder}: {len(absent)} of {len(names())} recordings are missing, the "
        f"first is {absent[0]}\nwith a network, `fusionbench prepare av_digits` downloads them; or put {URL} as "
        f"{ARCHIVE} in {folder.parent}, or its folder `recordings` there as "
        f"{FOLDER}; or name another data folder with --data"
    )


def bring(folder: Path) -> None:
    """Downloads and unpacks the recordings, unless the folder has all of them.

    Raises:
        UserError: no network, an archive that does not hold them, or no room.
    """
    if missing(folder):
        archive = folder.parent / ARCHIVE
        official(archive, URL, None, ARCHIVE_BYTES, told_missing(folder))
        unpack(archive, folder)


def unpack(archive: Path, folder: Path) -> None:
    """Takes the recordings out of the archive: each appears in the folder once all are verified, or none does.

    Raises:
        UserError: the archive holds other recordings, is damaged, or there is no room.
    """
    try:
        lock = locked(folder.with_name(f".{FOLDER}.lock"))
        with lock, tempfile.TemporaryDirectory(prefix=f".{FOLDER}.", dir=folder.parent) as made:
            _extract(archive, Path(made))
            verify(Path(made))
            folder.mkdir(exist_ok=True)
            for name in missing(folder):
                (Path(made) / name).rename(folder / name)
    except DAMAGED as error:
        raise _refused(archive, f"damaged ({error})") from error
    except OSError as error:
        raise UserError(
            f"{error.filename or folder}: {error.strerror or error} while unpacking {archive.name}; make room or make "
            f"it accessible, or name another data folder with --data"
        ) from error


def _extract(archive: Path, folder: Path) -> None:
    expected = set(names())
    with members(archive, UNPACKED_BYTES) as found:
        for member in found:
            match = WANTED.fullmatch(member.name)
            if match is None or not member.isreg():
                continue  # No path of the archive is used but a name of letters, digits and a dot.
            if match[1] not in expected or member.size > LARGEST_BYTES:
                raise _refused(archive, f"holds {shown(member.name)} of {member.size} bytes")
            content = found.extractfile(member)
            assert content is not None
            (folder / match[1]).write_bytes(content.read())
    if absent := missing(folder):
        raise _refused(archive, f"holds {len(expected) - len(absent)} of {len(expected)} recordings, no {absent[0]}")


def verify(folder: Path) -> None:
    """Whether all recordings are, byte for byte, those of the commit.

    Raises:
        UserError: one is not there, or a speaker's are others.
    """
    for speaker, expected in SPEAKERS.items():
        total = hashlib.sha256()
        for digit, take in product(DIGITS, TAKES):
            path = folder / f"{digit}_{speaker}_{take}.wav"
            try:
                total.update(path.read_bytes())
            except OSError as error:
                raise UserError(f"{path}: {error.strerror or error}; bring the recordings here again") from error
        if total.hexdigest() != expected:
            raise UserError(
                f"{folder}: the recordings of {speaker} are not those of the commit {COMMIT[:7]} (SHA-256 "
                f"{total.hexdigest()}); remove *_{speaker}_*.wav there, and `fusionbench prepare av_digits` brings them"
            )


def _refused(archive: Path, problem: str) -> UserError:
    return UserError(f"{archive}: {problem}: not the archive of the spoken digits; nothing was unpacked, remove it")
