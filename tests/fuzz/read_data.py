"""Readers of data: TFRecords, CIFAR's batches, archives."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import copy
from pathlib import Path
from unittest.mock import patch

import google_crc32c
import numpy as np
from cifar10_folder import META, archive_of, batch_pickle, member, official_members
from edits import Program, edited, edited_tree
from readers import REAL, Files, Reader
from tfrecord_writer import example, video

from fusionbench.core.errors import UserError
from fusionbench.data import cifar10_files, cifar10_pickle, imdb_files, spoken_digits
from fusionbench.data.tfrecord import record_spans
from fusionbench.data.youtube8m_records import read_video_shard

Member = tuple[tarfile.TarInfo, bytes]


def framed(data: bytes) -> bytes:
    """A record with right checksums, by the checksum of others."""
    length = struct.pack("<Q", len(data))
    sums = [google_crc32c.value(part) for part in (length, data)]
    one, two = (struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF) for crc in sums)
    return length + one + data + two


class TFRecords(Reader):
    """Shards of YouTube-8M."""

    name, first_check = "TFRecord", "all checksums are right"
    tokens = (
        *b"id labels mean_rgb mean_audio rgb segment_labels video_id".split(),
        *(b"\x12\x00", b"\x0a\x00", b"\x80" * 9 + b"\x01", b"\xff" * 10, b"\x0a\xff\xff\xff\xff\x0f"),
        *(b"\x1a\x03\x0a\x01\x07", b"\x00\x00\xc0\x7f"),
    )

    def __init__(self) -> None:
        self.records = list(_real_records())
        if not self.records:
            rng = np.random.default_rng(0)
            self.records = [example(video(b"ab%02d" % row, [row, 3 * row + 1], rng)) for row in range(4)]

    def make(self, program: Program) -> Files:
        """One to three records, of which the first is edited; or the whole file, checksums and all."""
        how, count = program.byte(), 1 + program.byte() % 3
        records = [program.chosen(self.records) for _ in range(count)]
        if how % 4 == 0:
            return {"train0000.tfrecord": edited(b"".join(map(framed, records)), program, self.tokens)}
        data = records[0]
        hot = [(max(0, at - 8), at + 12) for at in (data.find(one) for one in (b"id", b"labels", b"mean_")) if at >= 0]
        records[0] = edited(data, program, self.tokens, [*hot, (0, 8), (len(data) - 8, len(data))])
        return {"train0000.tfrecord": b"".join(map(framed, records))}

    def passes(self, files: Files) -> bool:
        """By the framing's own reader, which tests hold to an independent writer."""
        (content,) = files.values()
        try:
            return bool(record_spans(content, Path("x")))
        except UserError:
            return False

    def read(self, folder: Path, files: Files) -> None:
        """A whole shard."""
        shard = read_video_shard(folder / "train0000.tfrecord")
        assert len(shard.ids) == len(shard.counts) == len(shard.rgb) == len(shard.audio)
        assert shard.counts.sum() == len(shard.labels)


def _real_records() -> Iterator[bytes]:
    for path in sorted((REAL / "youtube8m" / "video").glob("*.tfrecord"))[:2]:
        with path.open("rb") as file:
            for _ in range(4):
                (length,) = struct.unpack("<Q", file.read(12)[:8])
                yield file.read(length)
                file.read(4)


class CifarBatches(Reader):
    """Pickles of CIFAR-10, cut to a few pictures."""

    name, first_check = "CIFAR batch", "it unpickles"
    count = 4
    tokens = (
        *(b"cos\nsystem\n(S'true'\ntR", b"cbuiltins\neval\n", b"c__builtin__\nexec\n", b"cnumpy\nload\n"),
        *(b"cnumpy\ndtype\n", b"\x80\x04", b"\x95", b"h\x00", b"q\x00", b"\x81", b"K\x09", b"J\xff\xff\xff\xff"),
        *(b"U\x04data",),
        *(b"U\x06labels", b"I01\n", b"\x88", b"\x8a\x01\x07", b"Ptwo\n", *b"( t R b } ] u e . 2 0 N Q".split()),
    )

    def __init__(self) -> None:
        real = REAL / "cifar-10-batches-py" / "test_batch"
        rng = np.random.default_rng(0)
        pictures = rng.integers(0, 256, (self.count, 3, 32, 32), dtype=np.uint8)
        labels = [1, 9, 0, 4]
        if real.is_file():  # 31 MB of pixels: a few of them, written down as Python 2 did.
            all_pictures, all_labels = cifar10_pickle.unpickled(real.read_bytes(), real.name)
            pictures, labels = all_pictures[: self.count], [int(label) for label in all_labels[: self.count]]
        self.content = batch_pickle(pictures, labels)
        pixels = self.content.find(pictures.tobytes())
        end = pixels + pictures.nbytes
        listed = self.content.find(b"labels") + 9
        self.values = [(listed + 2 * at, listed + 2 * at + 1) for at in range(self.count)] + [(pixels, end)]
        self.hot = [(0, pixels), (end, len(self.content)), (0, pixels), (pixels - 12, pixels)]

    @contextmanager
    def ready(self) -> Iterator[None]:
        """A batch has few pictures."""
        with patch.object(cifar10_pickle, "PICTURES", self.count):
            yield

    def make(self, program: Program) -> Files:
        """One batch edited anywhere, or where values are; or a pickle of something else."""
        how = program.byte() % 3
        if how == 0:
            return {"data_batch_1": edited(self.content, program, self.tokens, self.hot)}
        if how == 1:
            tree = edited_tree({"data": [0] * 12, "labels": [1, 9, 0, 4], "filenames": ["a.png"]}, program)
            return {"data_batch_1": pickle.dumps(tree, program.byte() % 6)}
        out = bytearray(self.content)
        while program.left:
            first, end = program.chosen(self.values)
            out[first + program.below(end - first)] = program.byte()
        return {"data_batch_1": bytes(out)}

    def passes(self, files: Files) -> bool:
        """By the same restricted reader of pickles: any other would execute what is asked for."""
        try:
            cifar10_pickle._Unpickler(io.BytesIO(files["data_batch_1"]), encoding="bytes").load()
        except cifar10_pickle.UNREADABLE:
            return False
        return True

    def read(self, folder: Path, files: Files) -> None:
        """As it is read when its checksum is right."""
        pictures, labels = cifar10_pickle.unpickled((folder / "data_batch_1").read_bytes(), "data_batch_1")
        assert (pictures.shape, labels.shape) == ((self.count, 3, 32, 32), (self.count,))


class Archives(Reader):
    """The three archives that data sets come in."""

    name, first_check = "archive", "it is a gzip, and its first member is read"
    names = (
        *b"../../evil /tmp/evil cifar-10-batches-py/../../evil aclImdb/../../evil .. .".split(),
        *b"cifar-10-batches-py/data_batch_1 aclImdb/test/urls_pos.txt aclImdb/train/pos/0_9.txt".split(),
        *(b"", b"a\nb", b"\xff\xfe", b"x" * 100),
    )

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        pictures = rng.integers(0, 256, (2, 3, 32, 32), dtype=np.uint8)
        self.batches = {name: batch_pickle(pictures, [1, 2]) for name in cifar10_files.BATCHES} | {"batches.meta": META}
        reviews = _reviews()
        self.takes = {f"{digit}_ada_0.wav": _recording(digit) for digit in range(2)}
        recordings = f"free-spoken-digit-dataset-{spoken_digits.COMMIT}/recordings"
        self.members: dict[str, Sequence[Member]] = {
            cifar10_files.ARCHIVE: official_members(self.batches),
            imdb_files.ARCHIVE: [member(f"{imdb_files.FOLDER}/{name}", text) for name, text in reviews.items()],
            spoken_digits.ARCHIVE: [member(f"{recordings}/{name}", text) for name, text in self.takes.items()],
        }
        self.whole = {name: archive_of(members) for name, members in self.members.items()}

    @contextmanager
    def ready(self) -> Iterator[None]:
        """All data sets are small."""
        table = {
            name: (len(text), hashlib.md5(text, usedforsecurity=False).hexdigest())
            for name, text in self.batches.items()
        }
        sums = {"ada": hashlib.sha256(b"".join(self.takes.values())).hexdigest()}
        small = [
            *((cifar10_files, "FILES", table), (imdb_files, "EACH", 1), (imdb_files, "UNPACKED_BYTES", 2**17)),
            *((spoken_digits, "TAKES", range(1)), (spoken_digits, "SPEAKERS", sums)),
            *((spoken_digits, "DIGITS", range(2)),),
        ]
        with ExitStack() as changed:
            for owner, name, value in small:
                changed.enter_context(patch.object(owner, name, value))
            yield

    def make(self, program: Program) -> Files:
        """One of them: as packed, or its plain blocks with checksums made right, or its members."""
        how, name = program.byte(), program.chosen(sorted(self.members))
        if how % 4 == 0:
            return {name: edited(self.whole[name], program, (b"\x1f\x8b\x08", b"\0" * 16), [(0, 20)])}
        if how % 4 == 1:
            plain = edited(gzip.decompress(self.whole[name]), program, self.names, [(0, 512)])
            return {name: gzip.compress(_summed(plain), 1)}
        members = [
            (tarfile.TarInfo.frombuf(info.tobuf(), "utf-8", "surrogateescape"), text)
            for info, text in self.members[name]
        ]
        while program.left and members:
            _edit_member(members, program, self.names)
        return {name: archive_of(members)}

    def passes(self, files: Files) -> bool:
        """By Python's own readers."""
        (content,) = files.values()
        try:
            with tarfile.open(fileobj=io.BytesIO(gzip.decompress(content))) as found:
                return found.next() is not None
        except Exception:  # noqa: BLE001  (whatever it is, it is none)
            return False

    def read(self, folder: Path, files: Files) -> None:
        """Unpacked into its own folder: whole, or nothing is there."""
        (name,) = files
        owner = {one.ARCHIVE: one for one in (cifar10_files, imdb_files, spoken_digits)}[name]
        place = folder / owner.FOLDER
        try:
            owner.unpack(folder / name, place)
        except UserError:
            assert not place.exists()
            raise
        assert place.is_dir()


def _reviews() -> Files:
    """One review of each part and label: real ones where they are."""
    found: Files = {}
    for part in imdb_files.PARTS:
        for label in imdb_files.LABELS:
            here = REAL / imdb_files.FOLDER / part
            real = next(iter(sorted((here / label).glob("0_*.txt"))), None)
            found[f"{part}/{label}/0_9.txt"] = real.read_bytes() if real else b"a film<br /> that was good"
            urls = here / f"urls_{label}.txt"
            first = (
                urls.read_bytes().splitlines()[0]
                if urls.is_file()
                else b"http://www.imdb.com/title/tt0064354/usercomments"
            )
            found[f"{part}/urls_{label}.txt"] = first + b"\n"
    return found


def _recording(digit: int) -> bytes:
    real = REAL / spoken_digits.FOLDER / f"{digit}_george_0.wav"
    return real.read_bytes() if real.is_file() else b"RIFF%d" % digit


def _summed(plain: bytes) -> bytes:
    """The same blocks, with the checksum of each that looks like a header made right."""
    out = bytearray(plain)
    for at in range(0, len(out) - 511, 512):
        if out[at + 257 : at + 262] == b"ustar":
            out[at + 148 : at + 156] = b" " * 8
            out[at + 148 : at + 156] = b"%06o\0 " % (sum(out[at : at + 512]) & 0o777777)
    return bytes(out)


def _edit_member(members: list[Member], program: Program, names: Sequence[bytes]) -> None:
    at = program.below(len(members))
    info, text = copy(members[at][0]), members[at][1]
    match program.byte() % 8:
        case 0 | 1:
            info.name = program.chosen(names).decode("utf-8", "surrogateescape").replace("\0", "")
        case 2 | 3:
            info.type = program.chosen([bytes([kind]) for kind in b"01234567xgLKSDAV"])
            info.linkname = "../../../etc/passwd"
        case 4:
            del members[at]
        case 5:
            members.append(members[at])
        case 6:
            text = edited(text, Program(bytes(program.byte() for _ in range(8))), (b"\xff", b"\r\n"))
        case 7:
            text = text * 2 if program.byte() % 2 else b""
    info.size = len(text)
    if members:
        members[at % len(members)] = info, text
