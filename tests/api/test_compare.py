"""`compare` trains on one's own arrays as a suite does: same runner, records and statistics; and goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

import fusionbench
from fusionbench.api.results import Results
from fusionbench.core.errors import UserError

DIGITS = load_digits()
PICTURES = DIGITS.images[:400, None].astype(np.uint8)
LABELS = DIGITS.target[:400]
HALVES = {"left": PICTURES[..., :4], "right": PICTURES[..., 4:]}
SHORT: dict[str, Any] = {"budget": {"epochs": 2, "learning_rate": 3e-3}, "workers": 2, "progress": False}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FUSIONBENCH_DATA", str(tmp_path / "data"))
    return tmp_path


def records(folder: Path) -> dict[str, int]:
    """By file of a record, when it was written."""
    found = (folder / "results").rglob("*.json")
    return {str(path): path.stat().st_mtime_ns for path in found if "." not in path.stem}


def test_a_comparison_is_trained_once_goes_on_and_begins_anew_with_other_data(folder: Path) -> None:
    result = fusionbench.compare(HALVES, LABELS, strategies=["unimodal", "concat"], seeds=2, **SHORT)
    assert dict(result.counts) == {"done": 6}
    assert result.about == (
        "left: image (1, 8, 4); right: image (1, 8, 4); 10 classes; 400 rows, 80 of them for the test"
    )
    text = result.table()
    assert all(name in text for name in ("unimodal+modality=left", "unimodal+modality=right", "concat"))
    assert "concat is the best fusion by validation, test accuracy 0." in result.best()
    first = records(folder)
    assert len(first) == 6
    again = fusionbench.compare(HALVES, LABELS, strategies=["unimodal", "concat"], seeds=2, **SHORT)
    assert records(folder) == first
    assert again.table() == text
    more = fusionbench.compare(HALVES, LABELS, strategies=["concat", "late"], seeds=2, **SHORT)
    assert first.items() <= records(folder).items()
    assert len(records(folder)) == 8
    assert set(more.frame()["strategy"]) == {"concat", "late"}
    other = {**HALVES, "left": HALVES["left"] // 2}
    changed = fusionbench.compare(other, LABELS, strategies=["concat"], seeds=2, **SHORT)
    assert len(records(folder)) == 10
    assert set(changed.frame()["dataset"]) != set(more.frame()["dataset"])
    frame = fusionbench.load_results(folder / "results")
    assert len(frame) == 10
    assert frame["train_rows"].unique().tolist() == [280]


def test_vectors_sequences_and_texts_are_fused_for_several_labels_with_groups(folder: Path) -> None:
    rng = np.random.default_rng(0)
    targets = rng.integers(2, size=(120, 3))
    inputs = {
        "numbers": targets @ rng.normal(size=(3, 5)) + rng.normal(size=(120, 5)),
        "sound": [rng.normal(size=(1 + row % 4, 2)) + target[0] for row, target in enumerate(targets)],
        "words": [" ".join(["yes" if one else "no" for one in target]) for target in targets],
    }
    people = np.arange(120) // 3
    result = fusionbench.compare(inputs, targets, strategies=["concat"], seeds=1, groups=people, **SHORT)
    assert dict(result.counts) == {"done": 1}, fusionbench.load_results(folder / "results")["reason"].tolist()
    row = fusionbench.load_results(folder / "results").iloc[0]
    assert row.metric == "gap20"
    assert 0 < row.score <= 1


def test_numbers_are_predicted(folder: Path) -> None:
    rng = np.random.default_rng(0)
    inputs = {"a": rng.normal(size=(200, 3)), "b": rng.normal(size=(200, 3))}
    targets = 50 + 10 * (inputs["a"][:, 0] + inputs["b"][:, 0])
    options = {**SHORT, "budget": {"epochs": 20, "learning_rate": 1e-2}}
    result = fusionbench.compare(inputs, targets, strategies=["unimodal", "concat"], seeds=1, **options)
    frame = result.frame().set_index("strategy")["test/r2_mean"]
    assert frame["concat"] > 0.8
    assert "concat is the best fusion by validation, test R2 0." in result.best()
    fusionbench.compare(inputs, targets, strategies=["concat"], seeds=1, metric="mae", **options)
    ranked = fusionbench.load_results(folder / "results").set_index("metric")["score"]
    assert ranked["mae"] > 1 > ranked["r2"].max()


def test_a_time_limit_that_is_over_at_once_is_said_and_leaves_what_can_go_on(folder: Path) -> None:
    options = {"strategies": ["concat"], "seeds": 2, **SHORT}
    result = fusionbench.compare(HALVES, LABELS, time_limit=1e-6, **options)
    assert dict(result.counts) == {"missing": 2}
    assert result.left_out.startswith("The time limit of 1e-06 s left out runs of every seed")
    assert result.best().endswith("no strategy is done without a run that failed or diverged, so none is the best.")
    assert dict(fusionbench.compare(HALVES, LABELS, **options).counts) == {"done": 2}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"strategies": ["gatd"]}, r"^compare: strategies\.0: no strategy 'gatd'; did you mean 'gated'"),
        ({"strategies": "gatd"}, "no strategy 'gatd'"),
        ({"budget": {"epoch": 3}}, "no key 'epoch'; did you mean 'epochs'"),
        ({"encoders": {"image": "mpl"}}, "no encoder 'mpl'; did you mean 'mlp'"),
        ({"encoders": {"image": object()}}, r"encoders\.image: <object object at .*> cannot stand in a suite"),
        ({"metric": "rmse"}, "no score of a multiclass task, as that of 'arrays', called 'rmse'"),
        ({"seeds": 0}, "compare: seeds: give a count from 1"),
        ({"name": "My Data"}, "name: a suite's name is up to 64 lower-case letters"),
        ({"again": "done"}, "again: give one or more of failed,diverged,skipped"),
        ({"workers": 0}, "workers and threads .*: give a number from 1 on"),
        ({"time_limit": 0}, "time_limit: give seconds above 0"),
        ({"text_length": 0}, "option length: 0 is not at least 1"),
    ],
)
def test_wrong_use_is_a_line_and_nothing_is_trained(folder: Path, options: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        fusionbench.compare(HALVES, LABELS, progress=False, **options)
    assert records(folder) == {}


def test_an_empty_comparison_shows_what_there_is_of_it(folder: Path) -> None:
    result = fusionbench.compare(HALVES, LABELS, strategies=["concat"], seeds=1, time_limit=1e-6, **SHORT)
    assert isinstance(result, Results)
    assert "<code>concat</code>" in result._repr_html_()
    assert repr(result) == "<Results of suite compare: 1 missing; print(it) shows the table>"
    with pytest.raises(UserError, match="nothing to draw"):
        result.plot()
