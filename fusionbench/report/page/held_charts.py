"""Interactive pictures of whatever measures hold: every number, and every list of numbers, one at a time to choose.

They know no measure by name but for what to show first, so one that is new, or a user's own, appears like all others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import altair as alt

from fusionbench.core.scores import bare
from fusionbench.report.marks import named_rows
from fusionbench.report.numbers import score
from fusionbench.report.page.line_layers import drawn_over_points, in_colour, line_layers, line_point
from fusionbench.report.page.looks import PALETTE, Chart, Rows, drawn_number, tips_of, with_data
from fusionbench.report.reliability_points import PARTS
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.stats.estimate import Estimate
from fusionbench.stats.held import Axis, Held, Path, axes, held
from fusionbench.stats.measured import over_seeds

FIRST: Mapping[str, Path] = {"calibration": ("test", "ece"), "contribution": ("shapley",)}
"""What is shown at first; of other measures the first by its name."""
MOST, CHOICES = 20_000, 300
"""Points of a picture, and what can be chosen in it: what is beyond is said, and left to the files."""
WIDTH, STEP, HEIGHT = 760, 15, 340
"""Pixels: of a picture of numbers, of a row of it, and of a picture of curves."""
BAND = 3
"""Seeds of a band."""
ByRow = Sequence[tuple[TableRow, Mapping[int, Held]]]


def held_charts(table: Table) -> Iterator[Chart]:
    """Numbers and curves of every measure that some row has."""
    for measure in dict.fromkeys(name for row in table.rows for name in row.measured):
        found = [
            (row, {seed: held(file) for seed, file in row.measured[measure].items()})
            for row in table.rows
            if measure in row.measured
        ]
        yield from (chart for chart in (_numbers(measure, found), _curves(table, measure, found)) if chart)


def _numbers(measure: str, found: ByRow) -> Chart | None:
    """A mark with its interval for each strategy; numbers that stand together are shown together too."""
    every = dict.fromkeys(path for _, files in found for one in files.values() for path in one.numbers)
    shown, more = _fitting(list(every), len(found))
    if not shown:
        return None
    together = Counter(path[:-1] for path in shown if len(path) > 1)
    groups = [path for path, count in together.items() if count > 1]
    choices = [*sorted(groups), *shown]
    first = FIRST.get(measure, ())
    chart = _marks([row.title for row, _ in found], choices, first if first in choices else choices[0])
    return Chart(
        f"{measure}: numbers",
        f"All numbers that the measure {measure} left, means over seeds with 95 % intervals over seeds; choose which"
        f"{_beyond(more)}.",
        with_data(chart, {"numbers": _number_rows(found, shown, choices)}),
        STEP * len(found) + 110,
    )


def _marks(names: Sequence[str], choices: Sequence[Path], start: Path) -> alt.LayerChart:
    what = _choice([_words(path) for path in choices], choices.index(start))
    base = alt.Chart(alt.NamedData("numbers")).transform_filter(
        f"datum.what == {what.name} || datum.group == {what.name}"
    )
    axis = alt.Axis(labelLimit=240, ticks=False, labelOverlap=False)
    base = base.encode(y=alt.Y("name:N", sort=list(names), title=None, axis=axis))
    left, right = (alt.X(f"{field}:Q", title=None, scale=alt.Scale(zero=False)) for field in ("low", "mean"))
    legend = alt.Legend(orient="top", symbolOpacity=1)
    colour = alt.Color("last:N", title=None, scale=alt.Scale(range=list(PALETTE)), legend=legend)
    bars = base.mark_rule(strokeWidth=1.4, opacity=0.7).encode(x=left, x2="high:Q", color=colour)
    tips = tips_of({"name": "strategy", "said": "number", "words": "mean", "seeds": "seeds"})
    points = base.mark_point(filled=True, size=50, opacity=1)
    dots = points.encode(x=right, color=colour, tooltip=tips)
    return alt.layer(bars, dots).add_params(what).properties(width=WIDTH, height=alt.Step(STEP))


def _number_rows(found: ByRow, shown: Sequence[Path], choices: Sequence[Path]) -> Rows:
    places = {path: at for at, path in enumerate(choices)}
    return [
        {
            "strategy": row.strategy,
            "name": row.title,
            "what": places[path],
            "group": places.get(path[:-1], -1),
            "said": _words(path),
            "last": path[-1] or "none",
            **_ends(one),
        }
        for row, files in found
        for path in shown
        if (one := over_seeds(files, partial(_number, path=path)))
    ]


def _ends(found: Estimate) -> dict[str, Any]:
    half = found.half_width or 0.0
    return {
        "mean": drawn_number(found.mean),
        "low": drawn_number(found.mean - half),
        "high": drawn_number(found.mean + half),
        "words": score(found),
        "seeds": found.n,
    }


def _curves(table: Table, measure: str, found: ByRow) -> Chart | None:
    """A line for each strategy, along what the lists go along; without those that another picture shows."""
    along = axes([one for _, files in found for one in files.values()])
    wanted = {path: axis for path, axis in along.items() if not _is_drawn(measure, path, bare(table.metric))}
    longest = max((len(axis.values) for axis in wanted.values()), default=0)
    shown, more = _fitting(list(wanted), len(found) * longest)
    points = _curve_rows(found, {path: wanted[path] for path in shown})
    if not points:
        return None
    what = _choice([_along(path, wanted[path]) for path in shown], 0)
    rows = [row for row, _ in found]
    legend = alt.Legend(orient="right", labelLimit=220, symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1)
    titles = {row.strategy: row.title for row in rows}
    colours = {titles[name]: colour for name, colour in in_colour(rows).items()}
    x = alt.X("x:Q", title=None, scale=_by_choice([_ends_of(points, at, "x") for at in range(len(shown))], what))
    up = _by_choice([_roomy(*_ends_of(points, at, "mean")) for at in range(len(shown))], what)
    tips = {"name": "strategy", "said": "curve", "x": "at", "words": "mean"}
    drawn = drawn_over_points(line_layers(x, "", up, colours, tips, legend))
    drawn = drawn.transform_filter(f"datum.what == {what.name}").add_params(what)
    return Chart(
        f"{measure}: curves",
        f"The lists of numbers that the measure {measure} left, means over seeds, along what they go along; choose "
        f"which{_beyond(more)}. Point at a line for its name and its 95 % interval over seeds.",
        with_data(drawn.properties(width="container", height=HEIGHT), {"points": points}),
        HEIGHT + 90,
    )


def _curve_rows(found: ByRow, along: Mapping[Path, Axis]) -> Rows:
    chosen = named_rows([row for row, _ in found])
    return [
        {
            **line_point(row, at, one, named=row in chosen, band=one.n >= BAND),
            "what": number,
            "said": _along(path, axis),
        }
        for number, (path, axis) in enumerate(along.items())
        for row, files in found
        for place, at in enumerate(axis.values)
        if (one := over_seeds(files, partial(_entry, path=path, place=place)))
    ]


def _number(file: Held, path: Path) -> float | None:
    return file.numbers.get(path)


def _entry(file: Held, path: Path, place: int) -> float | None:
    values = file.lists.get(path, ())
    return values[place] if place < len(values) else None


def _is_drawn(measure: str, path: Path, metric: str) -> bool:
    """Whether a picture of its own has it: robustness its ranking score, calibration its bins."""
    return (measure == "robustness" and path[-1] == metric) or (measure == "calibration" and path[0] in PARTS)


def _fitting(paths: Sequence[Path], points: int) -> tuple[Sequence[Path], int]:
    """As many as a picture holds, and how many are left out.

    Args:
        paths: of what could be shown.
        points: of each.
    """
    room = min(CHOICES, MOST // max(1, points))
    return paths[:room], max(0, len(paths) - room)


def _choice(choices: Sequence[str], start: int) -> alt.Parameter:
    """By number: names are a user's own, and stand in no expression."""
    bind = alt.binding_select(options=list(range(len(choices))), labels=list(choices), name="shown: ")
    return alt.param(name="what", value=start, bind=bind)


def _by_choice(ends: Sequence[tuple[float, float]], what: alt.Parameter) -> alt.Scale:
    """A scale whose ends depend on what is chosen."""
    low, high = (alt.ExprRef(f"{list(values)}[{what.name}]") for values in zip(*ends, strict=True))
    return alt.Scale(domain=[low, high], nice=False, zero=False)


def _ends_of(points: Rows, choice: int, field: str) -> tuple[float, float]:
    """Of the lines in colour, where there are some; of all else."""
    every = [point for point in points if point["what"] == choice]
    values = [point[field] for point in every if point["named"]] or [point[field] for point in every] or [0.0]
    return min(values), max(values)


def _roomy(low: float, high: float) -> tuple[float, float]:
    room = 0.06 * (high - low) or 0.01
    return low - room, high + room


def _words(path: Path) -> str:
    return ", ".join(name or "none" for name in path)


def _along(path: Path, axis: Axis) -> str:
    return f"{_words(path)}, by {axis.name}"


def _beyond(more: int) -> str:
    return f"; {more} more are left out here" if more else ""
