"""Own data that are wrong, or whose code fails, end a run in one line before anything is trained."""

from __future__ import annotations

import pytest
from small_suites import TEMPLATE, Bench

from fusionbench.cli.main import main

MOONS = '''"""Two vectors."""
import numpy as np
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.splits import Split

class Own(MultimodalData):
    views = {"pair": {"a": "vector", "b": "vector"}}
    default_encoders = {"vector": {"name": "mlp", "options": {"width": 8}}}

    def __init__(self, root=None, seed=0, batch_size=128, *, view: str = "pair"):
        super().__init__(root, seed, batch_size)
        self.view = view

    @property
    def task(self):
        return TaskSpec((ModalitySpec("a", "vector", (2,)), ModalitySpec("b", "vector", (2,))), classes=2)

    def convert(self, folder):
        values = np.random.default_rng(0).normal(size=(90, 2)).astype(np.float32)
        targets = (values[:, 0] > 0).astype(np.int64)
        CHANGE
        np.save(folder / "a.npy", values)
        np.save(folder / "b.npy", -values)
        np.save(folder / "targets.npy", targets)

    def split(self):
        rows = np.arange(90)
        return Split(SPLIT)
'''
SPLIT = "rows[:50], rows[50:70], rows[70:]"


def suite(bench: Bench, change: str = "pass", split: str = SPLIT) -> str:
    (bench.folder / bench.package).mkdir(exist_ok=True)
    (bench.folder / bench.package / "own.py").write_text(MOONS.replace("CHANGE", change).replace("SPLIT)", f"{split})"))
    return bench.suite(datasets=[f"{bench.package}.own"], seeds=1)


def test_data_that_are_right_are_trained_on(bench: Bench) -> None:
    assert bench.run(suite(bench)) == 0
    assert [record["status"] for record in bench.records().values()] == ["done", "done"]


@pytest.mark.parametrize(
    ("change", "split", "told"),
    [
        ("pass", "rows[:50], rows[50:80], rows[70:]", "validation and test share 10 rows, the first is 70"),
        ("values[75] = np.nan", SPLIT, "'a' of row 75 (test) is NaN or infinite"),
        ("targets += 1", SPLIT, "has the target 2, classes are 0 to 1; count classes from 0"),
        ("raise RuntimeError('no such\\nfile')", SPLIT, "cannot be prepared: RuntimeError: no such file (own.py, line"),
        ("pass", "rows[100]", "cannot be prepared: IndexError: index 100 is out of bounds"),
        ("return", SPLIT, "convert wrote no a.npy; it wrote nothing"),
    ],
)
@pytest.mark.parametrize("verb", ["prepare", "run"])
def test_data_that_are_wrong_are_refused_in_one_line_and_nothing_is_trained(
    bench: Bench, capfd: pytest.CaptureFixture[str], verb: str, change: str, split: str, told: str
) -> None:
    path = suite(bench, change, split)
    assert main(bench.arguments(verb, path)) == 2
    said = capfd.readouterr().err
    assert [line for line in said.splitlines() if told in line]
    assert "Traceback" not in said
    assert bench.records() == {}


def test_a_model_that_is_not_finite_on_the_test_rows_alone_leaves_a_record(bench: Bench) -> None:
    (bench.folder / bench.package).mkdir()
    body = "return Prediction(self.head(pooled) * (float('nan') if self.trainer.testing else 1.0))"
    (bench.folder / bench.package / "late_nan.py").write_text(TEMPLATE.format(name="late_nan", body=body))
    assert bench.run(bench.suite(strategies=[f"{bench.package}.late_nan"], seeds=1, measures=[])) == 1
    assert [(r["status"], r["reason"]) for r in bench.records().values()] == [
        ("diverged", "a test score was not finite")
    ]
