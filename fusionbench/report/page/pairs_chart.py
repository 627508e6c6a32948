"""The interactive matrix of a family's pairs: by how much the row is above the column, and which differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isinf

import altair as alt

from fusionbench.core.scores import score_of
from fusionbench.report.marks import METHODS
from fusionbench.report.numbers import significant
from fusionbench.report.page.looks import BLUE, GREY, Chart, Rows, scale_of, tips_of, with_data
from fusionbench.report.tables import Table
from fusionbench.report.titles import signed
from fusionbench.stats.families import Family

STEP = 22


def pairs_chart(table: Table) -> Chart | None:
    """A matrix for each family that is tested; None where none is."""
    found = [one for one in table.tests.families if one.is_tested]
    if not found:
        return None
    unbounded = isinf(score_of(table.metric).most)
    words: Callable[[float], str] = significant if unbounded else lambda value: f"{100 * value:.1f}"
    titles = {row.strategy: row.title for row in table.rows}
    panels, data = [], {}
    for at, one in enumerate(found):
        panels.append(_matrix(one, [titles[name] for name in one.strategies], f"pairs{at}"))
        data[f"pairs{at}"] = _cells(one, titles, words)
    return Chart(
        "pairs",
        f"Test {signed(table.metric)}: row less column{'' if unbounded else ', in hundredths'}; filled: they differ at "
        ".05. Point at a cell for the interval.",
        with_data(alt.vconcat(*panels), data),
        sum(STEP * len(one.strategies) + 130 for one in found),
    )


def _matrix(found: Family, names: Sequence[str], data: str) -> alt.LayerChart:
    """The better one in the row: the half below the diagonal would say the same once more."""
    top = alt.Axis(orient="top", labelAngle=-90, labelLimit=200, ticks=False, domain=False, labelOverlap=False)
    left = alt.Axis(labelLimit=200, ticks=False, domain=False, labelOverlap=False)
    base = alt.Chart(alt.NamedData(data)).encode(
        x=alt.X("column:N", sort=list(names), title=None, axis=top),
        y=alt.Y("row:N", sort=list(names), title=None, axis=left),
    )
    tips = tips_of({"row": "row", "column": "column", "words": "row less column", "p": "p", "told": "so they"})
    fill = alt.Color(
        "told:N", title=None, legend=None, scale=scale_of({"differ": BLUE, "do not differ": "transparent"})
    )
    cells = base.mark_rect(stroke=GREY, strokeWidth=0.4, strokeOpacity=0.5).encode(color=fill, tooltip=tips)
    text = base.mark_text(fontSize=10.5).encode(text="short:N")
    filled = text.transform_filter(alt.datum.told == "differ").encode(color=alt.value("white"))
    others = text.transform_filter(alt.datum.told != "differ")
    words = f"{found.name}: {METHODS[found.method]}, {len(found.seeds)} seeds"
    heading = alt.Title(words, anchor="start", orient="bottom")
    return alt.layer(cells, filled, others).properties(title=heading, width=alt.Step(34), height=alt.Step(STEP))


def _cells(found: Family, titles: Mapping[str, str], words: Callable[[float], str]) -> Rows:
    names = [titles[name] for name in found.strategies]
    pairs = [(i, j) for i in range(len(names)) for j in range(i + 1, len(names))]
    return [
        {
            "row": names[i],
            "column": names[j],
            "short": words(float(found.mean[i, j])),
            "words": f"{found.mean[i, j]:+.4f} ± {found.half_width[i, j]:.4f}",
            "p": significant(float(found.p[i, j]), 2),
            "told": "differ" if found.differ[i, j] else "do not differ",
        }
        for i, j in pairs
    ]
