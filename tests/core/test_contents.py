"""Files that options name: their content by a hash, found or pinned."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from fusionbench.core.contents import content_sha256, named_content, refuse_other_content
from fusionbench.core.errors import UserError

HELLO = hashlib.sha256(b"hello").hexdigest()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pth").write_bytes(b"hello")
    return tmp_path


def test_a_file_is_named_by_its_bytes_wherever_it_lies(here: Path) -> None:
    (here / "deep").mkdir()
    (here / "deep" / "other.pth").write_bytes(b"hello")
    for path in ("w.pth", str(here / "w.pth"), "deep/other.pth", "deep/../w.pth"):
        assert named_content(path) == (path, HELLO)


def test_what_is_written_anew_has_another_hash_within_the_process(here: Path) -> None:
    content_sha256("w.pth")
    (here / "w.pth").write_bytes(b"hallo")
    os.utime(here / "w.pth", (1, 1))
    assert content_sha256("w.pth") == hashlib.sha256(b"hallo").hexdigest()


def test_a_home_folder_is_spelled_out(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here))
    monkeypatch.setenv("USERPROFILE", str(here))
    assert named_content("~/w.pth") == ("~/w.pth", HELLO)


def test_a_folder_is_named_by_all_files_below_it_but_hidden_ones(here: Path) -> None:
    for folder in ("one", "two"):
        (here / folder / "sub").mkdir(parents=True)
        (here / folder / "config.json").write_text("{}")
        (here / folder / "sub" / "w.bin").write_bytes(b"hello")
    (here / "two" / ".DS_Store").write_bytes(b"x")
    assert content_sha256("one") == content_sha256("two")
    (here / "two" / "sub" / "w.bin").rename(here / "two" / "w.bin")
    assert content_sha256("one") != content_sha256("two")


def test_a_pinned_file_need_not_be_there(here: Path) -> None:
    pin = "0a" * 32
    assert named_content(f"nowhere/w.pth#sha256={pin}") == ("nowhere/w.pth", pin)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("nowhere.pth", r"no file 'nowhere.pth' \(in /.*\); name one that is there"),
        ("w.pth#sha256=", "give FILE#sha256= and 64 hex digits in lower case, got 'w.pth#sha256='"),
        ("w.pth#sha256=" + "0A" * 32, "64 hex digits in lower case"),
        ("#sha256=" + "0a" * 32, "give FILE#sha256="),
        ("w.pth/below", "no file"),
        ("x" * 5000, "name"),
        ("a\0b", "a.*b"),
    ],
)
def test_what_cannot_be_found_is_one_line(here: Path, value: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as raised:
        named_content(value)
    assert len(str(raised.value).splitlines()) == 1
    assert len(str(raised.value)) < 400


def test_a_file_other_than_planned_is_refused(here: Path) -> None:
    refuse_other_content("w.pth", HELLO, "encoder 'x'")
    (here / "w.pth").write_bytes(b"hallo!")
    with pytest.raises(UserError, match=f"encoder 'x': w.pth has the SHA-256 .* {HELLO[:12]}... was planned") as raised:
        refuse_other_content("w.pth", HELLO, "encoder 'x'")
    assert len(str(raised.value).splitlines()) == 2
    (here / "w.pth").unlink()
    with pytest.raises(UserError, match=r"encoder 'x': no file 'w\.pth'"):
        refuse_other_content("w.pth", HELLO, "encoder 'x'")
