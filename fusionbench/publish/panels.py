"""What a workspace and a report show of one table: ranked bars with intervals, costs, curves, parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fusionbench.core.scores import lower_is_better
from fusionbench.publish.charts import BARS, CLOSE, FIELDS, Chart
from fusionbench.publish.mirror import TAG_LENGTH, fitted
from fusionbench.publish.summaries import RANKED, SUMMARY, TABLE, table_group
from fusionbench.publish.workspaces import Condition, expr, fit_title, only, wr, ws
from fusionbench.report.layout import markdown
from fusionbench.report.tables import Table
from fusionbench.report.titles import directed, title

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#6B6B6B", "#332288", "#882255", "#117733")
"""Of Okabe and Ito, then of Tol: told apart by colour-blind readers; with more strategies they come again."""
PLAIN = "wandb/bar/v0"
"""W&B's own bars, without intervals."""
WIDE, HALF = 24, 12
"""Columns of a report's grid."""
GROUPED: dict[str, Any] = {"groupby": "JobType", "groupby_aggfunc": "mean"}
"""By strategy."""

ChartIds = Mapping[str, str]
"""By a chart's name, the id under which the account has it; PLAIN where it takes none."""


def workspace(table: Table, entity: str, project: str, charts: ChartIds) -> ws.Workspace:
    """One table's runs, grouped by strategy."""
    ranking = f"mean/{table.metric}"
    names = [fitted(row.strategy, TAG_LENGTH) for row in table.rows]
    columns = [ranking, f"half_width/{table.metric}", "seeds", "cost/latency_ms", "cost/fusion_parameters"]
    made = ws.Workspace(
        entity=entity,
        project=project,
        name=view_title(table),
        sections=[
            _section("Ranked, with 95 % intervals", ranked_panels(table, charts)),
            _section("Accuracy against cost", cost_panels(table)),
            _section("Learning curves", curve_panels(table)),
            _section("Parameters", parameter_panels(table)),
            _section("The table", [wr.MarkdownPanel(markdown=markdown(table))], columns=1),
        ],
        settings=ws.WorkspaceSettings(max_runs=max(10, len(names))),
        runset_settings=ws.RunsetSettings(
            groupby=[expr.Metric("JobType")],
            order=[expr.Ordering(expr.Summary(ranking), ascending=lower_is_better(table.metric))],
            group_colors={name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)},
            pinned_columns=[f"summary:{name}" for name in columns],
        ),
    )
    only(made, [_of(table)])
    return made


def blocks(table: Table, entity: str, project: str, charts: ChartIds) -> list[Any]:
    """One table's part of a report."""
    ranking = wr.OrderBy(wr.SummaryMetric(f"mean/{table.metric}"), ascending=lower_is_better(table.metric))

    def runs(name: str, tag: str, *, order: wr.OrderBy | None = None, groups: Sequence[str] = ()) -> wr.Runset:
        first = order or wr.OrderBy("Name", ascending=True)
        made = wr.Runset(entity=entity, project=project, name=name, order=[first], groupby=list(groups))
        only(made, [_of(table), ("tags", "IN", [tag])])
        return made

    height = min(40, 6 + len(table.rows) // 2)
    return [
        wr.H1(text=fit_title(table.title)),
        wr.MarkdownBlock(text=markdown(table)),
        wr.H2(text="Ranked, with 95 % intervals"),
        wr.PanelGrid(runsets=[runs("table", TABLE)], panels=_laid_out(ranked_panels(table, charts), height)),
        wr.H2(text="Accuracy against cost, and parameters"),
        wr.PanelGrid(
            runsets=[runs("strategies", SUMMARY, order=ranking)],
            panels=_laid_out([*cost_panels(table), *parameter_panels(table)], 10),
        ),
        wr.H2(text="Learning curves"),
        wr.PanelGrid(
            runsets=[runs("seeds", "final", groups=["run.jobType"])], panels=_laid_out(curve_panels(table), 10)
        ),
        wr.H2(text="Every number"),
        wr.PanelGrid(
            runsets=[runs("table", TABLE)],
            panels=_laid_out(
                [wr.WeavePanelSummaryTable(table_name=name) for name in ("strategies", "seeds")], 16, WIDE
            ),
        ),
    ]


def view_title(table: Table) -> str:
    """What its workspace is called."""
    return fit_title(f"fusionbench: {table_group(table).replace('/', ', ')}")


def ranked_panels(table: Table, charts: ChartIds) -> list[Any]:
    """Bars from zero, and intervals from close by; W&B's own bars where the account takes no charts."""
    return [_chart(chart, charts[chart.name], table) for chart in (BARS, CLOSE) if charts[chart.name] != PLAIN] or [
        _chart(BARS, PLAIN, table)
    ]


def cost_panels(table: Table) -> list[Any]:
    """The score against latency, where it was measured, and against parameters: a point for each strategy."""
    costs = {"cost/latency_ms": "latency of one sample, median ms", "cost/fusion_parameters": "fusion parameters"}
    shown = {name: words for name, words in costs.items() if table.latency or name != "cost/latency_ms"}
    return [
        wr.ScatterPlot(
            title=f"{title(table.metric)} against {words}",
            x=wr.SummaryMetric(name),
            y=wr.SummaryMetric(f"mean/{table.metric}"),
            log_x=True,
            legend_template="${run:displayName}",
        )
        for name, words in shown.items()
    ]


def curve_panels(table: Table) -> list[Any]:
    """Mean over seeds of each strategy, from the lowest seed to the highest."""
    validation = table.metric.replace("test/", "validation/", 1)
    return [
        wr.LinePlot(
            title=words,
            x="Step",
            y=[name],
            title_x="epoch",
            groupby_rangefunc="minmax",
            max_runs_to_show=max(10, len(table.rows)),
            **GROUPED,
        )
        for name, words in ((validation, f"validation {title(validation)}"), ("train/loss", "training loss"))
    ]


def parameter_panels(table: Table) -> list[Any]:
    """What each strategy's fusion and encoders have."""
    many = max(10, len(table.rows))
    return [
        wr.BarPlot(title=words, metrics=[name], max_runs_to_show=many, max_bars_to_show=many, **GROUPED)
        for name, words in (
            ("cost/fusion_parameters", "fusion parameters"),
            ("cost/encoder_parameters", "encoder parameters"),
        )
    ]


def _of(table: Table) -> Condition:
    return ("group", "=", table_group(table))


def _chart(chart: Chart, found: str, table: Table) -> Any:
    fields = {"label": "strategy", "value": "mean"} if found == PLAIN else {name: name for name in FIELDS}
    words = {"title": f"{table.name}: {chart.title}", "metric": f"test {directed(table.metric)}"}
    query = {"summaryTable": {"tableKey": RANKED}}
    return wr.CustomChart(query=query, chart_name=found, chart_fields=fields, chart_strings=words)


def _section(name: str, panels: list[Any], columns: int = 2) -> ws.Section:
    layout = ws.SectionLayoutSettings(columns=columns, rows=1)
    return ws.Section(name=name, panels=panels, is_open=True, layout_settings=layout)


def _laid_out(panels: list[Any], height: int, width: int = HALF) -> list[Any]:
    """From left to right, row by row."""
    beside = WIDE // width
    for number, panel in enumerate(panels):
        x, y = number % beside * width, number // beside * height
        panel.layout = wr.Layout(x=x, y=y, w=width, h=height)
    return panels
