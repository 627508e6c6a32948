"""What each modality gives: Shapley values, their interaction and the EMAP gap, a line for each strategy."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fusionbench.report.figures import BLACK, GREY, PAGE, TALLEST, drawn, entitle, grid
from fusionbench.report.lines import LOOKS
from fusionbench.report.marks import short_label
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.report.titles import signed
from fusionbench.stats.estimate import Estimate
from fusionbench.stats.measured import at, places

LINE, AROUND = 0.14, 1.2
"""Inches: of a strategy, and of all else."""
MOST = int((TALLEST - AROUND) / LINE)
"""Strategies that a page holds."""


def contribution_picture(table: Table) -> dict[str, bytes]:
    """The picture in each form; empty where contribution was not measured.

    Of more strategies than a page holds, the best means.
    """
    rows = [row for row in table.rows if row.measured.get("contribution") and row.uses == "all"]
    if not rows:
        return {}
    shown = rows[:MOST]
    modalities = list(dict.fromkeys(name for row in shown for name in places(row.measured["contribution"], "shapley")))
    pairs = list(dict.fromkeys(name for row in shown for name in places(row.measured["contribution"], "interaction")))

    def draw(figure: Figure) -> None:
        values, together, gaps = figure.subplots(1, 3, sharey=True, width_ratios=(2, 1.3, 1.3))
        for name, (colour, _, mark) in zip(modalities, LOOKS, strict=False):
            _dots(values, [at(row.measured["contribution"], "shapley", name) for row in shown], colour, mark, name)
        for name, (colour, _, mark) in zip(pairs, reversed(LOOKS), strict=False):
            found = [at(row.measured["contribution"], "interaction", name) for row in shown]
            _dots(together, found, colour, mark, f"{name.replace('+', ' with ')}")
        _dots(gaps, [at(row.measured["contribution"], "emap", "gap") for row in shown], BLACK, "o", "")
        for axes, words in ((values, "Shapley value"), (together, "interaction"), (gaps, "EMAP gap")):
            axes.axvline(0, color=GREY, linewidth=0.7)
            axes.set_title(words)
            grid(axes, "x")
        _names(values, shown)
        figure.legend(loc="outside lower center", ncols=4, frameon=False, columnspacing=1.2)
        for text in figure.legends[0].get_texts():
            text.set_parse_math(False)
        more = [f"the {len(shown)} best of {len(rows)} strategies"] if len(shown) < len(rows) else []
        entitle(figure, table, f"in {signed(table.metric)}; bars: 95 % intervals over seeds", *more)

    return drawn(PAGE, LINE * len(shown) + AROUND, draw)


def _dots(axes: Axes, found: Sequence[Estimate | None], colour: str, mark: str, label: str) -> None:
    """One for each strategy, from the top."""
    known = [(place, one) for place, one in enumerate(found) if one is not None]
    heights, means = [place for place, _ in known], [one.mean for _, one in known]
    axes.plot(means, heights, color=colour, marker=mark, markersize=2.8, linestyle="none", label=label)
    axes.hlines(
        heights,
        [one.mean - (one.half_width or 0.0) for _, one in known],
        [one.mean + (one.half_width or 0.0) for _, one in known],
        color=colour,
        linewidth=0.7,
        alpha=0.6,
    )


def _names(axes: Axes, rows: Sequence[TableRow]) -> None:
    axes.set_yticks(range(len(rows)), [short_label(row.title) for row in rows], fontsize=6)
    for text in axes.get_yticklabels():
        text.set_parse_math(False)
    axes.set_ylim(len(rows) - 0.5, -0.5)
