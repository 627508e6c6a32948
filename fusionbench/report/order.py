"""Does the order of a table hold? The page and its CSV: Kendall's tau between orders, and what follows from it."""

from __future__ import annotations

import csv
import io
from typing import Any

from fusionbench.plan.names import track_label
from fusionbench.report.comparisons import Comparison, verdict
from fusionbench.report.layout import ESCAPED, about
from fusionbench.report.tables import Table
from fusionbench.stats.order import TOP, Interval

HEAD = ("between", "strategies", "tau", f"tau of the {TOP} best", "of other strategies, too", "interval over")
DECIMALS = 4
"""In the CSV: an interval is simulated, and what the last bits of a sum are depends on the machine."""
WHAT = (
    "Kendall's tau-b of fusion strategies: 1 the same order, 0 none in common, -1 the reverse; [95 % interval]. "
    f"Of the {TOP} best: the mean of tau among those of the first order and among those of the second. An interval is "
    "about such a pair of orders with other seeds and other test rows of as many; the last but one is that of the "
    f"{TOP} best once more, about other strategies of the kind, too."
)


def order_page(table: Table) -> str:
    """The comparisons of a table as Markdown; empty where there is none to show."""
    if table.holds is None:
        return ""
    lines = [
        f"## Does the order hold? {about(table)}",
        "",
        f"| {' | '.join(HEAD)} |",
        f"| {' | '.join([':--', *['--:'] * 4, ':--'])} |",
        *(_line(comparison) for comparison in table.comparisons),
        "",
        WHAT,
        *verdict(table.comparisons),
    ]
    return "\n".join(lines) + "\n"


def order_csv(table: Table) -> str:
    """The same for machines."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    intervals = ("tau", "top_tau", "tau_wide", "top_tau_wide")
    ends = [f"{name}{end}" for name in intervals for end in ("", "_low", "_high")]
    writer.writerow(
        ["dataset", "track", "between", "suite", "differing", "strategies", *ends, "interval_over", "reason"]
    )
    for one in table.comparisons:
        found = one.agreement
        numbers = [value for interval in _intervals(one) for value in (interval.value, interval.low, interval.high)]
        cells: list[Any] = [round(value, DECIMALS) for value in numbers] or [""] * len(ends)
        names = (table.name, track_label(table.track), one.between, one.suite, "; ".join(one.differing))
        writer.writerow([*names, found.strategies if found else "", *cells, one.sources, one.reason])
    return buffer.getvalue()


def _line(one: Comparison) -> str:
    between = one.between + (f" ({'; '.join(one.differing)})" if one.differing else "")
    if one.agreement is None:
        return f"| {between.translate(ESCAPED)} | - | - | - | - | {one.reason.translate(ESCAPED)} |"
    every, best, _, wide = _intervals(one)
    cells = (_shown(every), _shown(best), _ends(wide), one.sources)
    return f"| {between.translate(ESCAPED)} | {one.agreement.strategies} | {' | '.join(cells)} |"


def _intervals(one: Comparison) -> list[Interval]:
    found = one.agreement
    return [found.all, found.top, found.all_wide, found.top_wide] if found else []


def _shown(interval: Interval) -> str:
    return f"{interval.value:.2f} {_ends(interval)}"


def _ends(interval: Interval) -> str:
    return f"[{interval.low:.2f}, {interval.high:.2f}]"
