"""What a table is seen to hold: types, roles, equal contents, faults by their line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from manifest_folder import people, write_csv, write_jsonl
from PIL import Image

from fusionbench.core.errors import UserError
from fusionbench.data import inspection, profiles
from fusionbench.data.equal_contents import between_parts, hashes_of, mixed, repeated
from fusionbench.data.inspection import Inspection, inspected
from fusionbench.data.manifests.rows import Rows
from fusionbench.data.profiles import Profile
from fusionbench.data.roles import Roles, Said, roles_of


def looked_at(path: Path, said: Said | None = None, *, files: bool = True, **form: str) -> Inspection:
    return inspected(Rows(path, **form), said or Said(), path.parent.resolve(), files=files)


@pytest.mark.parametrize(
    ("name", "cells", "taken"),
    [
        ("a", ["1", "2.5", "NA", None] * 9, "number"),
        ("a", ["1", "2.5", "three", None] * 9, "category"),
        ("a", [f"a text of word {row}" for row in range(30)], "tokens"),
        ("a", [f"w{row}" for row in range(30)], "tokens"),
        ("row_id", [f"w{row}" for row in range(30)], "id"),
        ("", list(map(str, range(30))), "id"),
        ("id", list(map(str, range(30))), "id"),
        ("age", list(map(str, range(30))), "number"),
        ("a", [f"x/{row}.JPG" for row in range(30)], "image"),
        ("a", [f"x/{row}.wav" for row in range(30)], "audio"),
        ("a", [f"x/{row}.npy" for row in range(30)], "npy"),
        ("a", [None, " ", ""], "nothing"),
        ("a", [[1, 2], [3, 4], None], "vector"),
        ("a", [[1, 2], [3]], "sequence"),
        ("a", [[[1, 2]], [[3, 4], [5, 6]]], "sequence"),
        ("a", [["war"], ["war", "love"]], "labels"),
        ("a", [True, False, True], "category"),
    ],
)
def test_a_column_is_taken_for_what_it_holds(name: str, cells: list[Any], taken: str) -> None:
    profile = Profile(name)
    for start in range(0, len(cells), 7):
        profile.add(cells[start : start + 7])
    assert profile.taken_for == taken


def test_a_column_is_counted_whatever_the_chunks() -> None:
    profile = Profile("age")
    for cells in (["1", None, "3"], ["n/a", "5.5", " "]):
        profile.add(cells)
    assert (profile.rows, profile.missing, profile.low, profile.high, profile.total) == (6, 3, 1, 5.5, 9.5)
    assert (profile.whole, profile.different) == (False, 3)


def roles(said: Said | None = None, **columns: list[Any]) -> Roles:
    found = {name: Profile(name) for name in columns}
    for name, cells in columns.items():
        found[name].add(cells)
    return roles_of("x.csv", list(columns), found, said or Said())


def test_roles_are_found_by_names_and_by_what_stands_there() -> None:
    words, parts = ["yes", "no"] * 30, ["train", "Train", "dev", "test"] * 15
    many = [f"p{row // 3}" for row in range(60)]
    found = roles(text=many, Target=words, split=parts, person=many)
    assert (found.labels, found.kind, found.split, found.group) == (("Target",), "multiclass", "split", "person")
    assert not found.is_guess
    last = roles(text=many, ill=words)
    assert (last.labels, last.is_guess) == (("ill",), True)
    assert roles(words=[f"w{row}" for row in range(60)]).labels == ()
    assert roles(split=words, label=words).split == ""
    assert roles(Said(("t*",), "regression", "", "b"), t1=words, t2=words, b=parts).labels == ("t1", "t2")
    with pytest.raises(UserError, match=r"x.csv: no column 'lable'; did you mean 'label'"):
        roles(Said(("lable",)), label=words)


@pytest.mark.parametrize(
    ("cells", "kind", "separator"),
    [
        (["1", "2", "3"] * 20, "multiclass", ""),
        ([str(row) for row in range(60)], "regression", ""),
        (["1.5", "2", "2"] * 20, "regression", ""),
        (["war", "war|love", "love", "love|war|fun"] * 15, "multilabel", "|"),
        (["war", "love, fun", "fun, war", ""] * 15, "multilabel", ","),
        (["yes, sir", "no"] * 30, "multiclass", ""),
        ([["war"], ["love", "war"]] * 30, "multilabel", ""),
    ],
)
def test_the_kind_of_the_task_is_seen(cells: list[Any], kind: str, separator: str) -> None:
    found = roles(label=cells)
    assert (found.kind, found.separator) == (kind, separator)


def test_several_columns_of_labels_are_flags_or_numbers() -> None:
    flags = roles(label_a=["0", "1"] * 20, label_b=["1", "0"] * 20, other=["x"] * 40)
    assert (flags.labels, flags.kind) == (("label_a", "label_b"), "multilabel")
    assert roles(target_x=["0.5", "1"] * 20, target_y=["3", "0"] * 20).kind == "regression"


def test_equal_contents_are_found_between_parts() -> None:
    texts = hashes_of(["a", "b", "a", "c", "b", None, None])
    parts = np.array([0, 0, 2, 2, 1, 0, 2], dtype=np.int8)
    found = between_parts(texts, parts, texts != hashes_of([None])[0])
    assert [(one.parts, one.rows, one.example) for one in found] == [((0, 1), 1, (1, 4)), ((0, 2), 1, (0, 2))]
    assert repeated(texts) == (3, (0, 2))
    assert repeated(hashes_of(["a", "b"])) == (0, None)
    whole = mixed([hashes_of(["a", "b", "b"]), hashes_of(["b", "a", "a"])], 3)
    assert len(set(whole.tolist())) == 2
    assert hashes_of([[1], [1], [2]])[0] == hashes_of([[1]])[0]


def test_a_whole_table_is_looked_at(tmp_path: Path) -> None:
    rows = people(200)
    for place, row in enumerate(rows):
        row |= {"split": ("train", "train", "test")[place % 3], "id": place}
    rows[2]["note"] = rows[1]["note"]  # Of test, and of train.
    rows[5] = rows[4] | {"split": "test", "id": 5}
    rows[8]["split"] = "spare"
    rows[9] |= {"age": None, "weight": None, "city": None, "note": None}
    path = write_csv(tmp_path / "people.csv", rows)
    lines = path.read_text().splitlines()
    lines[20] += ",one more"
    lines[30] = lines[30].replace(",", ";")
    path.write_text("\n".join(lines))
    found = looked_at(path)
    taken = {name: profile.taken_for for name, profile in found.profiles.items()}
    expected = ["number", "number", "category", "tokens", "category", "category", "id"]
    assert taken == dict(zip(["age", "weight", "city", "note", "ill", "split", "id"], expected, strict=True))
    assert (found.roles.labels, found.roles.split) == (("ill",), "split")
    assert (len(found.places), found.empty, found.unreadable.count) == (198, 1, 2)
    assert found.unreadable.first[0].startswith(f"{path}, line 21: 8 cells, the header has 7")
    assert np.bincount(found.parts + 1).tolist() == [1, 133, 0, 64]
    assert [(one.parts, one.rows) for one in found.shared[""]] == [((0, 2), 1)]
    (notes,) = found.shared["note"]
    assert (notes.parts, notes.rows, found.places[list(notes.example)].tolist()) == ((0, 2), 2, [3, 4])
    assert found.classes is not None
    assert sum(found.classes.values()) == 198


def test_files_are_opened_and_told_by_their_line_and_equal_ones_found_whatever_their_names(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = people(40)
    for place, row in enumerate(rows):
        row |= {"photo": f"{place}.png", "voice": f"{place}.wav", "walk": f"w{place}.npy", "code": f"c{place}.npy"}
        row["split"] = "train" if place < 30 else "test"
        Image.fromarray(rng.integers(256, size=(9, 9, 3), dtype=np.uint8)).save(tmp_path / f"{place}.png")
        soundfile.write(tmp_path / f"{place}.wav", rng.normal(size=800) / 9, 8000)
        np.save(tmp_path / f"w{place}.npy", rng.normal(size=(4, 2)))
        np.save(tmp_path / f"c{place}.npy", rng.normal(size=4))
    (tmp_path / "35.png").write_bytes((tmp_path / "3.png").read_bytes())
    (tmp_path / "5.png").write_bytes(b"")
    (tmp_path / "6.wav").write_bytes((tmp_path / "6.wav").read_bytes()[:-9])
    rows[7]["code"] = "../c7.npy"
    path = write_csv(tmp_path / "people.csv", rows)
    found = looked_at(path)
    assert {name: faults.count for name, faults in found.files.items()} == {
        "photo": 1,
        "voice": 1,
        "walk": 0,
        "code": 1,
    }
    assert f"{path}, line 7: " in found.files["photo"].first[0]
    assert "leads out of" in found.files["code"].first[0]
    assert found.kinds == {"walk": "sequence", "code": "vector"}
    (same,) = found.shared["photo"]
    assert found.places[list(same.example)].tolist() == [5, 37]
    assert looked_at(path, files=False).files == {}


def test_bytes_that_are_no_text_are_counted_and_end_nothing(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "people.csv", people(40))
    path.write_bytes(path.read_bytes().replace(b"Rome", b"R\xf4me", 2))
    found = looked_at(path)
    assert found.unreadable.count == 2
    assert "not utf-8; name its encoding" in found.unreadable.first[0]
    assert looked_at(path, encoding="latin-1").unreadable.count == 0


def test_lines_of_json_and_rows_of_parquet_too(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "people.jsonl", people(40))
    path.write_text(path.read_text() + "{nothing}\n")
    found = looked_at(path)
    assert (len(found.places), found.unreadable.count) == (40, 1)
    assert found.profiles["note"].missing == 6


def test_a_table_without_a_row_that_can_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1\n2\n")
    with pytest.raises(UserError, match=r"a.csv: no row that can be read; .*a.csv, line 2: 1 cells, the header has 2"):
        looked_at(tmp_path / "a.csv")


def test_what_is_different_in_every_row_is_not_counted_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiles, "MOST_COUNTED", 20)
    monkeypatch.setattr(inspection, "MOST_COUNTED", 20)
    rows = [row | {"ill": place} for place, row in enumerate(people(60))]
    found = looked_at(write_csv(tmp_path / "people.csv", rows), Said(("ill",), "multiclass"))
    assert found.classes is None
    assert found.profiles["note"].counts is None
