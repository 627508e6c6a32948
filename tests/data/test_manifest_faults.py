"""What is wrong with a table is one line that names file, line and way out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from manifest_folder import COLUMNS, opened, people, write_csv

from fusionbench.core.errors import UserError
from fusionbench.data.manifest import Manifest
from fusionbench.data.manifests import labels, writers
from fusionbench.data.manifests.columns import columns_of, matching
from fusionbench.data.manifests.parquet import rows

Change = Callable[[list[dict[str, Any]]], object]


def put(column: str, value: Any, row: int = 15) -> Change:
    return lambda rows: rows[row].update({column: value})


def everywhere(column: str, value: Callable[[int], Any]) -> Change:
    return lambda rows: [row.update({column: value(place)}) for place, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("change", "options", "told"),
    [
        (put("ill", ""), {}, r"people.csv, line 17: no label in column 'ill'; leave the row out, or fill it in"),
        (put("age", "old"), {}, r"people.csv, line 17: column 'age': 'old' is no number"),
        (put("age", "inf"), {}, r"people.csv, line 17: column 'age': 'inf' is no finite number"),
        (
            lambda rows: rows[15].update(age=None, weight="NaN", city="", note=" "),
            {},
            r"line 17: the row has none of its modalities; leave it out",
        ),
        (everywhere("ill", lambda _: "yes"), {}, r"column 'ill': all rows are of one class, 'yes'; there is nothing"),
        (everywhere("ill", lambda row: row), {}, r"60 classes in 60 rows; .*`kind: regression` predicts numbers"),
        (put("ill", "x" * 300), {}, r"a label of 300 characters, 'x.*'; is this column a text\?"),
        (put("ill", "maybe"), {"kind": "regression"}, r"line 2: column 'ill': 'yes' is no number"),
        (everywhere("ill", lambda _: 1), {"kind": "regression"}, r"column 'ill' is 1 in all rows; there is nothing"),
        (
            lambda rows: [everywhere("ill", lambda row: row % 7)(rows), put("ill", "")(rows)],
            {"kind": "regression"},
            r"line 17: no number in column 'ill'; leave the row out",
        ),
        (everywhere("note", lambda _: None), {}, r"the modality 'note' is missing in all rows"),
        (lambda rows: rows.__delitem__(slice(1, None)), {}, r"all rows are of one class"),
        (lambda rows: rows.__delitem__(slice(4, None)), {}, r"4 rows; training, validation and test need at least 10"),
        (put("part", "spare"), {"split": "part"}, r"line 17: column 'part' holds 'spare'; parts are called train, val"),
        (
            everywhere("part", lambda _: "train"),
            {"split": "part"},
            r"no row of the part test; without `split` the test",
        ),
        (
            lambda rows: [put("part", "test")(rows), put("ill", "no idea")(rows)],
            {"split": "part"},
            r"people.csv, line 17: class 'no idea' \(test\), which no row to train on has",
        ),
        (
            put("group", ""),
            {"group": "group"},
            r"line 17: no group in column 'group'; a row by itself needs one of its",
        ),
        (everywhere("group", lambda row: row % 2), {"group": "group"}, r"2 groups; training, validation and test need"),
        (
            put("note", "x"),
            {"group": "group", "split": "part"},
            r"group '0' has rows in train and in test; keep groups whole",
        ),
    ],
)
def test_a_row_is_named(change: Change, options: dict[str, Any], told: str, tmp_path: Path) -> None:
    rows = people()
    for place, row in enumerate(rows):
        row |= {"part": "test" if place % 3 == 0 else "train", "group": place // 3}
    change(rows)
    with pytest.raises(UserError, match=told):
        opened(write_csv(tmp_path / "people.csv", rows), **options)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", r"there is nothing in it; a table begins with the names of its columns"),
        (b"text,age,ill\n", r"the names of columns, and no row"),
        (b"text,age,age\na,1,1\n", r"two columns are called 'age'; rename one"),
        (b"text,age,ill\na,1,yes\nb,2\n", r"line 3: 2 cells, the header has 3; a cell that holds ',' has to stand in"),
        (b"text,age,ill\na,1,yes\n\nb, c,2,no\n", r"line 4: 4 cells, the header has 3"),
        (b'text,age,ill\n"a\nb",1,yes\nc,2\n', r"line 4: 2 cells"),
        (b'text,age,ill\na,1,yes\n"b,2,no\nc,3,yes\n', r"line 3: no CSV: unexpected end of data"),
        (
            b"text,age,ill\na,1,yes\n\xe9t\xe9,2,no\n",
            r"line 3: not utf-8; name its encoding, such as latin-1 or cp1252",
        ),
        ("text,age,ill\na,1,yes\n".encode("utf-16"), r"line 1: not utf-8; its encoding is utf-16"),
        (b"words,age,ill\na,1,yes\n", r"no column 'text'. Known: age, ill, words"),
    ],
)
def test_a_file_that_is_no_such_table_is_told(content: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"rows\.csv.*{told}"):
        opened(path, {"text": "tokens", "age": "number"})


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"text": "a", "ill": }', r"line 2: no JSON: Expecting value"),
        ('["a", 1]', r"line 2: \['a', 1\]; each line is an object"),
        ("[" * 100_000, r"line 2: no JSON"),
        ('{"text": 5, "age": 1, "ill": 1}', r"line 2: column 'text' holds 5, no text"),
        ('{"text": "\\ud800", "age": 1, "ill": 1}', r"line 2: column 'text' holds .*, no text"),
        ('{"text": "a", "age": [1], "ill": 1}', r"line 2: column 'age': \[1\] is no number"),
        (
            '{"text": "a", "age": 1, "ill": ["a", "b"]}',
            r"line 2: column 'ill' holds several labels; `kind: multilabel`",
        ),
    ],
)
def test_a_line_of_json_that_is_none_is_told(line: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f'{{"text": "a", "age": 1, "ill": 1}}\n{line}\n')
    with pytest.raises(UserError, match=told):
        opened(path, {"text": "tokens", "age": "number"})


def test_an_encoding_and_a_mark_at_the_beginning_are_read(tmp_path: Path) -> None:
    rows = people()
    rows[1]["note"] = "café"
    expected = opened(write_csv(tmp_path / "plain.csv", rows)).fingerprint
    for encoding in ("latin-1", "utf-16", "utf-8-sig"):
        path = write_csv(tmp_path / f"{encoding}.csv", rows, encoding=encoding)
        assert opened(path, encoding="utf-8" if encoding == "utf-8-sig" else encoding).fingerprint == expected
    semicolons = write_csv(tmp_path / "semicolons.csv", rows, delimiter=";")
    assert opened(semicolons, delimiter=";").fingerprint == expected
    with pytest.raises(UserError, match="no encoding 'latin1x'; give utf-8, latin-1"):
        opened(tmp_path / "plain.csv", encoding="latin1x")
    with pytest.raises(UserError, match="delimiter: ';;'; give one character"):
        opened(tmp_path / "plain.csv", delimiter=";;")


def test_a_cell_may_hold_what_stands_between_cells_and_lines(tmp_path: Path) -> None:
    rows = people()
    rows[1]["note"] = 'says: "well,\nbetter"'
    data = opened(write_csv(tmp_path / "people.csv", rows), {"age": "number", "note": "text"})
    batch = data.batch(np.arange(2))
    said = batch.inputs["note"][1][batch.masks["note"][1]].numpy().tobytes().decode()
    assert said == rows[1]["note"]


def test_text_of_parquet_that_is_not_utf8_is_told_with_its_column(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    texts = pa.array([b"fine", b"broken \x80"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"id": [1, 2], "text": texts}), path)
    with pytest.raises(
        UserError, match=r"rows.parquet: column 'text' has text that is not UTF-8 \(invalid start byte\)"
    ):
        list(rows(path, ["id", "text"]))


def test_parquet_that_is_damaged_or_none_is_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pd.DataFrame(people()).to_parquet(path)
    whole = path.read_bytes()
    for content in (b"text,ill\n", whole[: len(whole) // 2], whole[:4] + b"\0" * 200 + whole[204:]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"rows.parquet: no Parquet, or damaged \(.*\); write it again"):
            opened(path)
    pd.DataFrame([row | {"ill": row["ill"] if place else None} for place, row in enumerate(people())]).to_parquet(path)
    with pytest.raises(UserError, match=r"rows.parquet, row 0: no label in column 'ill'"):
        opened(path)


def test_more_classes_or_categories_than_there_can_be_end_the_reading_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = people()
    for place, row in enumerate(rows):
        row |= {"ill": place, "city": place}
    path = write_csv(tmp_path / "people.csv", rows)
    monkeypatch.setattr(labels, "MOST_CLASSES", 20)
    with pytest.raises(
        UserError, match=r"column 'ill': more than 20 classes in the first 21 rows; name another column"
    ):
        opened(path)
    monkeypatch.setattr(writers, "MOST_VALUES", 20)
    with pytest.raises(UserError, match=r"line 61: column 'city' has more than 20 different values up to here; it is"):
        opened(path, label="age", kind="regression", columns={"city": "category", "note": "tokens"})


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"age": "numbr"}, r"no kind of modality 'age' called 'numbr'; did you mean 'number'\?"),
        ({"age": "bag"}, r"option columns.age: a table in a file has no bag; known: image, audio"),
        ({"a": {"kind": "image", "sise": 9}}, r"option columns.a: no option called 'sise'; did you mean 'size'\?"),
        ({"a": {"kind": "image", "size": 0}}, r"option columns.a.size: give a whole number from 1 on, got 0"),
        ({"a": {"kind": "image", "channels": 4}}, r"give 1 \(grey\) or 3 \(red, green and blue\), got 4"),
        ({"a": {"kind": "tokens", "numbers": ["b"]}}, r"numbers and categories make a vector, not tokens"),
        ({"a": {"kind": "vector", "numbers": "b"}}, r"option columns.a.numbers: give a list of columns, got 'b'"),
        ({"a": {"kind": "vector", "numbers": []}}, r"option columns.a: neither numbers nor categories; name some"),
        ({"a": "number", "table": "image"}, r"'a' is one of the columns of 'table'; rename the modality 'table'"),
    ],
)
def test_an_option_that_is_none_is_told(columns: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        columns_of("manifest", columns)


def test_a_column_stands_for_one_thing(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "people.csv", people())
    with pytest.raises(UserError, match="column 'ill' is the label, and the modality 'table' reads it too"):
        opened(path, {**COLUMNS, "ill": "category"})
    with pytest.raises(UserError, match="column 'age' is a number and a category of 'x'; make it one"):
        opened(path, {"x": {"kind": "vector", "numbers": ["a*"], "categories": ["age"]}, "note": "tokens"})
    with pytest.raises(UserError, match="3 columns of labels; a multiclass task has one; `kind: multilabel` takes"):
        opened(path, {"note": "tokens"}, ("age", "weight", "ill"))
    with pytest.raises(UserError, match="line 2: column 'age' holds '71'; a column for each class has zeros and ones"):
        opened(path, {"note": "tokens"}, ("age", "ill"), kind="multilabel")
    with pytest.raises(UserError, match="no column 'citty'; did you mean 'city'"):
        opened(path, {"citty": "category", "note": "tokens"})
    with pytest.raises(UserError, match=r"option test: 1\.5 is no fraction"):
        Manifest(tmp_path, file="x", columns=COLUMNS, label="ill", test=1.5)
    assert matching("x", ["b*", "a"], ["a", "b1", "b2"]) == ("a", "b1", "b2")


def test_a_form_that_is_not_known_is_told(tmp_path: Path) -> None:
    (tmp_path / "people.xlsx").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"no form of table called '.xlsx'. Known: .csv"):
        opened(tmp_path / "people.xlsx")
