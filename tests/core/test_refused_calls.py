"""File systems that refuse a call: what was to be written is there all the same, or it is said before training."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fusionbench.core import locks
from fusionbench.core.errors import UserError
from fusionbench.core.files import HOST, flush, try_out, write_new, write_over
from fusionbench.core.locks import locked
from fusionbench.data.store import open_arrays, prepared
from fusionbench.records.claims import Claims

ERRORS = (errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL, errno.EACCES)


def refusing(number: int) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        raise OSError(number, os.strerror(number), str(arguments[0]) if arguments else "")

    return call


@pytest.mark.parametrize("number", [*ERRORS, errno.EMLINK, errno.EXDEV, errno.EOPNOTSUPP])
def test_without_links_a_file_is_published_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(os, "link", refusing(number))
    assert write_new(tmp_path / "a", b"first")
    assert not write_new(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("number", [*ERRORS, errno.EEXIST, errno.EBUSY])
def test_without_renaming_a_file_is_written_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(Path, "replace", refusing(number))
    monkeypatch.setattr(os, "link", refusing(number if number != errno.EEXIST else errno.EPERM))
    assert write_new(tmp_path / "a", b"first")
    write_over(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"second"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("number", ERRORS)
def test_what_cannot_be_flushed_is_there_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "fsync", refusing(number))
    assert write_new(tmp_path / "a", b"first")
    write_over(tmp_path / "a", b"second")
    flush(tmp_path)
    assert (tmp_path / "a").read_bytes() == b"second"


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(os, "fsync", refusing(number))
    with pytest.raises(OSError, match=os.strerror(number)):
        write_new(tmp_path / "a", b"first")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match=r"no record can be written there .*--results"):
        try_out(tmp_path)


@pytest.mark.parametrize("number", [errno.EISDIR, errno.EACCES])
def test_a_folder_that_cannot_be_opened_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "open", refusing(number))
    flush(tmp_path)


@pytest.mark.parametrize("number", [*ERRORS, errno.ENOLCK])
def test_without_flock_a_marker_keeps_others_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(fcntl, "flock", refusing(number))
    with locked(tmp_path / "x.lock"):
        assert json.loads((tmp_path / "x.lock.held").read_text())["pid"] == os.getpid()
        why = rf"x.lock.held is held by process {os.getpid()} on host {HOST}"
        with pytest.raises(TimeoutError, match=why), locked(tmp_path / "x.lock", timeout_s=0.1):
            raise AssertionError("twice")
    with locked(tmp_path / "x.lock", timeout_s=0.1):
        pass
    assert not (tmp_path / "x.lock.held").exists()


@pytest.mark.parametrize(
    ("content", "moment_s"),
    [({"host": HOST, "pid": 2**22 + 1}, None), ({"host": "elsewhere", "pid": 1}, 0.1), ("half", 0.1)],
)
def test_a_dead_marker_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object, moment_s: float | None
) -> None:
    monkeypatch.setattr(fcntl, "flock", refusing(errno.ENOSYS))
    (tmp_path / "x.lock.held").write_text(json.dumps(content))
    with locked(tmp_path / "x.lock", 20, moment_s):
        assert json.loads((tmp_path / "x.lock.held").read_text())["pid"] == os.getpid()


def test_with_flock_others_wait_and_no_marker_is_made(tmp_path: Path) -> None:
    with locked(tmp_path / "x.lock"):
        with pytest.raises(TimeoutError, match=r"x.lock is held by another process"), locked(tmp_path / "x.lock", 0.1):
            raise AssertionError("twice")
        assert [path.name for path in tmp_path.iterdir()] == ["x.lock"]
    with locked(tmp_path / "x.lock", 0.1):
        pass
    assert locks.is_dead(b"") is False


def test_claims_work_without_flock_and_utime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", refusing(errno.ENOLCK))
    monkeypatch.setattr("fusionbench.records.claims.BEAT_S", 0.0)
    lock = tmp_path / "key.lock"
    mine = Claims()
    assert mine.take(lock)
    os.utime(lock, (0, 0))
    monkeypatch.setattr(os, "utime", refusing(errno.EPERM))
    mine.beat()
    assert lock.stat().st_mtime > 1e9
    assert not Claims().take(lock)
    mine.release_all()
    assert Claims().take(lock)


def save(array: np.ndarray[Any, Any], folder: Path) -> None:
    np.save(folder / "a.npy", array)


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS, errno.EXDEV])
def test_data_are_converted_where_rights_renaming_and_mapping_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    load = np.load

    def unmapped(path: Path, mmap_mode: str | None = None, **named: Any) -> Any:
        return refusing(errno.ENODEV)() if mmap_mode else load(path, **named)

    for target, name in ((Path, "chmod"), (Path, "rename"), (fcntl, "flock"), (os, "fsync")):
        monkeypatch.setattr(target, name, refusing(number))
    monkeypatch.setattr(np, "load", unmapped)
    for origin, value in (([1], 1.0), ([2], 2.0)):
        made = np.full(3, value)
        folder = prepared(tmp_path, "toy", {}, origin, partial(save, made))
        assert open_arrays(folder)["a"].tolist() == [value] * 3
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name, f"{folder.name}.lock"]
