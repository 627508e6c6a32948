from __future__ import annotations

import hashlib
import re
import resource
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from fusionbench.core.errors import UserError
from fusionbench.data.download import fetch, md5_of

CONTENT = np.random.default_rng(0).bytes(3_000_000)
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


@dataclass
class Site:
    """A server of one file, and how it behaves."""

    url: str = ""
    content: bytes = CONTENT
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    """For each answer to come, after how many bytes the connection breaks."""
    statuses: list[int] = field(default_factory=list)
    """For each answer to come, an error instead."""
    asked: list[str] = field(default_factory=list)
    """The Range header of every request, empty where there was none."""


@pytest.fixture
def site() -> Iterator[Site]:
    here = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            here.asked.append(asked)
            match = re.fullmatch(r"bytes=(\d+)-", asked) if here.ranges else None
            start, size = int(match[1]) if match else 0, len(here.content)
            self.close_connection = True
            if here.statuses:
                self.send_error(here.statuses.pop(0))
                return
            self.send_response(416 if start >= size else 206 if match else 200)
            if match:
                self.send_header(
                    "Content-Range", f"bytes {start}-{size - 1}/{size}" if start < size else f"bytes */{size}"
                )
            body = here.content[start:]
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: here.cuts.pop(0)] if here.cuts else body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (its name in the library)
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    here.url = f"http://127.0.0.1:{server.server_port}/file.bin"
    yield here
    server.shutdown()
    thread.join()
    server.server_close()


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_a_file_arrives_whole_and_is_not_fetched_twice(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "new" / "file.bin"
    assert fetch(site.url, target, md5=MD5) == target
    assert target.read_bytes() == CONTENT
    fetch(site.url, target, md5=MD5.upper())
    assert site.asked == [""]
    assert visible(target.parent) == ["file.bin"]


def test_a_transfer_that_is_cut_goes_on_where_it_stopped(site: Site, tmp_path: Path) -> None:
    site.cuts = [1_000_000, 500_000]
    fetch(site.url, tmp_path / "file.bin", md5=MD5, pause_s=0)
    starts = [int(asked[6:-1]) for asked in site.asked[1:]]
    assert len(starts) == 2
    assert 0 < starts[0] <= 1_000_000 < starts[1] <= 1_500_000 + starts[0]
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_what_an_earlier_call_left_is_used_by_the_next(site: Site, tmp_path: Path) -> None:
    site.cuts = [2_000_000]
    with pytest.raises(UserError, match="tried 1 times; 1 MiB are kept"):
        fetch(site.url, tmp_path / "file.bin", md5=MD5, attempts=1)
    assert visible(tmp_path) == ["file.bin.part"]
    fetch(site.url, tmp_path / "file.bin", md5=MD5, attempts=1)
    assert site.asked[1].startswith("bytes=")
    assert visible(tmp_path) == ["file.bin"]


def test_a_cut_is_found_without_a_checksum_too(site: Site, tmp_path: Path) -> None:
    site.cuts = [2_000_000]
    fetch(site.url, tmp_path / "file.bin", pause_s=0)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_server_without_ranges_is_asked_for_all_of_it(site: Site, tmp_path: Path) -> None:
    site.ranges, site.cuts = False, [1_500_000]
    fetch(site.url, tmp_path / "file.bin", md5=MD5, pause_s=0)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused_and_nothing_is_kept(site: Site, tmp_path: Path) -> None:
    site.content = CONTENT[:-1] + b"?"
    with pytest.raises(
        UserError, match=rf"{site.url}: wrong checksum: MD5 [0-9a-f]{{32}}, expected {MD5}.*; ask somebody"
    ):
        fetch(site.url, tmp_path / "file.bin", md5=MD5, way_out="ask somebody")
    assert len(site.asked) == 1
    assert visible(tmp_path) == []


def test_a_piece_of_another_version_is_thrown_away(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").write_bytes(b"old" * 1000)
    fetch(site.url, tmp_path / "file.bin", md5=MD5, pause_s=0)
    assert site.asked == ["bytes=3000-", ""]
    assert md5_of(tmp_path / "file.bin") == MD5


def test_a_piece_longer_than_the_file_is_thrown_away(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").write_bytes(CONTENT + b"more")
    fetch(site.url, tmp_path / "file.bin", md5=MD5, pause_s=0)
    assert md5_of(tmp_path / "file.bin") == MD5


def test_a_piece_that_is_the_whole_file_needs_no_more_bytes(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    fetch(site.url, tmp_path / "file.bin", md5=MD5, pause_s=0)
    assert len(site.asked) == 1
    assert visible(tmp_path) == ["file.bin"]


def test_a_wrong_file_is_replaced_only_by_the_right_one(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(b"wrong")
    site.statuses = [404]
    with pytest.raises(UserError, match="HTTP 404"):
        fetch(site.url, tmp_path / "file.bin", md5=MD5)
    assert (tmp_path / "file.bin").read_bytes() == b"wrong"
    fetch(site.url, tmp_path / "file.bin", md5=MD5)
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_busy_server_is_asked_again_and_a_missing_file_is_not(site: Site, tmp_path: Path) -> None:
    site.statuses = [503, 429]
    fetch(site.url, tmp_path / "file.bin", md5=MD5, pause_s=0)
    assert len(site.asked) == 3
    site.statuses = [404]
    with pytest.raises(UserError, match="HTTP 404"):
        fetch(site.url, tmp_path / "other.bin", pause_s=0)
    assert len(site.asked) == 4


def test_no_network_is_told_with_the_way_out(tmp_path: Path) -> None:
    # Port 1 of this machine: nobody answers.
    with pytest.raises(UserError, match=r"cannot be downloaded \(.*tried 2 times.*; copy it by hand$") as caught:
        fetch("http://127.0.0.1:1/x", tmp_path / "x", attempts=2, pause_s=0, way_out="copy it by hand")
    assert "\n" not in str(caught.value)
    assert visible(tmp_path) == []


def test_no_url_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nonsense: MissingSchema"):
        fetch("nonsense", tmp_path / "x")


def test_progress_rises_to_the_whole_size(site: Site, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    fetch(site.url, tmp_path / "file.bin", progress=lambda so_far, total: told.append((so_far, total)))
    assert [so_far for so_far, _ in told] == sorted({so_far for so_far, _ in told})
    assert told[-1] == (len(CONTENT), len(CONTENT))


def test_a_disk_that_fills_up_is_told_and_the_piece_is_kept(site: Site, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**21, before[1]))
    try:
        with pytest.raises(UserError, match=r"file\.bin: File too large \(\d+ MiB free\); make room .* it goes on$"):
            fetch(site.url, tmp_path / "file.bin")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert visible(tmp_path) == ["file.bin.part"]
    fetch(site.url, tmp_path / "file.bin", md5=MD5)
    assert site.asked[-1].startswith("bytes=")
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_a_disk_known_to_be_too_small_is_refused_before_a_byte_is_written(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 2**20}))
    with pytest.raises(UserError, match=r"No space left on device \(1 MiB free\)"):
        fetch(site.url, tmp_path / "file.bin", md5=MD5)
    assert visible(tmp_path) == []
