"""Workspaces and reports list the best first, whichever way is better."""

from __future__ import annotations

from dataclasses import replace

import pytest
from published_suite import Published, made_up

from fusionbench.publish.charts import CHARTS
from fusionbench.publish.panels import PLAIN, blocks, workspace
from fusionbench.report.tables import tables

IDS = {chart.name: PLAIN for chart in CHARTS}


@pytest.mark.parametrize(("metric", "is_low"), [("test/accuracy", False), ("test/nll", True)])
def test_the_best_comes_first(made: Published, metric: str, is_low: bool) -> None:
    made.store.publish(made_up(made.runs[1], "done", 1))
    (table,) = tables(made.suite, made.store)
    table = replace(table, metric=metric)
    order = workspace(table, "us", "project", IDS).runset_settings.order
    assert [one.ascending for one in order] == [is_low]
    grids = [block for block in blocks(table, "us", "project", IDS) if type(block).__name__ == "PanelGrid"]
    ranked = [order for grid in grids for runs in grid.runsets for order in runs.order if "mean/" in str(order.name)]
    assert [one.ascending for one in ranked] == [is_low]
    (chart, *_) = [panel for grid in grids for panel in grid.panels if type(panel).__name__ == "CustomChart"]
    assert ("lower is better" in str(chart.chart_strings)) == is_low


def test_charts_are_in_the_order_of_the_table_not_of_the_numbers() -> None:
    for chart in CHARTS:
        assert chart.spec["encoding"]["y"]["sort"] == {"field": "${field:rank}", "order": "ascending"}
