"""A record by its key: one, none, several; and files that are none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fusionbench.core.errors import UserError
from fusionbench.plan.suite import RunSpec
from fusionbench.records.find import find
from fusionbench.records.record import Record, to_text
from fusionbench.records.store import Store


@pytest.fixture
def path(record: Record, tmp_path: Path) -> Path:
    store = Store(tmp_path, "mine")
    store.publish(record)
    return store.path(record.run)


def refused(root: Path, key: str) -> str:
    with pytest.raises(UserError) as error:
        find(root, key)
    assert "\n" not in str(error.value)
    return str(error.value)


def at_seed(record: Record, seed: int) -> Record:
    run = RunSpec.from_json({**record.spec, "seed": seed})
    return replace(record, key=run.key, spec=run.to_json())


def test_a_key_or_its_beginning_is_enough(record: Record, path: Path, tmp_path: Path) -> None:
    for key in (record.key, record.key[:4], f"mine/{record.key}"):
        found = find(tmp_path, key)
        assert (found.suite, found.path, found.record) == ("mine", path, record)


def test_files_beside_records_are_none(record: Record, path: Path, tmp_path: Path) -> None:
    path.with_name(f"{record.key}.size.json").write_text("{}")
    for folder in (tmp_path / "mine" / "digits" / "latency", tmp_path / "mine" / "wandb" / "x"):
        folder.mkdir(parents=True)
        (folder / f"{record.key}.json").write_text("{}")
    assert find(tmp_path, record.key).path == path


def test_what_is_in_two_suites_has_to_be_told_apart(record: Record, path: Path, tmp_path: Path) -> None:
    Store(tmp_path, "other").publish(record)
    text = refused(tmp_path, record.key)
    assert text == f"'{record.key}' could be any of mine/{record.key}, other/{record.key}; name one of them"
    assert find(tmp_path, f"other/{record.key}").suite == "other"


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("abcdef123456", ["no record 'abcdef123456'", "fusionbench plan SUITE"]),
        ("nowhere/abcdef123456", ["no record 'nowhere/abcdef123456'"]),
        ("abc", ["is no key", "at least 4"]),
        ("results/mine/digits/x.json", ["is no key"]),
        ("../abcdef123456", ["is no key"]),
        ("ABCDEF123456", ["is no key"]),
        ("0" * 13, ["is no key"]),
    ],
)
def test_what_is_no_key_or_unknown_is_one_line(key: str, words: list[str], path: Path, tmp_path: Path) -> None:
    assert path.exists()
    text = refused(tmp_path, key)
    assert all(word in text for word in words), text


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    assert "no such folder; name the one that holds the records (--results)" in refused(tmp_path / "no", "abcdef")


def test_a_damaged_record_is_named_and_stays_where_it_is(record: Record, path: Path, tmp_path: Path) -> None:
    for text in ("{", to_text(record).replace('"seed": 3', '"seed": 4'), to_text(at_seed(record, 9))):
        path.write_text(text)
        assert "not a valid record" in refused(tmp_path, record.key)
        assert path.read_text() == text


def test_a_record_of_an_older_results_version_does_not_compare(record: Record, path: Path, tmp_path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "results_version": 1}))
    assert "results version 1, this fusionbench makes" in refused(tmp_path, record.key)


def test_other_seeds_are_the_rows_own_done_ones(record: Record, path: Path, tmp_path: Path) -> None:
    store = Store(tmp_path, "mine")
    others = [at_seed(record, seed) for seed in (7, 8)]
    for other in others:
        store.publish(other)
    failed = at_seed(record, 9)
    store.publish(Record(failed.key, failed.spec, "failed", "no"))
    longer = RunSpec.from_json({**record.spec, "budget": {**record.spec["budget"], "epochs": 99}})
    store.publish(replace(record, key=longer.key, spec=longer.to_json()))
    path.with_name("0123456789ab.json").write_text("{")
    assert {other.key for other in find(tmp_path, record.key).other_seeds()} == {other.key for other in others}
