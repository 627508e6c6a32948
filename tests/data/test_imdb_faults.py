"""IMDB from folders and archives that are not what they should be: refused, told in two lines, nothing left."""

from __future__ import annotations

import gzip
import hashlib
import resource
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cifar10_folder import archive_of, left_over, member
from imdb_folder import EACH, lay_out, made, ready, small

from fusionbench.core.errors import UserError
from fusionbench.data.imdb_files import ARCHIVE, FOLDER, unpack

FILES = made()


@pytest.fixture(autouse=True)
def official(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)
    # Nobody answers there.
    monkeypatch.setattr("fusionbench.data.imdb_files.URL", "http://127.0.0.1:1/archive")
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def official_members(files: dict[str, bytes]) -> list[tuple[tarfile.TarInfo, bytes]]:
    """With what the official archive holds besides."""
    besides = {"README": b"x", "imdb.vocab": b"the", "train/labeledBow.feat": b"9 0:9", "train/unsup/0_0.txt": b"y"}
    folders = [member(FOLDER, kind=tarfile.DIRTYPE), member(f"{FOLDER}/train", kind=tarfile.DIRTYPE)]
    return folders + [member(f"{FOLDER}/{name}", text) for name, text in (files | besides).items()]


def told(caught: pytest.ExceptionInfo[UserError]) -> str:
    text = str(caught.value)
    assert len(text.splitlines()) <= 2
    return text


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock" and path.name != "prepared")


REVIEW = next(name for name in FILES if name.startswith("train/pos/7_"))


def without(name: str) -> dict[str, bytes]:
    return {other: text for other, text in FILES.items() if other != name}


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        (without(REVIEW), rf"train/pos: {EACH - 1} files, expected {EACH} reviews; no review 7; copy"),
        (FILES | {"test/neg/99_1.txt": b"x"}, rf"test/neg: {EACH + 1} files, .*; besides '99_1.txt'; copy"),
        (FILES | {"test/neg/notes.txt": b"x"}, rf"test/neg: {EACH + 1} files, .*; besides 'notes.txt'; copy"),
        (FILES | {"train/pos/7_11.txt": b"x"}, rf"train/pos: {EACH + 1} files"),
        (without(REVIEW) | {"train/pos/99_1.txt": b"x"}, r"; no review 7; besides '99_1.txt'; copy"),
        (FILES | {REVIEW: b"caf\xe9"}, rf"{REVIEW}: byte 3 is no UTF-8"),
        (FILES | {REVIEW: b""}, rf"{REVIEW}: an empty review; copy"),
        (FILES | {REVIEW: b" \n<br /> "}, rf"{REVIEW}: an empty review; copy"),
        (without(REVIEW) | {"train/pos/.DS_Store": b"x"}, rf"train/pos: {EACH - 1} files, .*; no review 7; copy"),
        (FILES | {"train/urls_neg.txt": FILES["train/urls_neg.txt"][:-20]}, f"{EACH - 1} lines with a film, expected"),
        (without("test/urls_pos.txt"), r"IMDB's reviews are not in .*\n.*prepare imdb"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused_and_nothing_is_left(
    tmp_path: Path, files: dict[str, bytes], problem: str
) -> None:
    lay_out(tmp_path, files)
    with pytest.raises(UserError, match=problem) as caught:
        ready(tmp_path)
    told(caught)
    assert left_over(tmp_path) == []


def test_files_that_an_operating_system_adds_to_a_folder_are_not_looked_at(tmp_path: Path) -> None:
    lay_out(tmp_path / "plain", FILES)
    added = (".DS_Store", f"._{Path(REVIEW).name}", "Thumbs.db", "desktop.ini", ".ipynb_checkpoints/0_1.txt")
    lay_out(tmp_path / "seen", FILES | {f"{folder}/{n}": b"\0" for folder in ("train/pos", "test/neg") for n in added})
    assert ready(tmp_path / "seen").fingerprint == ready(tmp_path / "plain").fingerprint


def test_no_network_is_told_with_every_way_out(tmp_path: Path) -> None:
    (tmp_path / ARCHIVE).write_bytes(b"half")
    with pytest.raises(UserError, match="cannot be downloaded") as caught:
        ready(tmp_path)
    text = told(caught)
    for part in (hashlib.md5(b"half").hexdigest(), "prepare imdb", "--data"):
        assert part in text


def test_an_archive_and_a_folder_have_one_fingerprint_and_only_reviews_are_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = archive_of(official_members(FILES))
    monkeypatch.setattr("fusionbench.data.imdb_files.ARCHIVE_MD5", hashlib.md5(text).hexdigest())
    root = tmp_path / "archive"
    root.mkdir()
    (root / ARCHIVE).write_bytes(text)
    lay_out(tmp_path / "folder", FILES)
    assert ready(root).fingerprint == ready(tmp_path / "folder").fingerprint
    found = {str(path.relative_to(root / FOLDER)) for path in (root / FOLDER).rglob("*.txt")}
    assert found == set(FILES)
    assert sorted(path.name for path in (root / FOLDER).iterdir()) == ["test", "train"]


FIRST = official_members(FILES)
ARCHIVES: dict[str, tuple[Callable[[], bytes], str]] = {
    "a path upwards": (lambda: archive_of([*FIRST, member("../outside", b"x")]), r"holds '\.\./outside'"),
    "a path upwards inside": (
        lambda: archive_of([*FIRST, member(f"{FOLDER}/../{REVIEW}", b"x")]),
        r"holds 'aclImdb/\.\./",
    ),
    "an absolute path": (lambda: archive_of([member("/tmp/outside", b"x"), *FIRST]), "holds '/tmp/outside'"),
    "a symbolic link": (
        lambda: archive_of([member(f"{FOLDER}/train", kind=tarfile.SYMTYPE), *FIRST]),
        "holds 'aclImdb/train', no plain file",
    ),
    "a hard link": (lambda: archive_of([*FIRST, member(f"{FOLDER}/{REVIEW}", kind=tarfile.LNKTYPE)]), "no plain file"),
    "a device": (lambda: archive_of([*FIRST, member(f"{FOLDER}/null", kind=tarfile.CHRTYPE)]), "no plain file"),
    "a huge review": (
        lambda: archive_of([*FIRST, member(f"{FOLDER}/{REVIEW}", bytes(2**20 + 1))]),
        "has 1048577 bytes",
    ),
    "a review missing": (lambda: archive_of(official_members(without(REVIEW))), "no review 7"),
    "an archive cut short": (lambda: archive_of(FIRST)[:-3000], "damaged"),
    "no archive": (lambda: b"<html>", "damaged"),
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


def test_a_bomb_is_given_up_long_before_it_fills_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fusionbench.data.imdb_files.UNPACKED_BYTES", 2**22)
    info = tarfile.TarInfo(f"{FOLDER}/train/unsupBow.feat")
    info.size = 2**25
    (tmp_path / ARCHIVE).write_bytes(gzip.compress(info.tobuf() + bytes(2**25)))
    with pytest.raises(UserError, match="unpacks to more bytes than it may"):
        unpack(tmp_path / ARCHIVE, tmp_path / FOLDER)
    assert visible(tmp_path) == [ARCHIVE]


def test_a_full_disk_while_unpacking_leaves_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / ARCHIVE).write_bytes(archive_of(FIRST))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(UserError, match=f"File too large while unpacking {ARCHIVE}; make room"):
            unpack(tmp_path / ARCHIVE, tmp_path / FOLDER)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert visible(tmp_path) == [ARCHIVE]
