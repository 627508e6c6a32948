"""Small files of CIFAR-10's own form, written opcode by opcode, and the dataset made ready over them."""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fusionbench.data.cifar10 import CIFAR10
from fusionbench.data.cifar10_files import BATCHES, FOLDER

COUNT = 20
"""Pictures in a batch here."""
META = b"\x80\x02}."
TYPE = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"

Made = dict[str, tuple[NDArray[np.uint8], list[int]]]


def short(text: bytes) -> bytes:
    return b"U" + bytes([len(text)]) + text


def integer(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def array(pixels: bytes, shape: Sequence[int], kind: bytes = TYPE) -> bytes:
    """What Python 2's pickle wrote for a numpy array."""
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    sides = b"(" + b"".join(integer(side) for side in shape) + b"t"
    return made + b"(K\x01" + sides + kind + b"\x89T" + struct.pack("<i", len(pixels)) + pixels + b"tb"


def batch_pickle(pictures: NDArray[np.uint8], labels: Sequence[int]) -> bytes:
    """One batch as its file holds it."""
    data = array(pictures.tobytes(), (len(pictures), pictures[0].size))
    listed = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    names = b"](" + b"".join(short(b"thing_s_%06d.png" % index) for index in range(len(labels))) + b"e"
    label = short(b"batch_label") + short(b"training batch 1 of 5")
    pairs = label + short(b"labels") + listed + short(b"data") + data + short(b"filenames") + names
    return b"\x80\x02}(" + pairs + b"u."


def made(seed: int = 0) -> Made:
    """Smooth pictures of all colours, every class twice in a batch."""
    rng = np.random.default_rng(seed)
    found = {}
    for name in BATCHES:
        pictures = rng.integers(0, 256, (COUNT, 3, 32, 32), dtype=np.uint8)
        found[name] = (pictures, [int(label) for label in rng.permutation(np.arange(COUNT) % 10)])
    return found


def contents(batches: Made) -> dict[str, bytes]:
    """By file name, its bytes."""
    return {name: batch_pickle(*batch) for name, batch in batches.items()} | {"batches.meta": META}


def publish(monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]) -> None:
    """Makes these the official files."""
    table = {name: (len(text), hashlib.md5(text).hexdigest()) for name, text in files.items()}
    monkeypatch.setattr("fusionbench.data.cifar10_files.FILES", table)
    monkeypatch.setattr("fusionbench.data.cifar10_pickle.PICTURES", COUNT)


def lay_out(root: Path, files: dict[str, bytes]) -> Path:
    """The official layout in a data folder."""
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_bytes(text)
    return folder


def member(name: str, text: bytes = b"", kind: bytes = tarfile.REGTYPE) -> tuple[tarfile.TarInfo, bytes]:
    """A member of an archive."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(text)
    info.linkname = "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
    return info, text


def official_members(files: dict[str, bytes]) -> list[tuple[tarfile.TarInfo, bytes]]:
    """Those of the official archive, in another order."""
    folder = member(FOLDER, kind=tarfile.DIRTYPE)
    return [folder, member(f"{FOLDER}/readme.html", b"<html>"), *(member(f"{FOLDER}/{n}", t) for n, t in files.items())]


def archive_of(members: Sequence[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    """A .tar.gz."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for info, text in members:
            archive.addfile(info, io.BytesIO(text))
    return packed.getvalue()


def ready(root: Path, seed: int = 0, **options: object) -> CIFAR10:
    """Prepared and set up."""
    data = CIFAR10(root, seed, batch_size=16, **options)  # type: ignore[arg-type]
    data.prepare_data()
    data.setup()
    return data


def left_over(root: Path) -> list[str]:
    """What is in the folder of converted data, but for locks."""
    return [path.name for path in (root / "prepared").glob("*") if path.suffix != ".lock"]
