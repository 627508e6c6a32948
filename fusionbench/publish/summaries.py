"""What several seeds come to, as runs of their own beside those of the seeds: W&B has no interval of a group.

One run for each strategy of a table; one that holds the table itself; one for the suite, with its results folder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from fusionbench.core.canonical import short_key
from fusionbench.core.contents import content_sha256
from fusionbench.core.files import is_hidden
from fusionbench.plan.names import track_label
from fusionbench.plan.suite import Suite
from fusionbench.publish.mirror import NAME_LENGTH, TAG_LENGTH, Bundle, Mirror, Rows, fitted, group_of
from fusionbench.records.store import WANDB, Store
from fusionbench.report.csvs import SIZES, seed_rows, strategy_rows
from fusionbench.report.latency import Scope
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.stats.estimate import Estimate

SUMMARY, TABLE, RESULTS = "summary-run", "table-run", "results-run"
"""Tags that tell these runs from those of seeds."""
TABLES_HOST = "results"
"""What stands where a seed's run names the hash of its machine: W&B would else take this machine's name."""
RANKED = "ranked"
"""The wandb.Table that charts are drawn from."""
_LEFT_HERE = re.compile(r"\.(npz|wandb|lock|held|log|tmp)$|\.(invalid|version)-")
"""Files that are no results, or too large to be asked for: predictions."""


def interval(row: TableRow, score: str) -> Estimate | None:
    """Mean, half-width of the 95 % interval and number of seeds, as tables show them: nothing here takes another."""
    return row.scores.get(score)


def table_runs(suite: Suite, store: Store, tables: Sequence[Table]) -> dict[Path, Mirror]:
    """All of them, by the file that says what was sent of each: below W&B's own, since they belong to no record."""
    found = [summary_run(table, row) for table in tables for row in table.rows]
    found += [*(table_run(table) for table in tables), results_run(suite, store)]
    return {store.root / WANDB / "sent" / f"{one.id}.{WANDB}": one for one in found}


def table_group(table: Table) -> str:
    """The group of the table's runs."""
    return group_of(table.suite, table.name, track_label(table.track))


def summary_run(table: Table, row: TableRow) -> Mirror:
    """One strategy over its seeds."""
    track = track_label(table.track)
    numbers = {**_means(row), **_costs(table, row), "seeds": row.done, "planned": len(row.outcomes)}
    states = [outcome.state for outcome in row.outcomes]
    facts = {"best": row.best, "front": row.front, "comparable": row.comparable}
    return Mirror(
        id=f"{table.suite}-summary-{short_key([table.name, track, row.strategy])}",
        group=table_group(table),
        job_type=fitted(row.strategy, TAG_LENGTH),
        name=fitted(f"{row.strategy}, {row.done} seeds", NAME_LENGTH),
        tags=tuple(fitted(tag, TAG_LENGTH) for tag in (table.name, row.strategy, track, SUMMARY)),
        host=TABLES_HOST,
        config={
            **_named(table, SUMMARY),
            "strategy": row.strategy,
            "fidelity": row.fidelity,
            "interaction": row.interaction,
        },
        curves=[numbers],  # Some of W&B's panels read what was logged, some the summary.
        summary={**numbers, **facts, **{state: states.count(state) for state in sorted(set(states))}},
    )


def table_run(table: Table) -> Mirror:
    """The table: `ranked` for charts, `strategies` and `seeds` with all that the CSV files hold."""
    track = track_label(table.track)
    tables = {RANKED: ranked(table), "strategies": strategy_rows(table), "seeds": seed_rows(table)}
    return Mirror(
        id=f"{table.suite}-table-{short_key([table.name, track])}",
        group=table_group(table),
        job_type="table",
        name=fitted(f"table of {table.name}, {track}", NAME_LENGTH),
        tags=tuple(fitted(tag, TAG_LENGTH) for tag in (table.name, track, TABLE)),
        host=TABLES_HOST,
        config=_named(table, TABLE),
        curves=[],
        summary={"strategies_compared": len(table.rows)},
        tables={name: _rows(found) for name, found in tables.items() if found},
    )


def results_run(suite: Suite, store: Store) -> Mirror:
    """The suite's folder as an artifact: records, measures, resamples, tables and pictures; no predictions."""
    paths = sorted(path for path in store.root.rglob("*") if path.is_file() and _is_result(path, store.root))
    files = {path.relative_to(store.root).as_posix(): content_sha256(str(path)) for path in paths}
    name = re.sub(r"[^\w.-]", "-", suite.name, flags=re.ASCII)
    return Mirror(
        id=f"{suite.name}-results",
        group=fitted(suite.name, NAME_LENGTH),
        job_type="results",
        name=fitted(f"results of {suite.name}", NAME_LENGTH),
        tags=(RESULTS,),
        host=TABLES_HOST,
        config={"suite": suite.name, "role": RESULTS},
        curves=[],
        summary={"files": len(files)},
        bundle=Bundle(f"{name}-results", "results", store.root, files),
    )


def ranked(table: Table) -> list[dict[str, Any]]:
    """A line for each strategy that has a score, best first: what charts show, under names that Vega takes as such."""
    found: list[dict[str, Any]] = []
    for row in table.rows:
        score = interval(row, table.metric)
        if score is None:
            continue
        half = score.half_width or 0.0
        costs = _costs(table, row)
        found.append(
            {
                "rank": len(found) + 1,
                "strategy": row.strategy,
                "mean": score.mean,
                "half_width": score.half_width,
                "low": score.mean - half,
                "high": score.mean + half,
                "seeds": score.n,
                **{
                    name: costs.get(f"cost/{name}")
                    for name in ("latency_ms", "fusion_parameters", "encoder_parameters")
                },
                "front": row.front,
                "close": row.uses != "none",
            }
        )
    return found


def _named(table: Table, role: str) -> dict[str, Any]:
    track = track_label(table.track)
    return {"suite": table.suite, "dataset": table.name, "track": track, "role": role, "metric": table.metric}


def _means(row: TableRow) -> dict[str, float]:
    """By `mean/test/accuracy`, `half_width/...`, `low/...`, `high/...`; without an interval at one seed."""
    found: dict[str, float] = {}
    for name in sorted(row.scores):
        score = interval(row, name)
        assert score is not None
        found[f"mean/{name}"] = score.mean
        if score.half_width is not None:
            ends = {"low": score.mean - score.half_width, "high": score.mean + score.half_width}
            found |= {f"half_width/{name}": score.half_width} | {f"{end}/{name}": value for end, value in ends.items()}
    return found


def _costs(table: Table, row: TableRow) -> dict[str, float]:
    """Counts of parameters and FLOPs, bytes, joules, median milliseconds of one sample, mean seconds of training."""
    found = {f"cost/{name}": float(row.size[name]) for name in SIZES if row.size.get(name) is not None}
    found |= {f"cost/{name}": value for name, value in row.costs.items()}
    scopes: dict[str, Scope] = {"latency_ms": "end_to_end", "fusion_latency_ms": "fusion"}
    for name, scope in scopes.items():
        median = table.latency.median_ms(row.strategy, scope, 1) if table.latency else None
        found |= {} if median is None else {f"cost/{name}": median}
    seconds = [outcome.record.train_seconds for outcome in row.outcomes if outcome.record and outcome.state == "done"]
    return found | ({"cost/train_seconds": fmean(seconds)} if seconds else {})


def _rows(found: Sequence[Mapping[str, Any]]) -> Rows:
    columns = list(dict.fromkeys(name for row in found for name in row))
    return Rows(columns, [[row.get(name) for name in columns] for row in found])


def _is_result(path: Path, root: Path) -> bool:
    below = path.relative_to(root)
    return below.parts[0] != WANDB and not is_hidden(path.name) and not _LEFT_HERE.search(path.name)
