"""Learning curves: which strategies are named, how far they go, and what the axis shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_up_suite import Bench, make
from matplotlib.figure import Figure
from scipy import stats

from fusionbench.report.curves import curves_picture
from fusionbench.report.figures import drawn
from fusionbench.report.marks import NAMED
from fusionbench.report.tables import Table, tables

MANY = (
    "concat",
    "gated",
    "low_rank",
    "sum",
    "max",
    "product",
    "film",
    "mfb",
    "late",
    "unimodal",
    "unimodal_wide",
    "chance",
)


def one(bench: Bench) -> Table:
    (table,) = tables(bench.suite, bench.store)
    return table


def seen(table: Table, monkeypatch: pytest.MonkeyPatch) -> Figure:
    figures: list[Figure] = []

    def kept(width: float, height: float, draw: object) -> dict[str, bytes]:
        def both(figure: Figure) -> None:
            draw(figure)  # type: ignore[operator]
            figures.append(figure)

        return drawn(width, height, both)

    monkeypatch.setattr("fusionbench.report.curves.drawn", kept)
    assert set(curves_picture(table)) == {"png", "pdf"}
    return figures[0]


def test_of_many_strategies_the_references_and_the_best_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make(tmp_path, *MANY, seeds=2)
    for run in bench.runs():
        place = MANY.index(run.strategy.name)
        bench.done(run, 0.9 - 0.05 * place)
    figure = seen(one(bench), monkeypatch)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["Concat", "GMU", "LMF", "Sum", "Max", "Late fusion", "Unimodal (left)"]
    assert len(names) == NAMED
    assert len(figure.axes[0].lines) == len(one(bench).rows) - 1  # Chance learns nothing.


def test_a_band_is_the_interval_over_seeds_and_runs_that_stopped_early_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make(tmp_path, "concat", seeds=3)
    values = [[0.5, 0.7, 0.8, 0.85], [0.4, 0.6, 0.75], [0.45, 0.75, 0.85, 0.9, 0.9]]
    for run, curve in zip(bench.runs(), values, strict=True):
        bench.done(run, 0.9, curves={"validation/accuracy": curve})
    axes = seen(one(bench), monkeypatch).axes[0]
    (line,) = axes.lines
    assert np.asarray(line.get_xdata()).tolist() == [1, 2, 3]
    assert np.asarray(line.get_ydata()).tolist() == pytest.approx([0.45, 2.05 / 3, 0.8])
    (band,) = axes.collections
    low, high = stats.t.interval(0.95, 2, loc=0.45, scale=stats.sem([0.5, 0.4, 0.45]))
    at_first = [y for x, y in np.asarray(band.get_paths()[0].vertices).tolist() if x == 1]
    assert (min(at_first), max(at_first)) == pytest.approx((low, high))


def test_the_first_epochs_do_not_flatten_all_that_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = make(tmp_path, "concat", seeds=1)
    bench.done(bench.runs()[0], 0.9, curves={"validation/accuracy": [0.1, 0.3, *[0.8 + at / 200 for at in range(10)]]})
    low, high = seen(one(bench), monkeypatch).axes[0].get_ylim()
    assert 0.75 < low < 0.8
    assert 0.84 < high < 0.87


@pytest.mark.parametrize("curve", [[], [0.9]])
def test_runs_of_one_epoch_have_no_curve(tmp_path: Path, curve: list[float]) -> None:
    bench = make(tmp_path, "concat", seeds=1)
    bench.done(bench.runs()[0], 0.9, curves={"validation/accuracy": curve})
    assert curves_picture(one(bench)) == {}


def test_the_same_table_gives_the_same_bytes_and_a_formula_in_a_name_is_no_formula(tmp_path: Path) -> None:
    bench = make(tmp_path, "concat", "late", seeds=2)
    bench.fill({"concat": 0.9, "late": 0.8})
    table = one(bench)
    rows = tuple(replace(row, title=f"$\\frac{{{row.title}") for row in table.rows)
    first, second = (curves_picture(replace(table, rows=rows, title="a $ b")) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(("seeds", "bands", "words"), [(2, 0, "mine"), (3, 2, "bands: 95 % intervals over seeds")])
def test_bands_are_drawn_from_three_seeds_on_and_the_title_says_what_they_are(
    seeds: int, bands: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make(tmp_path, "concat", "late", "chance", seeds=seeds)
    bench.fill({"concat": 0.9, "late": 0.8, "chance": 0.1})
    figure = seen(one(bench), monkeypatch)
    assert len(figure.axes[0].collections) == bands
    title = figure._suptitle.get_text()  # type: ignore[attr-defined]
    assert words in title
    assert ("bands" in title) == bool(bands)
    assert "grey" not in title


def test_bands_higher_than_the_picture_are_a_number_in_its_title(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make(tmp_path, "concat", seeds=3)
    for run, level in zip(bench.runs(), (0.80, 0.82, 0.84), strict=True):
        bench.done(run, 0.9, curves={"validation/accuracy": [level, level + 0.001, level + 0.002]})
    figure = seen(one(bench), monkeypatch)
    assert not figure.axes[0].collections
    half = stats.t.ppf(0.975, 2) * stats.sem([0.80, 0.82, 0.84])
    title = " ".join(figure._suptitle.get_text().split())  # type: ignore[attr-defined]
    assert f"95 % intervals over seeds, about ± {half:.2g}, are wider than this picture and not drawn" in title
    assert "bands" not in title
