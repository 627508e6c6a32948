"""Known data sets by recipe, on small folders of their authors' form: the tables open, with the official parts."""

from __future__ import annotations

import json
import os
import pickle
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from known_layouts import cremad, food101, hateful_memes, json_lines, mmimdb, mmsa

from fusionbench.api.recipes import NOT_REPRODUCED, names
from fusionbench.cli.main import main
from fusionbench.data.manifest import Manifest
from fusionbench.plan.load import load_suite

LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "cmu_mosei": mmsa,
    "cmu_mosi": mmsa,
    "cremad": cremad,
    "food101": food101,
    "hateful_memes": hateful_memes,
    "mmimdb": mmimdb,
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "known").mkdir()
    return tmp_path


def made(name: str, *words: str, folder: str = "known") -> Manifest:
    """The table that the written suite names, converted and open."""
    assert main(["recipe", name, folder, *words]) == 0
    options = load_suite(f"{name}.yaml").datasets[0].options
    data = Manifest(Path("data"), 0, 8, **options)
    data.prepare_data()
    data.setup()
    return data


def rows_of(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def counts(data: Manifest) -> dict[str, int]:
    assert data.parts is not None
    return data.parts.counts


def test_every_recipe_is_tested_here() -> None:
    assert names() == sorted(LAYOUTS)


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_table_opens_and_its_suite_plans_and_says_what_was_not_done(
    here: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    LAYOUTS[name](here / "known")
    data = made(name)
    told = capsys.readouterr().out
    assert NOT_REPRODUCED in told
    assert NOT_REPRODUCED in Path(f"{name}.yaml").read_text()
    assert data.parts is not None
    batch = data.batch(data.parts.test[:4])
    assert set(batch.inputs) == set(data.task.names)
    assert all(np.isfinite(value.numpy()).all() for value in batch.inputs.values() if value.is_floating_point())
    assert len(list(load_suite(f"{name}.yaml").runs())) > 6


def test_cremad_with_the_lists_has_their_parts_and_the_middle_frame(here: Path) -> None:
    cremad(here / "known")
    data = made("cremad")
    assert [(m.name, m.kind) for m in data.task.modalities] == [("audio", "audio"), ("face", "image")]
    assert data.arrays["targets.names"].tolist() == ["anger", "happy"]
    assert counts(data)["test"] == 8
    row = rows_of("known/cremad.jsonl")[0]
    assert row["face"] == "Image-01-FPS/1001_DFA_ANG_XX/00030.jpg"
    assert (row["actor"], row["emotion"], row["part"]) == ("1001", "anger", "train")


def test_cremad_without_lists_keeps_actors_apart(here: Path) -> None:
    cremad(here / "known", lists=False)
    data = made("cremad")
    assert data.parts is not None
    actors = [row["actor"] for row in rows_of("known/cremad.jsonl")]
    of_part = [{actors[row] for row in rows} for rows in (data.parts.train, data.parts.validation, data.parts.test)]
    assert sum(map(len, of_part)) == len(set(actors)) == 6


def test_mmimdb_has_the_longest_plot_several_genres_and_the_official_parts(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mmimdb(here / "known" / "mmimdb")  # As the archive unpacks.
    data = made("mmimdb")
    assert data.task.kind == "multilabel"
    assert data.arrays["targets.names"].tolist() == ["Comedy", "Drama", "Horror", "Romance"]
    assert counts(data) == {"train": 19, "validation": 4, "test": 6}
    assert "1 left out: no plot, no genre or no poster" in capsys.readouterr().out
    row = rows_of("known/mmimdb.jsonl")[0]
    assert row["plot"] == "A longer plot of the film 0000002."
    assert row["genres"] == ["Comedy", "Horror"]


def test_mmimdb_keeps_the_23_most_frequent_genres_and_leaves_films_of_none_of_them_out(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = mmimdb(here / "known", films=60)
    for number, name in enumerate(sorted((folder / "dataset").glob("*.json"))):
        film = json.loads(name.read_text())
        film["genres"], film["plot"] = [f"Genre {number % 23}"], ["A plot."]
        name.write_text(json.dumps(film))
    rare = folder / "dataset" / "0000060.json"
    rare.write_text(json.dumps({"genres": ["News"], "plot": ["A plot."]}))
    assert main(["recipe", "mmimdb", "known"]) == 0
    found = Counter(genre for row in rows_of("known/mmimdb.jsonl") for genre in row["genres"])
    assert len(found) == 23
    assert "News" not in found
    assert "1 left out: none of the 23 most frequent genres" in capsys.readouterr().out


def test_food101_has_the_titles_as_they_are_and_leaves_lost_pictures_out(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    food101(here / "known")
    data = made("food101")
    assert (counts(data)["test"], data.task.classes) == (24, 3)
    assert sum(counts(data).values()) == 48
    assert "2 left out: titles whose picture is not there" in capsys.readouterr().out
    assert rows_of("known/food101.jsonl")[0]["title"] == "The best apple pie, number 0"


@pytest.mark.parametrize(
    ("phases", "parts"),
    [
        (("_seen", "_unseen"), "train.jsonl, dev_unseen.jsonl, test_unseen.jsonl"),
        (("_seen",), "train.jsonl, dev_seen.jsonl, test_seen.jsonl"),
        (("",), "train.jsonl, dev.jsonl, test.jsonl"),
    ],
)
def test_hateful_memes_takes_the_parts_of_the_last_phase_that_is_there(
    here: Path, phases: tuple[str, ...], parts: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hateful_memes(here / "known", phases=phases)
    data = made("hateful_memes")
    assert counts(data) == {"train": 20, "validation": 6, "test": 6}
    assert f"parts: {parts}" in capsys.readouterr().out


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_features_lose_their_padding_and_what_is_no_step_is_a_missing_modality(
    here: Path, protocol: int, capsys: pytest.CaptureFixture[str]
) -> None:
    mmsa(here / "known", "unaligned_50.pkl", protocol=protocol)
    data = made("cmu_mosi")
    assert data.task.kind == "regression"
    assert [(m.name, m.shape[-1]) for m in data.task.modalities] == [("audio", 5), ("text", 768), ("vision", 20)]
    assert counts(data) == {"train": 12, "validation": 12, "test": 12}
    rows = rows_of("known/cmu_mosi.jsonl")
    assert rows[0]["audio"] is None
    steps = np.load(f"known/{rows[1]['text']}")
    assert (steps.shape, steps.dtype) == ((19, 768), np.float32)
    batch = data.batch(np.arange(2))
    assert batch.present["audio"].tolist() == [False, True]
    assert batch.targets.flatten().tolist() == pytest.approx([-3, -3 + 6 / 11], abs=1e-6)
    assert (rows[4]["video"], rows[4]["words"]) == ("trainVideo1", "segment 4 was good")
    assert "3 numbers were not finite and are 0 now" in capsys.readouterr().out


def test_a_table_elsewhere_names_files_from_the_layouts_folder_and_a_second_call_writes_it_anew(here: Path) -> None:
    food101(here / "known")
    (here / "tables").mkdir()
    assert counts(made("food101", "--out", "tables"))["test"] == 24
    Path("food101.yaml").write_text("# mine\n")
    assert main(["recipe", "food101", "known", "--out", "tables"]) == 0
    assert Path("food101.yaml").read_text() == "# mine\n"
    assert not Path("known/food101.jsonl").exists()


def test_features_of_an_earlier_call_are_replaced(here: Path) -> None:
    mmsa(here / "known")
    for _ in range(2):
        assert main(["recipe", "cmu_mosei", "known"]) == 0
    assert len(list(Path("known/cmu_mosei_features").iterdir())) == 3 * 3 * 12 - 3
    assert not list(Path("known").glob("*.unfinished"))


def drop(path: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        target = folder / path
        target.rename(folder / "gone")

    return spoil


def put(path: str, text: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / path).write_text(text, encoding="utf-8")

    return spoil


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("echo > ran",)


def evil(folder: Path) -> None:
    (folder / "aligned_50.pkl").write_bytes(pickle.dumps(Evil()))


def without_labels(folder: Path) -> None:
    json_lines(folder / "test_unseen.jsonl", [{"id": 1, "img": "img/01000.png", "text": "x"}])


def of_a_number(value: Any) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        found = pickle.loads((folder / "aligned_50.pkl").read_bytes())
        found["test"]["regression_labels"] = value
        (folder / "aligned_50.pkl").write_bytes(pickle.dumps(found))

    return spoil


BAD = [
    ("cremad", drop("AudioWAV"), "known/AudioWAV is missing; get CREMA-D from https://github.com/Chey"),
    ("cremad", drop("Image-01-FPS"), "Image-01-FPS is missing (ffmpeg -i VideoFlash/CLIP.flv -r 1"),
    ("cremad", drop("test.csv"), "known/test.csv is missing"),
    ("cremad", put("train.csv", "1001_DFA_ANG_XX,ANG\nwhat,ANG\n"), "train.csv, line 2: 'what' is no clip"),
    ("cremad", put("AudioWAV/1001_DFA_ANG_XX.wav", "version https://git-lfs.github.com/spec/v1\n"), "of Git LFS"),
    ("mmimdb", drop("split.json"), "known/split.json is missing; get mmimdb.tar.gz"),
    ("mmimdb", put("split.json", '{"train": []}'), "split.json: no list of 'dev'"),
    ("mmimdb", put("split.json", '{"train": ["../x"], "dev": [], "test": []}'), "'../x.json' is no name of a file"),
    ("mmimdb", drop("dataset/0000003.json"), "0000003.json is missing, which split.json names"),
    ("mmimdb", put("dataset/0000003.json", "{"), "0000003.json: not JSON"),
    ("food101", drop("texts/test_titles.csv"), "texts/test_titles.csv is missing; get UPMC Food-101"),
    ("food101", put("texts/train_titles.csv", "a.jpg,title\n"), "train_titles.csv, row 1: 2 cells"),
    ("hateful_memes", drop("img"), "known/img is missing; get the challenge's data"),
    ("hateful_memes", drop("img/01003.png"), "img/01003.png is missing, which train.jsonl names"),
    ("hateful_memes", put("train.jsonl", '{"id": 1}\n'), "train.jsonl, meme 1: id, img and text are not all there"),
    ("hateful_memes", put("train.jsonl", "[1]\n"), "train.jsonl, line 1: holds no object"),
    ("hateful_memes", without_labels, "test_unseen.jsonl, meme 1: no label, as the test of the challenge"),
    ("cmu_mosi", drop("aligned_50.pkl"), "known/aligned_50.pkl is missing; get Processed/aligned_50.pkl"),
    ("cmu_mosi", put("aligned_50.pkl", "no pickle"), "aligned_50.pkl is not a pickle of arrays"),
    ("cmu_mosi", evil, "it asks for posix.system"),
    ("cmu_mosi", of_a_number([1.0]), "part 'test': [1, 12] segments"),
    ("cmu_mosi", of_a_number(["good"] * 12), "part 'test': not arrays of numbers"),
]


@pytest.mark.parametrize(("name", "spoil", "told"), BAD)
def test_another_layout_is_one_line_that_names_what_is_wrong_and_where_to_get_it(
    here: Path, name: str, spoil: Callable[[Path], None], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(LAYOUTS[name](here / "known"))
    assert main(["recipe", name, "known"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"fusionbench: recipe {name}: ")
    assert told in said
    assert "; get " in said
    assert len(said.splitlines()) == 1
    assert not list(here.rglob(f"{name}.jsonl"))
    assert not list(here.rglob("ran"))


def test_the_other_food101_is_told_apart(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "known" / "meta").mkdir()
    (here / "known" / "meta" / "classes.txt").write_text("apple_pie\n")
    assert main(["recipe", "food101", "known"]) == 2
    assert "Food-101 of ETH Zurich, which has pictures and no texts" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["mmimbd", "known"], "no recipe 'mmimbd'; did you mean 'mmimdb'"),
        (["mmimdb", "nowhere"], "recipe mmimdb: no folder nowhere"),
        (["mmimdb", "known", "--out", "nowhere"], "--out nowhere: no such folder"),
    ],
)
def test_wrong_use_is_one_line(here: Path, words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipe", *words]) == 2
    assert told in capsys.readouterr().err
