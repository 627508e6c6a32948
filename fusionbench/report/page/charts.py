"""The interactive pictures of a table, as Vega-Lite: the same points, ends and marks as the pictures for papers.

All that is shown is computed by the report; a picture only places it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fusionbench.report.page.costs_chart import costs_chart
from fusionbench.report.page.curve_chart import curves_chart
from fusionbench.report.page.difference_chart import differences_chart
from fusionbench.report.page.front_chart import front_chart
from fusionbench.report.page.held_charts import held_charts
from fusionbench.report.page.looks import Chart
from fusionbench.report.page.measure_charts import reliability_chart, robustness_chart
from fusionbench.report.page.pairs_chart import pairs_chart
from fusionbench.report.tables import Table

CHARTS: tuple[Callable[[Table], Chart | None], ...] = (
    *(front_chart, differences_chart, pairs_chart, curves_chart),
    *(costs_chart, robustness_chart, reliability_chart),
)
"""In the order of a page."""


def charts(table: Table) -> Iterator[Chart]:
    """Those that a table has; what measures hold beside is last."""
    for draw in CHARTS:
        if (found := draw(table)) is not None:
            yield found
    yield from held_charts(table)
