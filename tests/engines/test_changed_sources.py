"""What a user changed in files of their own is done anew, and nothing else is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from small_suites import Bench

from fusionbench.bench.build import refuse_changed
from fusionbench.core import catalogue, plugin_places
from fusionbench.core.errors import UserError
from fusionbench.plan.load import load_suite
from fusionbench.plan.suite import Choice

POINTS = '''"""Points: two numbers of which the first says the class."""
import numpy as np
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.splits import Split
from .scale import SCALE


class Points(MultimodalData):
    views = {"both": {"a": "vector", "b": "vector"}}
    default_encoders = {"vector": {"name": "mlp", "options": {"width": 8}}}

    @property
    def task(self):
        return TaskSpec(tuple(ModalitySpec(name, "vector", (1,)) for name in "ab"), classes=2)

    def convert(self, folder):
        rng = np.random.default_rng(0)
        targets = np.arange(300) % 2
        np.save(folder / "a.npy", (SCALE * targets[:, None] + rng.normal(size=(300, 1))).astype(np.float32))
        np.save(folder / "b.npy", rng.normal(size=(300, 1)).astype(np.float32))
        np.save(folder / "targets.npy", targets.astype(np.int64))

    def split(self):
        rows = np.arange(300)
        return Split(rows[:200], rows[200:250], rows[250:])
'''
MEASURE = '''"""Answer: a number."""


def measure(module, batch):
    return {"answer": 1}
'''


@pytest.fixture(autouse=True)
def read_anew() -> None:
    """As a new call of the command line does."""
    catalogue.describe.cache_clear()
    plugin_places.parsed.cache_clear()


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    catalogue.describe.cache_clear()
    plugin_places.parsed.cache_clear()


def own_points(bench: Bench) -> Path:
    folder = bench.folder / bench.package
    folder.mkdir(exist_ok=True)
    (folder / "points.py").write_text(POINTS)
    (folder / "scale.py").write_text("SCALE = 0.0\n")
    return folder


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [("scale.py", "0.0", "9.0"), ("points.py", "SCALE * targets", "9 * targets")],
)
def test_a_corrected_conversion_converts_anew(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, old: str, new: str
) -> None:
    folder, data = own_points(bench), tmp_path / "own_data"
    data.mkdir()
    monkeypatch.setattr(bench, "data", data)
    suite = bench.suite(
        datasets=[f"{bench.package}.points"],
        strategies=["concat"],
        seeds=1,
        budget={"epochs": 8, "batch_size": 20, "learning_rate": 0.01},
    )
    assert bench.run(suite) == 0
    (before,) = bench.records().values()
    edit(folder / file, old, new)
    assert bench.run(suite) == 0
    after = next(record for key, record in bench.records().items() if key != before["key"])
    assert after["data"]["fingerprint"] != before["data"]["fingerprint"]
    assert before["scores"]["test/accuracy"] < 0.8 < 0.95 < after["scores"]["test/accuracy"]
    assert len(list((data / "prepared").glob("*/manifest.json"))) == 2
    assert bench.run(suite) == 0
    assert len(bench.records()) == 2


def test_a_changed_helper_of_a_strategy_is_another_run(bench: Bench) -> None:
    (name,) = bench.own("works")
    path = bench.folder / bench.package / "works.py"
    path.write_text(path.read_text() + "\n        from . import late_helper\n")
    (path.parent / "late_helper.py").write_text("")
    suite = bench.suite(strategies=[name], seeds=1)
    keys = []
    for text in ("SIZE = 1\n", "SIZE = 2\n"):
        (path.parent / "late_helper.py").write_text(text)
        catalogue.describe.cache_clear()
        keys.append(next(load_suite(suite).runs()).key)
    assert len(set(keys)) == 2


def test_an_own_measure_is_taken_again_when_it_or_its_options_change(bench: Bench) -> None:
    (bench.folder / bench.package).mkdir()
    path = bench.folder / bench.package / "answer.py"
    path.write_text(MEASURE)
    suite = bench.suite(strategies=["concat"], seeds=1, measures=["size", f"{bench.package}.answer"])

    def answers() -> list[int]:
        assert bench.run(suite) == 0
        return [json.loads(file.read_text())["answer"] for file in (bench.folder / "results").rglob("*.answer.json")]

    assert answers() == [1]
    before = bench.scores()
    edit(path, '"answer": 1', '"answer": 2')
    assert answers() == [2]
    assert bench.scores() == before
    edit(path, 'batch):\n    return {"answer": 2}', 'batch, *, by: int = 3):\n    return {"answer": by}')
    assert answers() == [3]
    suite = bench.suite(
        strategies=["concat"], seeds=1, measures=["size", {"name": f"{bench.package}.answer", "options": {"by": 4}}]
    )
    assert answers() == [4]


def test_a_file_edited_while_the_suite_runs_does_not_train_under_the_old_key(bench: Bench) -> None:
    (name,) = bench.own("works")
    (run,) = load_suite(bench.suite(strategies=[name], seeds=1)).runs()
    refuse_changed([run])
    edit(bench.folder / bench.package / "works.py", "return Prediction", "# other\n        return Prediction")
    with pytest.raises(UserError, match=rf"strategy '{name}': its file, .* has changed .* the same command goes on"):
        refuse_changed([run])
    refuse_changed([replace(run, strategy=replace(run.strategy, name="concat", source=""))])


def test_a_file_that_an_option_names_is_the_planned_one_or_nothing_is_trained(bench: Bench) -> None:
    weights = bench.folder / "w.pth"
    weights.write_bytes(b"hello")
    (run,) = load_suite(bench.suite(strategies=["concat"], seeds=1)).runs()
    named = Choice("small_cnn", {"weights": str(weights)}, files={"weights": hashlib.sha256(b"hello").hexdigest()})
    with_file = replace(run, encoders={"a": named})
    refuse_changed([with_file])
    weights.write_bytes(b"hallo!")
    with pytest.raises(UserError, match=r"encoder 'small_cnn': .*w\.pth has the SHA-256 .* was planned"):
        refuse_changed([with_file])


def test_shipped_data_keep_the_folder_they_had(bench: Bench) -> None:
    from fusionbench.data.digits import Digits
    from fusionbench.data.store import prepared_folder

    data = Digits(bench.data)
    data.prepare_data()
    assert (prepared_folder(bench.data, "digits", data.identity()) / "manifest.json").is_file()
    assert data.decided_by() == data.identity()
