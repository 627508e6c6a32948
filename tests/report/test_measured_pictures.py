"""Pictures of measures: what is drawn is what the files hold, and nothing is drawn where none was taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from made_up_suite import Bench, make
from matplotlib.figure import Figure

from fusionbench.report import contribution_picture, costs_picture, reliability_picture, robustness_picture
from fusionbench.report import missing_picture as missing
from fusionbench.report.figures import FORMS, forms_of, picture
from fusionbench.report.missing_picture import MOST, missing_picture
from fusionbench.report.pictures import PICTURES, words
from fusionbench.report.tables import Table, tables

STRATEGIES = ("late", "concat", "unimodal")


def table_of(bench: Bench) -> Table:
    (table,) = tables(bench.suite, bench.store)
    return table


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = make(tmp_path, *STRATEGIES)
    made.fill({"late": 0.8, "concat": 0.9, "unimodal+modality=left": 0.6, "unimodal+modality=right": 0.5}, sd=0.0)
    for run in made.runs():
        shift = 0.01 * run.seed
        made.size(run, 10 if run.strategy.name == "late" else 30)
        curve = {"accuracy": [0.7 + shift, 0.5 + shift]}
        made.store.publish_measure(
            run,
            "robustness",
            {
                "severities": [0.5, 1.0],
                "clean": {"accuracy": 0.9 + shift},
                "noise": {"left": {"blur": curve}},
                "missing": {"left": curve},
            },
        )
        bins = [{"count": 20, "confidence": 0.25, "accuracy": 0.5}, {"count": 2, "confidence": 0.6, "accuracy": 1.0}]
        made.store.publish_measure(run, "calibration", {"reliability": bins, "reliability_at_temperature": "none"})
        made.store.publish_measure(
            run,
            "contribution",
            {"shapley": {"left": 0.4 + shift, "right": 0.2}, "interaction": {"left+right": 0.1}, "emap": {"gap": 0.05}},
        )
    return made


def figure_of(monkeypatch: pytest.MonkeyPatch, module: ModuleType, draw: Callable[[], Any]) -> Figure:
    """The figure that a picture is made of."""
    found: list[Figure] = []

    def kept(width: float, height: float, drawing: Callable[[Figure], None]) -> dict[str, bytes]:
        found.append(picture(width, height, drawing))
        return forms_of(found[0])

    monkeypatch.setattr(module, "drawn", kept)
    assert draw().keys() == FORMS.keys()
    return found[0]


def line(figure: Figure, panel: int, label: str) -> tuple[list[float], list[float]]:
    (found,) = (one for one in figure.axes[panel].get_lines() if one.get_label() == label)
    return np.asarray(found.get_xdata()).tolist(), np.asarray(found.get_ydata()).tolist()


def test_curves_of_robustness_are_means_over_seeds_from_the_clean_score_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = table_of(bench)
    figure = figure_of(monkeypatch, robustness_picture, lambda: robustness_picture.robustness_picture(table))
    assert [axes.get_title() for axes in figure.axes] == ["left: blur", "left: missing"]
    for panel in (0, 1):
        x, y = line(figure, panel, "Concat")
        assert x == [0.0, 0.5, 1.0]
        assert y == pytest.approx([0.91, 0.71, 0.51])


def test_bins_of_all_seeds_are_one_point_and_small_ones_none(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of(bench)
    figure = figure_of(monkeypatch, reliability_picture, lambda: reliability_picture.reliability_picture(table))
    x, y = line(figure, 0, "Late fusion")
    assert x == pytest.approx([0.25])  # 60 entries; the other bin has 6.
    assert y == pytest.approx([0.5])
    assert line(figure, 1, "Late fusion") == ([], [])  # What is no list has no bins.


def test_contributions_are_of_fusions_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    table = table_of(bench)
    figure = figure_of(monkeypatch, contribution_picture, lambda: contribution_picture.contribution_picture(table))
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["Concat", "Late fusion"]
    x, y = line(figure, 0, "left")
    assert x == pytest.approx([0.41, 0.41])
    assert y == [0, 1]
    assert line(figure, 1, "left with right")[0] == pytest.approx([0.1, 0.1])


def test_scores_stand_at_every_cost(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    found = table_of(bench)
    figure = figure_of(monkeypatch, costs_picture, lambda: costs_picture.costs_picture(found))
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert labels[0] == "parameters of the fusion"
    x, y = line(figure, 0, "Late fusion")
    assert x == [10]
    assert y == pytest.approx([0.8])


def test_nothing_is_drawn_where_nothing_was_measured(tmp_path: Path) -> None:
    bare = make(tmp_path, "concat", "late")
    bare.fill({"concat": 0.9, "late": 0.8})
    table = table_of(bare)
    names = ("contribution", "robustness", "reliability")
    assert [PICTURES[name](table) for name in names] == [{}] * 3
    assert all(words(name, table) for name in PICTURES)


def lines(strategies: int, trained: tuple[str, ...] = ("none", "left=0.5")) -> list[dict[str, Any]]:
    return [
        {
            "strategy": f"s{at}",
            "modality": modality,
            "train_missing": missing,
            "test_rate": rate,
            "score": "accuracy",
            "mean": None if rate == 1.0 and modality == "right" else 0.9 - 0.01 * at - 0.2 * rate,
        }
        for at in range(strategies)
        for modality in ("left", "right")
        for missing in trained
        for rate in (0.0, 0.5, 1.0)
    ]


def test_the_matrix_of_missing_modalities_has_the_best_strategies_and_their_scores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    figure = figure_of(monkeypatch, missing, lambda: missing_picture("mine", "digits", lines(MOST + 2)))
    assert len(figure.axes) == 2 * MOST
    assert figure.axes[0].get_title() == "s0, left missing"
    said = [text.get_text() for text in figure.axes[0].texts]
    assert said == [".90", ".80", ".70"] * 2
    assert [text.get_text() for text in figure.axes[1].texts] == [".90", ".80"] * 2
    assert missing_picture("mine", "digits", lines(2, ("none",))) == {}
    assert missing_picture("mine", "digits", []) == {}
