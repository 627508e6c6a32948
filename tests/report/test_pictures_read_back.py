"""Pictures read back: who is named, what is drawn where, and that nothing is cut or lies on something else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_orders import bench_of, fill
from made_up_suite import Bench
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation, Text

from fusionbench.plan.load import load_suite
from fusionbench.records.store import Store
from fusionbench.report.forest import differences_picture
from fusionbench.report.front import front_picture
from fusionbench.report.marks import short_label
from fusionbench.report.matrix import pairs_picture
from fusionbench.report.ranks import ranks_picture
from fusionbench.report.standings import standings
from fusionbench.report.tables import Table, tables

LEFT, RIGHT = "unimodal+modality=left", "unimodal+modality=right"
FUSIONS = ("late", "concat", "sum", "gated", "unimodal_ensemble", "co_attention_transformer")
SUITE = (
    f"name: mine\ndatasets: [digits]\nstrategies: [chance, unimodal, {', '.join(FUSIONS)}]\nseeds: 6\n"
    "families:\n  - {name: best_known, rows: [late, concat, sum, gated, unimodal_ensemble]}\n"
)
SIDES = ("co_attention_transformer+guide=left", "co_attention_transformer+guide=right")
MEANS = {"chance": 0.1, LEFT: 0.8, RIGHT: 0.81, "late": 0.85, "concat": 0.9, "sum": 0.89, "gated": 0.86}
MEANS |= dict.fromkeys(("unimodal_ensemble", *SIDES), 0.852)
LONG = "Visible and near-infrared photographs of every field that was sown in spring, second release of the survey"

Draw = Callable[[], dict[str, bytes]]


def made(folder: Path, text: str = SUITE, **options: Any) -> Bench:
    bench = bench_of(folder, text)
    fill(bench, MEANS | {f"unimodal+modality={name}": 0.5 for name in ("mean", "error", "worst")}, **options)
    for run in bench.suite.runs():
        bench.size(run, 2_000 + 40 * len(run.strategy.name))
    return bench


def one(bench: Bench) -> Table:
    (table,) = tables(bench.suite, bench.store)
    return table


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Callable[[Draw], Figure]:
    """The figure that a picture is saved from, laid out as it is saved."""
    figures: list[Figure] = []
    save = Figure.savefig

    def kept(figure: Figure, *arguments: Any, **named: Any) -> None:
        figures.append(figure)
        save(figure, *arguments, **named)

    def figure_of(draw: Draw) -> Figure:
        figures.clear()
        forms = draw()
        assert forms["png"].startswith(b"\x89PNG")
        assert forms["pdf"].startswith(b"%PDF")
        assert b"/Subtype /Image" not in forms["pdf"], "a PDF of dots"
        figures[0].draw_without_rendering()
        return figures[0]

    monkeypatch.setattr(Figure, "savefig", kept)
    return figure_of


def texts(figure: Figure) -> Iterator[Text]:
    """All that is written: titles, labels of axes and ticks, legends, and words in the picture."""
    outside = {id(label) for axes in figure.axes for label in labels_outside(axes)}
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if text.get_text().strip() and text.get_visible() and id(text) not in outside:
            yield text


def labels_outside(axes: Axes) -> Iterator[Text]:
    """Of ticks beyond the ends of an axis: they are there and not drawn."""
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in axis.get_major_ticks():
            if not low - 1e-9 <= tick.get_loc() <= high + 1e-9:
                yield from (tick.label1, tick.label2)


def labels(found: Sequence[Text]) -> list[str]:
    return [text.get_text() for text in found if text.get_text()]


def assert_readable(figure: Figure) -> None:
    """Within the picture, nothing smaller than 6.5 points, and no two words on one another."""
    boxes = [(text, Text.get_window_extent(text)) for text in texts(figure)]
    assert len(boxes) > 10
    for text, box in boxes:
        assert float(text.get_fontsize()) >= 6.5, text
        assert box.x0 >= -0.5, text
        assert box.y0 >= -0.5, text
        assert box.x1 <= figure.bbox.width + 0.5, text
        assert box.y1 <= figure.bbox.height + 0.5, text
    for (first, a), (second, b) in combinations(boxes, 2):
        across, along = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert min(across, along) < 3, f"{first.get_text()!r} lies on {second.get_text()!r}"


def test_the_differences_name_every_row_and_draw_its_interval(tmp_path: Path, seen: Callable[[Draw], Figure]) -> None:
    table = replace(one(made(tmp_path)), title=LONG)
    figure = seen(lambda: differences_picture(table))
    assert_readable(figure)
    rows = [row for row in table.rows if row.uses != "none"]
    panels = figure.axes
    assert labels(panels[0].get_yticklabels()) == [short_label(row.title) for row in rows]
    assert [axes.get_xlabel() for axes in panels] == ["less Unimodal (right)", "less Late fusion"]
    for axes, found in zip(panels, table.tests.references, strict=True):
        low, high = axes.get_xlim()
        drawn = {float(y[0]): x for x, y in map(data_of, axes.lines) if len(x) == 2 and y[0] == y[1]}
        for place, row in enumerate(rows):
            compared = found.of(row.strategy)
            if compared is None:
                assert row.strategy == found.reference
                continue
            mean, half = compared.estimate.mean, compared.estimate.half_width or 0.0
            assert drawn[place] == pytest.approx([mean - half, mean + half])
            assert low < mean - half
            assert mean + half < high
    keys = labels(figure.legends[0].get_texts())
    assert keys == ["better, Holm at .05", "worse, Holm at .05", "not told apart", "the reference itself"]


def data_of(line: Any) -> tuple[list[float], list[float]]:
    return np.asarray(line.get_xdata(), float).tolist(), np.asarray(line.get_ydata(), float).tolist()


def test_a_difference_far_outside_is_a_number_and_an_interval_that_is_cut_has_an_arrow(
    tmp_path: Path, seen: Callable[[Draw], Figure]
) -> None:
    table = one(made(tmp_path))
    (first, found) = table.tests.references
    changed = []
    for one_row in found.compared:
        wide = {"gated": 9.0}.get(one_row.strategy, one_row.estimate.half_width)
        mean = {LEFT: -3.0}.get(one_row.strategy, one_row.estimate.mean)
        changed.append(replace(one_row, estimate=replace(one_row.estimate, mean=mean, half_width=wide)))
    references = (first, replace(found, compared=tuple(changed)))
    table = replace(table, tests=replace(table.tests, references=references))
    axes = seen(lambda: differences_picture(table)).axes[1]
    assert [text.get_text() for text in axes.texts] == ["\u25c2 -3.00"]
    assert [line.get_marker() for line in axes.lines].count("<") == 1
    assert [line.get_marker() for line in axes.lines].count(">") == 1
    low, high = axes.get_xlim()
    assert high - low < 1


def test_an_interval_that_reaches_a_little_farther_than_all_others_is_whole(
    tmp_path: Path, seen: Callable[[Draw], Figure]
) -> None:
    table = one(made(tmp_path))
    (first, found) = table.tests.references
    numbers = {LEFT: (-0.08, 0.024)}
    changed = []
    for one_row in found.compared:
        mean, half = numbers.get(one_row.strategy, (0.01, 0.02))
        changed.append(replace(one_row, estimate=replace(one_row.estimate, mean=mean, half_width=half)))
    tests = replace(table.tests, references=(first, replace(found, compared=tuple(changed))))
    axes = seen(lambda: differences_picture(replace(table, tests=tests))).axes[1]
    ends = [x for line in axes.lines for x, y in [data_of(line)] if len(x) == 2 and y[0] == y[1]]
    assert [pytest.approx([-0.104, -0.056])] == [x for x in ends if x[0] < -0.02]
    assert axes.get_xlim()[0] < -0.104


@pytest.mark.parametrize("seeds", [6, 2])
def test_the_matrix_has_every_pair_of_the_family_once(
    seeds: int, tmp_path: Path, seen: Callable[[Draw], Figure]
) -> None:
    table = one(made(tmp_path, SUITE.replace("seeds: 6", f"seeds: {seeds}")))
    figure = seen(lambda: pairs_picture(table))
    assert_readable(figure)
    (axes,), (found,) = figure.axes, table.tests.families
    titles = {row.strategy: short_label(row.title) for row in table.rows}
    names = [titles[name] for name in found.strategies]
    assert len(names) == 5
    assert labels(axes.get_yticklabels()) == names[:-1]
    assert labels(axes.get_xticklabels()) == names[1:]
    cells = {(int(y), int(x)): text for text in axes.texts for x, y in [text.get_position()]}
    assert sorted(cells) == list(combinations(range(5), 2))
    for (row, column), text in cells.items():
        assert text.get_text() == f"{100 * found.mean[row, column]:.1f}"
        assert text.get_fontweight() == ("bold" if found.differ[row, column] else "normal")
    filled = [
        patch for patch in axes.patches if isinstance(patch, Rectangle) and to_rgb(patch.get_facecolor())[0] < 0.5
    ]
    assert len(filled) == int(np.triu(found.differ, 1).sum())
    assert axes.get_xlabel() == f"best_known: seed-blocked Tukey, {seeds} seeds"


def test_ranks_have_a_mark_for_each_data_set_and_the_mean(tmp_path: Path, seen: Callable[[Draw], Figure]) -> None:
    text = SUITE.replace("[digits]", "[digits, {name: wdbc, title: Cells}]").replace(", co_attention_transformer", "")
    found = list(tables((bench := made(tmp_path, text)).suite, bench.store))
    figure = seen(lambda: ranks_picture(found))
    assert_readable(figure)
    ranked, (axes,) = standings(found), figure.axes
    assert ranked is not None
    titles = {row.strategy: row.title for row in found[0].rows}
    assert labels(axes.get_yticklabels()) == [titles[name] for name in ranked.strategies]
    means = next(data_of(line) for line in axes.lines if line.get_marker() == "|")
    assert means == (list(ranked.mean_ranks), list(range(len(ranked.strategies))))
    for place in range(len(ranked.strategies)):
        marks = [x[0] for line in axes.lines for x, y in [data_of(line)] if len(x) == 1 and y == [place]]
        assert np.mean(marks) == pytest.approx(ranked.mean_ranks[place])
        assert len(marks) == 2
    assert labels(figure.legends[0].get_texts()) == ["mean rank", "Digits", "Cells"]


@pytest.mark.parametrize("together", [False, True])
def test_every_strategy_is_named_beside_its_point_and_points_that_lie_together_share_a_label(
    together: bool, tmp_path: Path, seen: Callable[[Draw], Figure]
) -> None:
    bench = made(tmp_path)
    if together:
        for run in bench.suite.runs():
            bench.store.path(run, ".size.json").unlink()
            bench.size(run, 8_000 if run.strategy.name in FUSIONS else 4_000)
    table = one(bench)
    figure = seen(lambda: front_picture(table))
    assert_readable(figure)
    written = [text for text in figure.axes[0].texts if isinstance(text, Annotation)]
    words = re.split(r", ?\n?", ", ".join(labels(written)).replace("\n", " "))
    expected = [short_label(row.title) for row in table.rows if row.uses != "none"]
    assert sorted(word.replace("\u00a0", " ").strip() for word in words) == sorted(expected)
    assert (len(written) < len(expected)) or not together
    assert_leaders_keep_off(figure)


def test_in_published_pictures_no_leader_runs_through_another_label(seen: Callable[[Draw], Figure]) -> None:
    suite = load_suite("quickstart_tuned")
    leaders = 0
    for table in tables(suite, Store(Path(__file__).parents[2] / "results", suite.name)):
        figure = seen(partial(front_picture, table))
        assert_readable(figure)
        leaders += assert_leaders_keep_off(figure)
    assert leaders


def assert_leaders_keep_off(figure: Figure) -> int:
    """Every leader, seen at a hundred places, from all labels but its own; how many there are."""
    written = [text for text in figure.axes[0].texts if isinstance(text, Annotation)]
    boxes = [Text.get_window_extent(text) for text in written]  # Without leaders.
    leaders = [(text, text.arrow_patch) for text in written if text.arrow_patch is not None]
    for text, patch in leaders:
        start, *_, end = np.asarray(patch.get_path().vertices)
        others = [box for other, box in zip(written, boxes, strict=True) if other is not text]
        along = [start + (end - start) * step / 99 for step in range(100)]
        assert not [box for box in others for x, y in along if box.contains(x, y)], text
    return len(leaders)
