"""The recordings from folders and archives that are whole, and from those that are not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cifar10_folder import archive_of, member
from spoken_folder import lay_out, made, ready, small

from fusionbench.core.errors import UserError
from fusionbench.data.spoken_digits import ARCHIVE, COMMIT, FOLDER, unpack

INSIDE = f"free-spoken-digit-dataset-{COMMIT}"
NAME = "3_ada_7.wav"


@pytest.fixture(autouse=True)
def official(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)
    # Nobody answers there; a test that serves the archive sets another.
    monkeypatch.setattr("fusionbench.data.spoken_digits.URL", "http://127.0.0.1:1/archive")
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def packed(files: dict[str, bytes], *more: tuple[str, bytes, bytes]) -> bytes:
    """An archive as GitHub makes it: the recordings, and what else is in the repository."""
    found = [member(f"{INSIDE}/README.md", b"# FSDD"), member(f"{INSIDE}/utils/fsdd.py", b"import os")]
    found += [member(f"{INSIDE}/recordings/{name}", content) for name, content in files.items()]
    return archive_of([*found, *(member(name, content, kind) for name, content, kind in more)])


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock" and path.name != "prepared")


def test_an_archive_gives_the_recordings_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / ARCHIVE).write_bytes(packed(made()))
    unpack(tmp_path / ARCHIVE, tmp_path / FOLDER)
    assert {path.name: path.read_bytes() for path in (tmp_path / FOLDER).iterdir()} == made()
    assert visible(tmp_path) == [ARCHIVE, FOLDER]


ARCHIVES: dict[str, tuple[Callable[[], bytes], str]] = {
    "one missing": (
        lambda: packed({n: c for n, c in made().items() if n != NAME}),
        f"199 of 200 recordings, no {NAME}",
    ),
    "another content": (lambda: packed(made() | {NAME: made()["3_ada_8.wav"]}), "recordings of ada are not those"),
    "one more": (lambda: packed(made() | {"3_eve_1.wav": b"x"}), "holds '.*3_eve_1.wav' of 1 bytes"),
    "a large one": (lambda: packed(made() | {NAME: bytes(2**18)}), f"{NAME}' of 262144 bytes"),
    "a link": (
        lambda: packed({n: c for n, c in made().items() if n != NAME}, (f"{INSIDE}/recordings/{NAME}", b"", b"2")),
        f"no {NAME}",
    ),
    "a path upwards": (lambda: packed({}, (f"{INSIDE}/recordings/../../{NAME}", b"x", b"0")), "holds 0 of 200"),
    "a bomb": (lambda: packed(made(), ("zeros", bytes(2**26), b"0")), "unpacks to more bytes than it may"),
    "cut short": (lambda: packed(made())[:-3000], "damaged"),
    "no archive": (lambda: b"<html>not found</html>" * 99, "damaged"),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_of_anything_else_is_refused_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    make, problem = ARCHIVES[name]
    root = tmp_path / "root"
    root.mkdir()
    (root / ARCHIVE).write_bytes(make())
    with pytest.raises(UserError, match=problem) as caught:
        unpack(root / ARCHIVE, root / FOLDER)
    assert "\n" not in str(caught.value)
    assert visible(root) == [ARCHIVE]
    assert visible(tmp_path) == ["root"]


def test_missing_recordings_are_counted_with_every_way_to_get_them(tmp_path: Path) -> None:
    (lay_out(tmp_path, made()) / NAME).unlink()
    with pytest.raises(UserError, match="cannot be downloaded") as caught:
        ready(tmp_path)
    for part in (f"1 of 200 recordings are missing, the first is {NAME}", "prepare av_digits", "--data", ARCHIVE):
        assert part in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2
    assert not list((tmp_path / "prepared").glob("*/"))


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda content: content[:-100], rf"{NAME}: cut short: 860 bytes of sound of 960"),
        (lambda content: b"", rf"{NAME}: no sound that can be read"),
        (lambda content: content[:-2] + b"\1\1", "the recordings of ada are not those of the commit 26eb9aa"),
    ],
    ids=["cut", "empty", "changed"],
)
def test_a_damaged_recording_is_told_and_nothing_is_left(
    tmp_path: Path, damage: Callable[[bytes], bytes], problem: str
) -> None:
    folder = lay_out(tmp_path, made() | {NAME: damage(made()[NAME])})
    with pytest.raises(UserError, match=problem) as caught:
        ready(tmp_path)
    assert "\n" not in str(caught.value)
    assert [path for path in (tmp_path / "prepared").glob("*") if path.suffix != ".lock"] == []
    (folder / NAME).write_bytes(made()[NAME])
    assert ready(tmp_path).fingerprint


def test_converted_recordings_need_no_files(tmp_path: Path) -> None:
    folder = lay_out(tmp_path, made())
    first = ready(tmp_path).fingerprint
    folder.rename(tmp_path / "gone")
    assert ready(tmp_path, 1).fingerprint == first


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
    (folder / "archive").write_bytes(packed(made()))
    monkeypatch.setattr("fusionbench.data.spoken_digits.URL", f"http://127.0.0.1:{server.server_port}/archive")
    yield folder
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_download_and_a_folder_have_one_fingerprint(tmp_path: Path, site: Path) -> None:
    downloaded = ready(tmp_path / "download").fingerprint
    lay_out(tmp_path / "folder", made())
    assert ready(tmp_path / "folder").fingerprint == downloaded


def test_a_download_that_is_something_else_is_refused(tmp_path: Path, site: Path) -> None:
    (site / "archive").write_bytes(b"<html>come back later</html>")
    with pytest.raises(UserError, match=r"26eb9aa\.tar\.gz: damaged .*nothing was unpacked, remove it"):
        ready(tmp_path / "data")
