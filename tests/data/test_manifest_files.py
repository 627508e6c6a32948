"""Files that a table names: read as they are, missing where a cell is empty, told by their line where they are none."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from manifest_folder import opened, people, write_csv, write_jsonl
from PIL import Image

from fusionbench.core.errors import UserError
from fusionbench.data.log_mel import LogMel
from fusionbench.data.manifests import files
from fusionbench.data.manifests.values import _Numbers
from fusionbench.data.pictures import read_picture
from fusionbench.data.sounds import read_sound

COLUMNS: dict[str, Any] = {
    "photo": {"kind": "image", "size": 12},
    "voice": {"kind": "audio", "seconds": 0.2, "bands": 16},
    "walk": "sequence",
    "code": {"kind": "vector", "column": "embedding"},
}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Sixty rows of all kinds of files, some cells empty."""
    rng = np.random.default_rng(0)
    (tmp_path / "files").mkdir()
    rows = people()
    for place, row in enumerate(rows):
        names = {"photo": f"{place}.png", "voice": f"{place}.wav", "walk": f"{place}.npy", "embedding": f"v{place}.npy"}
        row |= {name: f"files/{file}" for name, file in names.items()}
        Image.fromarray(rng.integers(256, size=(14, 20, 3), dtype=np.uint8)).save(tmp_path / row["photo"])
        soundfile.write(tmp_path / row["voice"], rng.normal(size=(2000, 1 + place % 2)) / 5, 8000)
        np.save(tmp_path / row["walk"], rng.normal(size=(1 + place % 5, 2)))
        np.save(tmp_path / row["embedding"], rng.normal(size=7).astype(np.float32))
        row["walk"] = None if place % 6 == 0 else row["walk"]
        row["embedding"] = "" if place < 10 else row["embedding"]
    return write_csv(tmp_path / "people.csv", rows)


def test_every_kind_is_what_its_file_holds_and_missing_where_the_cell_is_empty(table: Path) -> None:
    data = opened(table, COLUMNS)
    assert [(m.name, m.kind, m.shape) for m in data.task.modalities] == [
        ("code", "vector", (7,)),
        ("photo", "image", (3, 12, 12)),
        ("voice", "audio", LogMel(0.2, bands=16).shape),
        ("walk", "sequence", (5, 2)),
    ]
    batch, folder = data.batch(np.arange(60)), table.parent / "files"
    assert data.parts is not None
    assert batch.present["code"].tolist() == [place >= 10 for place in range(60)]
    assert batch.present["walk"].tolist() == [place % 6 > 0 for place in range(60)]
    assert batch.masks["walk"].sum(1).tolist() == [0 if place % 6 == 0 else 1 + place % 5 for place in range(60)]
    codes = np.array([np.load(folder / f"v{place}.npy") for place in range(60)])
    train = data.parts.train[data.parts.train >= 10]
    expected = (codes - codes[train].mean(0)) / codes[train].std(0)
    np.testing.assert_allclose(batch.inputs["code"][10:], expected[10:], atol=1e-4)
    np.testing.assert_array_equal(data.arrays["photo"][7], read_picture(folder / "7.png", 12, 3))
    made = LogMel(0.2, bands=16)
    np.testing.assert_array_equal(data.arrays["voice"][7], made(read_sound(folder / "7.wav", 16_000, 0.2)))
    pixels = np.asarray(data.arrays["photo"], dtype=float)[data.parts.train]
    colours = data.task.modality("photo").colours
    assert colours is not None
    np.testing.assert_allclose(colours.mean, pixels.mean((0, 2, 3)) / 255, atol=1e-6)
    np.testing.assert_allclose(colours.std, pixels.std((0, 2, 3)) / 255, atol=1e-6)
    steps = np.asarray(data.arrays["voice"], dtype=float)[data.parts.train]
    loud = (np.asarray(data.arrays["voice"][7], dtype=float) - steps.mean((0, 1))) / steps.std((0, 1))
    np.testing.assert_allclose(batch.inputs["voice"][7], loud.clip(-10, 10), atol=2e-3)


def test_lists_in_cells_are_sequences_and_vectors(tmp_path: Path) -> None:
    rows = people()
    for place, row in enumerate(rows):
        row |= {"walk": [[place, 1.5]] * (1 + place % 3), "code": [place, 2, 3] if place else None}
    data = opened(write_jsonl(tmp_path / "people.jsonl", rows), {"walk": "sequence", "code": "vector"})
    assert data.arrays["walk"][:3].tolist() == [[0, 1.5], [1, 1.5], [1, 1.5]]
    assert data.arrays["code"][:2].tolist() == [[0, 0, 0], [1, 2, 3]]
    assert data.batch(np.array([0])).present["code"].tolist() == [False]
    short = opened(tmp_path / "people.jsonl", {"walk": {"kind": "sequence", "length": 2}, "code": "vector"})
    assert short.batch(np.arange(3)).masks["walk"].sum(1).tolist() == [1, 2, 2]
    assert short.task.modality("walk").shape == (2, 2)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def put_in_place(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


def link_out(path: Path) -> None:
    outside = path.parents[2] / "secret.png"
    outside.write_bytes(path.read_bytes())
    put_in_place(path, lambda path: path.symlink_to(outside))


@pytest.mark.parametrize(
    ("name", "wrong", "told"),
    [
        ("15.png", Path.unlink, r"column 'photo': 'files/15.png': No such file"),
        ("15.png", lambda path: path.write_text("hello"), r"column 'photo': .*15.png: no picture; give one of JPEG"),
        ("15.png", link_out, r"column 'photo': 'files/15.png' leads out of"),
        ("15.png", lambda path: put_in_place(path, os.mkfifo), r"column 'photo': 'files/15.png' is no file"),
        ("15.png", lambda path: put_in_place(path, Path.mkdir), r"column 'photo': 'files/15.png' is no file"),
        ("15.wav", cut, r"column 'voice': .*15.wav: cut short"),
        ("15.npy", lambda path: np.save(path, np.array([{}], dtype=object)), r"column 'walk': .*15.npy: no array"),
        ("15.npy", lambda path: np.save(path, np.zeros((3, 5))), r"column 'walk': steps of 5 numbers; others have 2"),
        ("15.npy", lambda path: np.save(path, np.full((3, 2), np.nan)), r"column 'walk': holds NaN or infinity"),
        ("v15.npy", cut, r"column 'embedding': .*v15.npy: no array"),
        (
            "v15.npy",
            lambda path: np.save(path, np.zeros(8)),
            r"column 'embedding': a vector of 8 numbers; others have 7",
        ),
        ("v15.npy", lambda path: np.save(path, np.zeros((2, 2))), r"an array \(2, 2\); a vector is \(numbers,\)"),
    ],
)
def test_a_file_that_is_none_is_named_by_its_line(
    name: str, wrong: Callable[[Path], object], told: str, table: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    for path in (tmp_path / "files", table):
        path.rename(folder / path.name)
    wrong(folder / "files" / name)
    with pytest.raises(UserError, match=rf"line 17: .*{told}"):
        opened(folder / table.name, COLUMNS)


@pytest.mark.parametrize("cell", ["../secret.png", "/etc/passwd", "files/../../secret.png", "a\0b", "x" * 5000])
def test_a_path_that_leads_out_is_refused(cell: str, table: Path) -> None:
    rows = people()
    for place, row in enumerate(rows):
        row["photo"] = cell if place == 15 else f"files/{place}.png"
    write_jsonl(table.with_suffix(".jsonl"), rows)
    with pytest.raises(UserError, match=r"people.jsonl, line 16: column 'photo': .*(leads out of|null|too long)"):
        opened(table.with_suffix(".jsonl"), {"photo": "image", "age": "number"})


def test_files_may_lie_in_another_folder_that_is_named(table: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "files").rename(tmp_path / "elsewhere" / "files")
    columns = {"photo": {"kind": "image", "size": 12}, "age": "number"}
    assert opened(table, columns, folder="elsewhere").arrays["photo"].shape == (60, 3, 12, 12)
    with pytest.raises(UserError, match=r"option folder: no folder .*elsewhare; name the one that the files lie in"):
        opened(table, columns, folder="elsewhare")


def test_what_was_read_before_a_stop_is_not_read_again(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "AT_ONCE", 8)
    whole = opened(table, COLUMNS, folder=str(table.parent)).fingerprint
    read: list[int] = []

    def counted(self: _Numbers, cell: Any) -> Any:
        read.append(int(Path(cell).stem.removeprefix("v")))
        if stop and read[-1] == 30:
            raise KeyboardInterrupt
        return original(self, cell)

    original, stop = _Numbers.__call__, True
    monkeypatch.setattr(_Numbers, "__call__", counted)
    with pytest.raises(KeyboardInterrupt):
        opened(table, COLUMNS)
    (work,) = (table.parent / "data" / "prepared").glob("*.unfinished")
    assert json.loads((work / "state.json").read_text())["rows"] == 24
    stop = False
    read.clear()
    assert opened(table, COLUMNS).fingerprint == whole
    assert min(read) == 24
    assert not work.exists()


def test_what_was_read_of_another_table_is_not_kept(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "AT_ONCE", 8)
    broken = table.parent / "files" / "40.png"
    whole = broken.read_bytes()
    broken.write_bytes(b"")
    with pytest.raises(UserError, match="line 42"):
        opened(table, COLUMNS)
    broken.write_bytes(whole)
    lines = table.read_text().splitlines()
    lines[1], lines[2] = lines[2], lines[1]
    table.write_text("\n".join(lines))
    assert opened(table, COLUMNS).fingerprint == opened(table, COLUMNS, folder=str(table.parent)).fingerprint


def test_a_full_disk_is_one_line_and_what_is_read_stays(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "AT_ONCE", 8)
    noted = files._note
    calls: list[int] = []

    def full(*arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 4:
            raise OSError(28, "No space left on device", "photo.npy")
        noted(*arguments)

    monkeypatch.setattr(files, "_note", full)
    with pytest.raises(
        UserError, match=r"photo.npy: No space left on device while converting manifest \(\d+ MiB free\)"
    ):
        opened(table, COLUMNS)
    monkeypatch.setattr(files, "_note", noted)
    (work,) = (table.parent / "data" / "prepared").glob("*.unfinished")
    assert json.loads((work / "state.json").read_text())["rows"] == 24
    assert opened(table, COLUMNS).arrays["photo"].shape[0] == 60
