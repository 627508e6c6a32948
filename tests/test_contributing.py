"""The examples of CONTRIBUTING.md: taken out of the page, planned as one's own modules, and trained."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from fusionbench.bench.build import build, dataset_of, setting_for
from fusionbench.core.catalogue import describe
from fusionbench.fusion.base import FusionModule
from fusionbench.plan.load import suite_of
from fusionbench.plan.source import parse_source
from fusionbench.plan.suite import Suite
from fusionbench.training.fit import evaluate, fit

PAGE = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^## An? \w+: `fusionbench/\w+/(\w+)\.py`\n.*?^```python\n(.*?)^```$", PAGE, re.M | re.S))
SUITE = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Suite]:
    """The page's suite, its files in a folder `mine/` of their own."""
    (tmp_path / "mine").mkdir()
    for name, text in FILES.items():
        (tmp_path / "mine" / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    describe.cache_clear()
    yield suite_of(parse_source(SUITE[0], "mine.yaml"))
    describe.cache_clear()


def test_the_page_holds_one_file_of_each_kind_and_one_suite() -> None:
    assert list(FILES) == ["weighted", "moons", "waves"]
    assert len(SUITE) == 1


def test_the_examples_are_planned_with_their_sources_in_the_keys(suite: Suite) -> None:
    assert [row.strategy.name for row in suite.rows] == ["mine.weighted", "concat"]
    assert [len(choice.source) for choice in (suite.datasets[0], *suite.rows[0].encoders.values())] == [64, 64, 64]
    assert suite.rows[0].strategy.options == {"spread": 0.0}
    assert suite.rows[1].strategy.source == ""


def test_the_examples_learn_what_neither_coordinate_says_alone(suite: Suite, tmp_path: Path) -> None:
    run = next(suite.runs())
    data = dataset_of(run, tmp_path / "data")
    data.prepare_data()
    data.setup()
    module = build(run, setting_for(run, data.task))
    fitted = fit(module, data, run.budget, lambda epoch, scores: None)
    score = evaluate(module, data, run.budget).scores["test/accuracy"]
    assert fitted.epochs_run == run.budget.epochs
    assert data.parts is not None
    train, held = data.batch(data.parts.train), data.batch(data.parts.test)
    alone = [
        LogisticRegression().fit(train.inputs[name], train.targets).score(held.inputs[name], held.targets)
        for name in data.task.names
    ]
    assert score >= max(alone) + 0.1


def test_the_example_strategy_keeps_its_formula_and_ignores_what_is_missing(suite: Suite, tmp_path: Path) -> None:
    run = next(suite.runs())
    data = dataset_of(run, tmp_path / "data")
    setting = setting_for(run, data.task)
    module = build(run, setting).eval()
    assert isinstance(module, FusionModule)
    own = sum(p.numel() for p in module.parameters()) - sum(p.numel() for p in module.encoders.parameters())
    assert own == 2 + (setting.width + 1) * setting.head_width + (setting.head_width + 1) * 2
    x, junk = torch.randn(4, 1), torch.full((4, 1), torch.nan)
    present = {"across": torch.ones(4, dtype=torch.bool), "up": torch.zeros(4, dtype=torch.bool)}
    logits = module({"across": x, "up": junk}, present=present)
    assert torch.equal(logits, module({"across": x, "up": torch.zeros(4, 1)}, present=present))
    assert logits.isfinite().all()
