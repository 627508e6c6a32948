"""A workspace for each table and a report for the suite: written as JSON first, then saved with W&B.

<results>/<suite>/wandb/dashboard/workspace-<n>.json, report.json  as sent, but for what only the server knows:
                                                                   whose project it is, and its number
                                  chart-<n>.json                   Vega-Lite specs
                                  sent.json                        by place, the ids under which they were saved

A workspace of W&B is a saved view of a project: each shows the runs of one table, grouped by strategy.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fusionbench.core.canonical import sha256_of
from fusionbench.core.errors import UserError
from fusionbench.core.files import write_over
from fusionbench.publish.charts import CHARTS
from fusionbench.publish.panels import PLAIN, ChartIds, blocks, workspace
from fusionbench.publish.places import Target
from fusionbench.publish.sending import account_here, alone, one_line, set_up
from fusionbench.publish.summaries import table_group
from fusionbench.publish.workspaces import (
    fit_title,
    report_json,
    same_ids,
    save_report,
    save_view,
    view_json,
    wr,
)
from fusionbench.records.store import WANDB, Store
from fusionbench.report.tables import Table

FOLDER = "dashboard"
TITLE_LENGTH = 128


@dataclass
class Saved:
    """What came of saving."""

    urls: list[str] = field(default_factory=list)
    """Of the report, then of the workspaces."""
    changed: int = 0
    """How many of them were sent: the others are there already, just so."""
    plain: str = ""
    """Why bars have no intervals: the account takes no charts; empty if it does."""


def write_files(store: Store, tables: Sequence[Table], project: str) -> list[Path]:
    """Write what would be sent.

    Returns:
        The paths: the report's, the workspaces', the charts'.
    """
    folder = store.root / WANDB / FOLDER
    charts = {chart.name: chart.name for chart in CHARTS}
    found: dict[str, Any] = {"report": _report_json(tables, "", project, charts)}
    for number, table in enumerate(tables, 1):
        with same_ids(table_group(table)):
            found[f"workspace-{number}"] = view_json(workspace(table, "", project, charts))
    found |= {f"chart-{number}": {"name": one.name, "spec": one.spec} for number, one in enumerate(CHARTS, 1)}
    for name, content in found.items():
        write_over(folder / f"{name}.json", _text(content))
    return [folder / f"{name}.json" for name in found]


def save(store: Store, tables: Sequence[Table], target: Target) -> Saved:
    """Save all of it with W&B, in the place of what was saved there before.

    Args:
        store: says what was saved, and remembers it.
        tables: of one suite.
        target: a server; the project holds the runs by now.

    Raises:
        UserError: the server does not take it; what it took until then is remembered.
    """
    with alone(store), set_up(store, target):
        import wandb

        wandb.login(prompt=False, verify=False)
        try:
            entity = target.entity or wandb.Api().default_entity
            if not entity:
                raise UserError("the account has no entity of its own; name one with --wandb-entity")
            return _save(store, tables, entity, target)
        except Exception as error:
            folder = store.root / WANDB / FOLDER
            why = f"the runs are there, but not the report and all workspaces: {one_line(error)}"
            raise UserError(f"W&B: {why} (kept as JSON in {folder})") from error


def _save(store: Store, tables: Sequence[Table], entity: str, target: Target) -> Saved:
    path = store.root / WANDB / FOLDER / "sent.json"
    known = _known(path)
    here = known.setdefault(target.place(account_here()), {})
    saved = Saved()
    charts = _chart_ids(entity, here, saved)
    for name, content, saving in _parts(tables, entity, target.project, charts):
        before, digest = here.get(name, {}), sha256_of(content)
        if before.get("sha256") != digest:
            here[name] = {**saving(before), "sha256": digest}
            saved.changed += 1
            write_over(path, _text(known))
        saved.urls.append(here[name]["url"])
    return saved


def _parts(tables: Sequence[Table], entity: str, project: str, charts: ChartIds) -> Iterator[tuple[str, Any, Any]]:
    """Name, what is sent of it, and what sends it."""
    yield (
        "report",
        _report_json(tables, "", project, charts),
        lambda before: save_report(_report(tables, entity, project, charts), before),
    )
    for table in tables:
        with same_ids(table_group(table)):
            made = workspace(table, entity, project, charts)
            content = view_json(made)
        yield table_group(table), content, lambda before, made=made: save_view(made, before)


def _report_json(tables: Sequence[Table], entity: str, project: str, charts: ChartIds) -> dict[str, Any]:
    return report_json(_report(tables, entity, project, charts))


def _report(tables: Sequence[Table], entity: str, project: str, charts: ChartIds) -> wr.Report:
    suite = tables[0].suite
    text = (
        f"Made by `fusionbench dashboard {suite}` from the records alone; the same command makes it anew. Means and "
        "intervals are those of the tables: W&B has none of its own for a group. The tables, records and pictures are "
        f"the artifact `{suite}-results`."
    )
    with same_ids(suite):
        return wr.Report(
            project=project,
            entity=entity,
            title=fit_title(f"fusionbench {suite}")[:TITLE_LENGTH],
            description="Strategies of multimodal fusion, compared",
            width="fluid",
            blocks=[
                wr.MarkdownBlock(text=text),
                wr.TableOfContents(),
                *(block for table in tables for block in blocks(table, entity, project, charts)),
            ],
        )


def _chart_ids(entity: str, here: dict[str, Any], saved: Saved) -> ChartIds:
    """Save those charts that are not known to be there."""
    import wandb

    for chart in CHARTS:
        if chart.name in here:
            continue
        try:
            found = wandb.Api().create_custom_chart(
                entity=entity,
                name=chart.name,
                display_name=f"fusionbench: {chart.title}",
                spec_type="vega2",
                access="private",
                spec=chart.spec,
            )
        except Exception as error:  # noqa: BLE001  (wandb has no one class for what it raises)
            saved.plain = one_line(error)
            continue
        here[chart.name] = {"id": found}
    return {chart.name: here.get(chart.name, {}).get("id", PLAIN) for chart in CHARTS}


def _known(path: Path) -> dict[str, Any]:
    """What was saved; empty if nothing was, or if nobody can say."""
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(content: Any) -> bytes:
    return (json.dumps(content, sort_keys=True, indent=1) + "\n").encode()
