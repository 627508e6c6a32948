"""CIFAR-10 from files and archives that are not what they should be: refused, told in two lines, nothing left."""

from __future__ import annotations

import gzip
import hashlib
import resource
import struct
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from cifar10_folder import (
    COUNT,
    TYPE,
    archive_of,
    array,
    batch_pickle,
    contents,
    lay_out,
    left_over,
    made,
    member,
    official_members,
    publish,
    ready,
    short,
)
from hypothesis import given
from hypothesis import strategies as st

from fusionbench.core.errors import UserError
from fusionbench.data.cifar10_files import ARCHIVE, BATCHES, FOLDER, bring, unpack
from fusionbench.data.cifar10_pickle import unpickled

FILES = contents(made())
PIXELS = bytes(COUNT * 3072)
LABELS = b"](" + b"K\x01" * COUNT + b"e"


@pytest.fixture(autouse=True)
def official(monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch, FILES)
    # Nobody answers there; a test that serves the archive sets another.
    monkeypatch.setattr("fusionbench.data.cifar10_files.URL", "http://127.0.0.1:1/archive")
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def told(caught: pytest.ExceptionInfo[UserError]) -> str:
    text = str(caught.value)
    assert len(text.splitlines()) <= 2
    return text


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock" and path.name != "prepared")


# --- files in the official layout -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda text: text[:-1], r"data_batch_3: \d+ bytes, expected \d+: cut off, or not CIFAR-10's"),
        (lambda text: b"", "data_batch_3: 0 bytes, expected"),
        (lambda text: text + b"x", "data_batch_3: more bytes, expected"),
        (lambda text: text[:999] + bytes([text[999] ^ 4]) + text[1000:], "data_batch_3: MD5 .*: damaged, or not"),
    ],
    ids=["cut", "empty", "longer", "flipped"],
)
def test_a_damaged_file_is_named_and_nothing_is_left(
    tmp_path: Path, damage: Callable[[bytes], bytes], problem: str
) -> None:
    lay_out(tmp_path, FILES | {"data_batch_3": damage(FILES["data_batch_3"])})
    with pytest.raises(UserError, match=problem) as caught:
        ready(tmp_path)
    assert "fusionbench prepare cifar10" in told(caught)
    assert left_over(tmp_path) == []
    lay_out(tmp_path, FILES)
    assert ready(tmp_path).fingerprint


def test_an_unreadable_file_is_told(tmp_path: Path) -> None:
    folder = lay_out(tmp_path, FILES)
    (folder / "test_batch").unlink()
    (folder / "test_batch").mkdir()
    with pytest.raises(UserError, match="no test_batch") as caught:
        ready(tmp_path)
    told(caught)


def test_missing_files_are_named_with_every_way_to_get_them(tmp_path: Path) -> None:
    (lay_out(tmp_path, FILES) / "data_batch_2").unlink()
    (tmp_path / ARCHIVE).write_bytes(b"half an archive")
    with pytest.raises(UserError, match="cannot be downloaded") as caught:
        ready(tmp_path)
    text = told(caught)
    md5 = hashlib.md5(b"half an archive").hexdigest()
    for part in (f"no data_batch_2 ({ARCHIVE} is there, but its MD5 is {md5})", "prepare cifar10", "--data"):
        assert part in text
    assert left_over(tmp_path) == []
    assert (tmp_path / ARCHIVE).read_bytes() == b"half an archive"


# --- pickles --------------------------------------------------------------------------------------------------------


def call(place: Path, module: bytes, name: bytes) -> bytes:
    """Calls a function with one text: what an attacker writes."""
    command = f"touch {place}".encode()
    return b"\x80\x02c" + module + b"\n" + name + b"\n" + short(command) + b"\x85R."


def whole(data: bytes, labels: bytes = LABELS) -> bytes:
    return b"\x80\x02}(" + short(b"labels") + labels + short(b"data") + data + b"u."


SHAPE = (COUNT, 3072)
HOSTILE: dict[str, Callable[[Path], bytes]] = {
    "os.system": lambda place: call(place, b"os", b"system"),
    "posix.system": lambda place: call(place, b"posix", b"system"),
    "builtins.exec": lambda place: call(place, b"builtins", b"exec"),
    "py2's eval": lambda place: call(place, b"__builtin__", b"eval"),
    "numpy's own runner": lambda place: call(place, b"numpy.testing._private.utils", b"runstring"),
    "numpy.load": lambda place: call(place, b"numpy", b"load"),
    "ndarray called": lambda place: call(place, b"numpy", b"ndarray"),
    "an attribute of ndarray": lambda place: b"\x80\x04\x8c\x05numpy\x8c\x10ndarray.__reduce__\x93.",
    "old-style instance": lambda place: b"(S'touch " + str(place).encode() + b"'\nios\nsystem\n.",
    "state of a function": lambda place: b"\x80\x02cnumpy\ndtype\n}b.",
    "state of the array type": lambda place: b"\x80\x02cnumpy\nndarray\nN}U\x01aK\x01s\x86b.",
    "new instance of a function": lambda place: b"\x80\x02cnumpy\nndarray\n)\x81.",
    "registered extension": lambda place: b"\x80\x02\x82\x01.",
    "persistent id": lambda place: b"\x80\x02K\x01Q.",
    "array of objects": lambda place: whole(array(PIXELS, SHAPE, TYPE.replace(b"u1", b"O8"))),
    "array of another shape": lambda place: whole(array(PIXELS, (COUNT * 2, 1536))),
    "array of one axis": lambda place: whole(array(PIXELS, (len(PIXELS),))),
    "array shorter than it says": lambda place: whole(array(PIXELS[:-1], SHAPE)),
    "array without content": lambda place: whole(
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    ),
    "huge array": lambda place: b"\x80\x05\x96" + struct.pack("<Q", 2**60) + b".",
    "label out of range": lambda place: whole(array(PIXELS, SHAPE), LABELS.replace(b"\x01", b"\x0a")),
    "labels of another type": lambda place: whole(array(PIXELS, SHAPE), b"](" + b"\x88" * COUNT + b"e"),
    "too few labels": lambda place: whole(array(PIXELS, SHAPE), b"](K\x01e"),
    "no labels": lambda place: b"\x80\x02}(" + short(b"data") + array(PIXELS, SHAPE) + b"u.",
    "no dictionary": lambda place: b"\x80\x02" + array(PIXELS, SHAPE) + b".",
    "list within list": lambda place: b"(" * 1000 + b"l" * 1000 + b".",
    "nothing": lambda place: b"",
    "text": lambda place: b"<html>not found</html>",
    "a cut batch": lambda place: FILES["test_batch"][:-100],
}


def test_a_pickle_that_would_fill_the_memory_is_refused_before_it_does() -> None:
    for opcode in (b"r\xff\xff\xff\x07", b"p134217727\n"):
        with pytest.raises(UserError, match="it keeps something under the number 134217727"):
            unpickled(b"\x80\x02]" + opcode + b".", "data_batch_1")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_pickle_of_anything_else_is_refused_and_not_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    place = tmp_path / "executed"
    text = HOSTILE[name](place)
    # Even if its checksum were the published one.
    publish(monkeypatch, FILES | {"data_batch_1": text})
    lay_out(tmp_path, FILES | {"data_batch_1": text})
    with pytest.raises(
        UserError, match=r"data_batch_1: not a batch of CIFAR-10 .*nothing in it was executed"
    ) as caught:
        ready(tmp_path)
    assert "\n" not in told(caught)
    assert not place.exists()
    assert left_over(tmp_path) == []


def test_a_wrong_checksum_is_found_before_a_byte_is_unpickled(tmp_path: Path) -> None:
    good = FILES["data_batch_1"]
    text = call(tmp_path / "executed", b"os", b"system").ljust(len(good), b"\0")
    lay_out(tmp_path, FILES | {"data_batch_1": text})
    with pytest.raises(UserError, match="data_batch_1: MD5 "):
        ready(tmp_path)


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_batch_with_any_bytes_changed_is_read_or_refused(changes: list[tuple[int, int]]) -> None:
    text = bytearray(batch_pickle(np.zeros((COUNT, 3, 32, 32), dtype=np.uint8), [1] * COUNT))
    for place, value in changes:
        text[place] = value
    labels: set[int] = set()
    with suppress(UserError):  # Any other exception is a fault of the reader.
        labels = set(unpickled(bytes(text), "x")[1].tolist())
    assert labels <= set(range(10))


# --- archives -------------------------------------------------------------------------------------------------------


def test_the_archive_gives_the_official_layout_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ARCHIVE).write_bytes(archive_of(official_members(FILES)))
    unpack(tmp_path / ARCHIVE, tmp_path / FOLDER)
    assert {path.name: path.read_bytes() for path in (tmp_path / FOLDER).iterdir()} == FILES
    assert visible(tmp_path) == [FOLDER, ARCHIVE]


def test_files_that_are_there_already_are_left_as_they_are(tmp_path: Path) -> None:
    (tmp_path / ARCHIVE).write_bytes(archive_of(official_members(FILES)))
    lay_out(tmp_path, {"test_batch": b"mine"})
    unpack(tmp_path / ARCHIVE, tmp_path / FOLDER)
    assert {path.name: path.read_bytes() for path in (tmp_path / FOLDER).iterdir()} == FILES | {"test_batch": b"mine"}


def changed(name: str, text: bytes) -> bytes:
    return archive_of(official_members(FILES | {name: text}))


def sized(size: int) -> bytes:
    """A header that announces a member of that size, and zeros, whatever follows."""
    info = tarfile.TarInfo(f"{FOLDER}/test_batch")
    info.size = size
    return gzip.compress(info.tobuf() + bytes(2**16))


def header_bomb() -> bytes:
    """A header of a header that unpacks to more than any of the files."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 2**27
    return gzip.compress(info.tobuf() + bytes(2**27), compresslevel=1)


FIRST = official_members(FILES)
ARCHIVES: dict[str, tuple[Callable[[], bytes], str]] = {
    "a path upwards": (lambda: archive_of([*FIRST, member("../outside", b"x")]), r"holds '\.\./outside'"),
    "a path upwards by a known name": (
        lambda: archive_of([*FIRST, member(f"{FOLDER}/../test_batch", b"x")]),
        r"holds '.*\.\./test_batch'",
    ),
    "an absolute path": (lambda: archive_of([member("/tmp/outside", b"x"), *FIRST]), "holds '/tmp/outside'"),
    "another file": (lambda: archive_of([*FIRST, member(f"{FOLDER}/data_batch_6", b"x")]), "holds '.*data_batch_6'"),
    "a symbolic link": (
        lambda: archive_of([member(f"{FOLDER}/test_batch", kind=tarfile.SYMTYPE), *FIRST]),
        "holds '.*test_batch', no plain file",
    ),
    "a link for the folder": (lambda: archive_of([member(FOLDER, kind=tarfile.SYMTYPE), *FIRST]), "no plain file"),
    "a hard link": (
        lambda: archive_of([*FIRST, member(f"{FOLDER}/test_batch", kind=tarfile.LNKTYPE)]),
        "no plain file",
    ),
    "a device": (lambda: archive_of([member(f"{FOLDER}/test_batch", kind=tarfile.CHRTYPE), *FIRST]), "no plain file"),
    "a pipe": (lambda: archive_of([member(f"{FOLDER}/test_batch", kind=tarfile.FIFOTYPE), *FIRST]), "no plain file"),
    "a file of another size": (lambda: changed("data_batch_4", b"short"), "its data_batch_4 has 5 bytes, not"),
    "a file of another content": (lambda: changed("batches.meta", b"\x80\x02]."), "batches.meta: MD5 "),
    "a file twice, differently": (
        lambda: archive_of([*FIRST, member(f"{FOLDER}/batches.meta", b"\x80\x02].")]),
        "batches.meta: MD5 ",
    ),
    "a file missing": (lambda: archive_of(FIRST[:-1]), "holds no batches.meta"),
    "a bomb of one member": (lambda: sized(2**40), "has 1099511627776 bytes, not"),
    "a bomb in a header": (header_bomb, "unpacks to more bytes than it may"),
    "a bomb in what is left out": (
        lambda: archive_of([member(f"{FOLDER}/readme.html", bytes(2**24)), *FIRST]),
        "unpacks to more bytes than it may",
    ),
    "an archive cut short": (lambda: archive_of(FIRST)[:-5000], "damaged"),
    "a damaged archive": (lambda: archive_of(FIRST)[:5000] + bytes(5000), "damaged"),
    "no archive": (lambda: b"<html>not found</html>" * 99, "damaged"),
    "nothing at all": (lambda: b"", "damaged"),
    "zipped nonsense": (lambda: gzip.compress(b"nonsense" * 999), "damaged"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_of_anything_else_is_refused_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    make, problem = ARCHIVES[name]
    root = tmp_path / "root"
    root.mkdir()
    (root / ARCHIVE).write_bytes(make())
    with pytest.raises(UserError, match=problem) as caught:
        unpack(root / ARCHIVE, root / FOLDER)
    assert "\n" not in told(caught)
    assert visible(root) == [ARCHIVE]
    assert visible(tmp_path) == ["root"]


def test_a_full_disk_while_unpacking_leaves_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / ARCHIVE).write_bytes(archive_of(FIRST))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(UserError, match=f"File too large while unpacking {ARCHIVE}; make room") as caught:
            unpack(tmp_path / ARCHIVE, tmp_path / FOLDER)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    told(caught)
    assert visible(tmp_path) == [ARCHIVE]
    unpack(tmp_path / ARCHIVE, tmp_path / FOLDER)
    assert (tmp_path / FOLDER / BATCHES[0]).read_bytes() == FILES[BATCHES[0]]


# --- downloads ------------------------------------------------------------------------------------------------------


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name in the library)
        """Says nothing."""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that is served in the place of the official site, with the archive in it."""
    folder = tmp_path / "site"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    text = archive_of(FIRST)
    (folder / ARCHIVE).write_bytes(text)
    monkeypatch.setattr("fusionbench.data.cifar10_files.URL", f"http://127.0.0.1:{server.server_port}/{ARCHIVE}")
    monkeypatch.setattr("fusionbench.data.cifar10_files.ARCHIVE_MD5", hashlib.md5(text).hexdigest())
    yield folder
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_download_an_archive_and_a_folder_have_one_fingerprint(tmp_path: Path, site: Path) -> None:
    downloaded = ready(tmp_path / "download").fingerprint
    lay_out(tmp_path / "folder", FILES)
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive" / ARCHIVE).write_bytes((site / ARCHIVE).read_bytes())
    (site / ARCHIVE).unlink()
    assert ready(tmp_path / "folder").fingerprint == ready(tmp_path / "archive").fingerprint == downloaded


def test_a_download_with_a_wrong_checksum_is_refused(tmp_path: Path, site: Path) -> None:
    (site / ARCHIVE).write_bytes(b"something else")
    with pytest.raises(UserError, match=r"wrong checksum: MD5 .* nothing was kept; CIFAR-10 is not whole") as caught:
        ready(tmp_path / "root")
    told(caught)
    assert [name for name in visible(tmp_path / "root") if not name.startswith(".")] == []


def test_a_download_over_the_piece_of_an_earlier_one_is_whole(tmp_path: Path, site: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / f"{ARCHIVE}.part").write_bytes((site / ARCHIVE).read_bytes()[:1000])
    bring(root / FOLDER)
    assert (root / ARCHIVE).read_bytes() == (site / ARCHIVE).read_bytes()
    assert visible(root / FOLDER) == sorted(FILES)
