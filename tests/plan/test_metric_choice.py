"""`metric:` of a dataset in a suite: what it may be, and what it does to keys, names and records."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fusionbench.core.errors import UserError
from fusionbench.plan.load import suite_of
from fusionbench.plan.names import slug
from fusionbench.plan.ranking import kind_of
from fusionbench.plan.select import only
from fusionbench.plan.source import parse_source
from fusionbench.plan.suite import Choice, RunSpec, Suite


def suite(datasets: str) -> Suite:
    return suite_of(parse_source(f"name: x\ndatasets: [{datasets}]\nstrategies: [concat]\nseeds: 1", "x.yaml"))


def run_of(datasets: str) -> RunSpec:
    (run,) = suite(datasets).runs()
    return run


@pytest.mark.parametrize(
    ("dataset", "own"), [("digits", "accuracy"), ("youtube8m", "gap20"), ("diabetes", "r2"), ("wdbc", "accuracy")]
)
def test_a_datasets_own_metric_leaves_its_key_and_its_folder_as_they_are(dataset: str, own: str) -> None:
    plain, named = run_of(dataset), run_of(f"{{name: {dataset}, metric: {own}}}")
    assert named == plain
    assert named.key == plain.key
    assert "metric" not in named.to_json()["dataset"]
    assert slug("dataset", named.dataset) == dataset


def test_another_metric_is_part_of_the_key_of_the_folder_and_of_what_is_selected() -> None:
    run = run_of("{name: digits, metric: nll}")
    assert run.key != run_of("digits").key
    assert run.dataset == Choice("digits", {"view": "halves"}, metric="nll")
    assert slug("dataset", run.dataset) == "digits+metric=nll"
    assert RunSpec.from_json(run.to_json()) == run
    both = list(suite("digits, {name: digits, metric: nll}").runs())
    assert only(both, ["dataset=digits+metric=nll"]) == [run]
    assert len(only(both, ["dataset=digits"])) == 2


def test_data_are_the_same_whatever_ranks() -> None:
    run = run_of("{name: digits, metric: nll}")
    assert run.dataset.unranked == run_of("digits").dataset


OWN = """
from fusionbench.data.base import MultimodalData


class Own(MultimodalData):
    views = {"pair": {"a": "vector"}}
    default_encoders = {"vector": "mlp"}
    FACTS

    def __init__(self, root=None, seed=0, batch_size=128, *, kind: str = "multiclass"):
        super().__init__(root, seed, batch_size)
"""


def own(folder: Path, monkeypatch: pytest.MonkeyPatch, facts: str, kind: bool) -> str:
    name = f"own_{abs(hash(facts + str(kind))) % 10**8}"
    (folder / name).mkdir()
    (folder / name / "__init__.py").touch()
    text = OWN if kind else OWN.replace(', *, kind: str = "multiclass"', "")
    (folder / name / "data.py").write_text(text.replace("FACTS", facts))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    return f"{name}.data"


def test_an_option_kind_decides_what_may_rank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = own(tmp_path, monkeypatch, "paper = ''", kind=True)
    run = run_of(f"{{name: {name}, options: {{kind: regression}}, metric: mae}}")
    assert (kind_of(run.dataset), run.dataset.metric) == ("regression", "mae")
    assert run_of(f"{{name: {name}, options: {{kind: regression}}, metric: r2}}").dataset.metric == ""
    with pytest.raises(UserError, match=r"no score of a multiclass task, .* called 'mae'"):
        run_of(f"{{name: {name}, metric: mae}}")
    with pytest.raises(UserError, match="its kind is 'ranking'; it must be multiclass, multilabel, regression"):
        run_of(f"{{name: {name}, options: {{kind: ranking}}, metric: mae}}")


def test_a_class_may_state_its_kind_and_another_metric_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = own(tmp_path, monkeypatch, 'kind, metric = "regression", "mae"', kind=False)
    assert run_of(f"{{name: {name}, metric: mae}}").key == run_of(name).key
    assert run_of(f"{{name: {name}, metric: r2}}").dataset.metric == "r2"
