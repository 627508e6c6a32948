"""A table in a file as a dataset: read as it was, to one scale, missing where it is, split as it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from manifest_folder import COLUMNS, ROWS, opened, people, write_csv, write_jsonl
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fusionbench.core.errors import UserError
from fusionbench.data.manifest import Manifest
from fusionbench.data.manifests.parts import PARTS
from fusionbench.plan.dataset_choice import modality_kinds
from fusionbench.plan.load import suite_of
from fusionbench.plan.source import Source

OTHER_NUMBERS = {"numbers": "vector"}


def written(folder: Path, form: str, rows: list[dict[str, Any]]) -> Path:
    if form == "jsonl":
        return write_jsonl(folder / "people.jsonl", rows)
    if form == "parquet":
        pd.DataFrame(rows).to_parquet(folder / "people.parquet")
        return folder / "people.parquet"
    return write_csv(folder / f"people.{form}", rows, delimiter="\t" if form == "tsv" else ",")


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "parquet"])
def test_whatever_form_a_table_has_the_arrays_are_the_same(form: str, tmp_path: Path) -> None:
    (tmp_path / "csv").mkdir()
    (tmp_path / form).mkdir(exist_ok=True)
    rows = people()
    data = opened(written(tmp_path / form, form, rows))
    assert data.fingerprint == opened(written(tmp_path / "csv", "csv", rows)).fingerprint
    assert [(m.name, m.kind) for m in data.task.modalities] == [("note", "tokens"), ("table", "vector")]
    assert (data.task.classes, data.task.kind, data.task.metric) == (2, "multiclass", "accuracy")
    assert data.arrays["targets.names"].tolist() == ["no", "yes"]
    batch = data.batch(np.arange(ROWS))
    assert batch.targets.tolist() == [1, 0] * (ROWS // 2)
    assert batch.present["note"].tolist() == [row % 7 > 0 for row in range(ROWS)]
    assert batch.present["table"].all()
    assert not batch.masks["note"][~batch.present["note"]].any()
    assert batch.masks["note"][batch.present["note"]].any(1).all()


def test_a_table_is_what_scikit_learn_makes_of_its_training_rows(tmp_path: Path) -> None:
    rows = people()
    data = opened(write_csv(tmp_path / "people.csv", rows))
    assert data.parts is not None
    frame = pd.DataFrame(rows)
    numbers = frame[["age", "weight"]].to_numpy(float)
    scaler = StandardScaler().fit(numbers[data.parts.train])
    found = data.batch(np.arange(ROWS)).inputs["table"].numpy()
    there = ~np.isnan(numbers)
    np.testing.assert_allclose(found[:, :2][there], scaler.transform(numbers)[there], atol=1e-5)
    assert (found[:, :2][~there] == 0).all()
    np.testing.assert_array_equal(found[:, 2], ~there[:, 1])
    cities = OneHotEncoder(categories=[["Rome", "Oslo", "Lima"]]).fit_transform(frame[["city"]]).toarray()
    np.testing.assert_array_equal(found[:, 5:], cities)
    assert not found[:, 3:5].any()
    assert data.task.modality("table").categories == (5,)
    assert data.task.modality("table").shape == (8,)


def test_a_category_that_no_training_row_has_is_none_of_those_that_are_told_apart(tmp_path: Path) -> None:
    rows = people()
    for place, row in enumerate(rows):
        row["part"] = "test" if place % 5 == 0 else "train"
        row["city"] = "Nome" if place == 0 else None if place == 1 else row["city"]
    data = opened(write_csv(tmp_path / "people.csv", rows), {"city": "category", "note": "tokens"}, split="part")
    found = data.batch(np.arange(3)).inputs["table"].numpy()
    assert found.shape == (3, 6)
    assert found.argmax(1).tolist()[:2] == [1, 0]
    assert found.sum(1).tolist() == [1, 1, 1]
    assert data.batch(np.arange(3)).present["table"].tolist() == [True, False, True]


def test_a_number_that_is_constant_in_training_says_nothing_and_one_far_out_is_clipped(tmp_path: Path) -> None:
    rows = people()
    for place, row in enumerate(rows):
        row["part"] = "test" if place % 5 == 0 else "train"
        row["pixel"] = 255 if place == 0 else 0
        row["rare"] = 1e9 if place == 0 else place % 2
    columns = {"pixels": {"kind": "vector", "numbers": ["p?xel", "rar*"]}, "note": "tokens"}
    data = opened(write_csv(tmp_path / "people.csv", rows), columns, split="part")
    assert data.batch(np.array([0])).inputs["pixels"].tolist() == [[0.0, 10.0]]


def test_parts_are_those_of_a_column_whatever_the_seed(tmp_path: Path) -> None:
    rows = people()
    for place, row in enumerate(rows):
        row["part"] = ("Train", "train", "dev", "TEST")[place % 4]
    path = write_csv(tmp_path / "people.csv", rows)
    first, second = (opened(path, split="part", seed=seed).parts for seed in (0, 1))
    assert first is not None
    assert second is not None
    assert [part.tolist() for part in (first.validation, first.test)] == [list(range(2, 60, 4)), list(range(3, 60, 4))]
    assert first.sha256 == second.sha256
    assert set(PARTS.values()) == {0, 1, 2}


def test_test_rows_are_drawn_once_of_every_class_and_validation_rows_by_seed(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "people.csv", people())
    one, two = opened(path), opened(path, seed=1)
    assert one.parts is not None
    assert two.parts is not None
    assert one.parts.test.tolist() == two.parts.test.tolist()
    assert one.parts.validation.tolist() != two.parts.validation.tolist()
    assert np.bincount(one.arrays["targets"][one.parts.test]).tolist() == [6, 6]
    other = opened(path, test=0.5)
    assert other.parts is not None
    assert len(other.parts.test) == 30


def test_rows_of_one_group_stay_together(tmp_path: Path) -> None:
    rows = people()
    for place, row in enumerate(rows):
        row["person"] = f"p{place // 4}"
    data = opened(write_csv(tmp_path / "people.csv", rows), group="person")
    assert data.parts is not None
    found = [data.groups(part) for part in (data.parts.train, data.parts.validation, data.parts.test)]
    people_of = [set(groups.tolist()) for groups in found if groups is not None]
    assert sum(map(len, people_of)) == len(set.union(*people_of)) == 15


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "columns"])
def test_several_labels_are_a_list_or_separated_or_a_column_each(form: str, tmp_path: Path) -> None:
    genres = [["war"], ["drama", "war"], [], ["drama", "comedy"]]
    rows = people()
    for place, row in enumerate(rows):
        mine = genres[place % 4]
        row["genres"] = "; ".join(mine) if form == "csv" else mine
        row |= {f"is {name}": int(name in mine) for name in ("comedy", "drama", "war")}
    if form == "columns":
        rows = [{key: value for key, value in row.items() if key != "genres"} for row in rows]
    label = "is *" if form == "columns" else "genres"
    path = written(tmp_path, "csv" if form == "columns" else form, rows)
    data = opened(path, label=label, kind="multilabel", separator=";" if form == "csv" else "")
    assert [name.removeprefix("is ") for name in data.arrays["targets.names"].tolist()] == ["comedy", "drama", "war"]
    assert (data.task.classes, data.task.metric) == (3, "gap20")
    targets = data.batch(np.array([3, 2, 1, 0])).targets
    assert targets.dtype == torch.float32
    assert targets.tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 1], [0, 0, 1]]


@pytest.mark.parametrize("label", ["weight", ("age", "weight")])
def test_numbers_to_predict_keep_their_digits(label: Any, tmp_path: Path) -> None:
    rows = [row for row in people() if row["weight"] is not None]
    data = opened(
        write_csv(tmp_path / "people.csv", rows), {"city": "category", "note": "tokens"}, label, kind="regression"
    )
    names = [label] if isinstance(label, str) else list(label)
    assert data.batch(np.arange(len(rows))).targets.tolist() == [[float(row[name]) for name in names] for row in rows]
    assert data.arrays["targets.names"].tolist() == names


def test_the_order_of_classes_is_that_of_numbers_where_they_are_numbers(tmp_path: Path) -> None:
    rows = people()
    for place, row in enumerate(rows):
        row["ill"] = (10, 9, 2)[place % 3]
    assert opened(write_csv(tmp_path / "people.csv", rows)).arrays["targets.names"].tolist() == ["2", "9", "10"]


def test_a_suite_that_names_it_is_planned_without_the_file_and_its_key_has_the_path_as_written() -> None:
    def keys(file: str) -> list[str]:
        options = {"file": file, "columns": {**COLUMNS, "face": {"kind": "image", "size": 32}}, "label": "ill"}
        tree = {"name": "mine", "datasets": [{"name": "manifest", "options": options}], "strategies": ["concat"]}
        suite = suite_of(Source("mine", tree, {}))
        assert modality_kinds(suite.datasets[0]) == {"face": "image", "note": "tokens", "table": "vector"}
        names = {name: choice.name for name, choice in suite.rows[0].encoders.items()}
        assert names == {"face": "small_cnn", "note": "lstm", "table": "table"}
        return [run.key for run in suite.runs()]

    assert keys("people.csv") == keys("people.csv") != keys("./people.csv")


def test_a_file_that_changed_is_converted_anew_and_one_that_is_gone_is_not_needed(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "people.csv", people())
    before = opened(path).fingerprint
    write_csv(path, people(50))
    after = opened(path).fingerprint
    assert after != before
    path.unlink()
    assert opened(path).fingerprint == after


def test_a_file_in_the_data_folder_is_found_and_the_working_folder_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    write_csv(tmp_path / "data" / "people.csv", people(50))

    def rows() -> int:
        data = Manifest(tmp_path / "data", file="people.csv", columns=COLUMNS, label="ill")
        data.prepare_data()
        data.setup()
        return len(data.arrays["targets"])

    assert rows() == 50
    write_csv(tmp_path / "here" / "people.csv", people())
    assert rows() == ROWS
    with pytest.raises(UserError, match=r"manifest: no file 'poeple.csv' in .*here or in the data folder .*data; name"):
        Manifest(tmp_path / "data", file="poeple.csv", columns=COLUMNS, label="ill").prepare_data()
