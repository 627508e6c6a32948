"""The page of the track `tuned`: every strategy by default and tuned side by side, and what its search chose."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from fusionbench.core.scores import lower_is_better
from fusionbench.plan.names import own_label
from fusionbench.report.layout import ESCAPED
from fusionbench.report.notes import BAD
from fusionbench.report.numbers import SMALLEST, difference, score, significant
from fusionbench.report.titles import title
from fusionbench.report.tuned_captions import caption, gains, order, picture_caption
from fusionbench.report.tuned_rows import TunedRow, Tuning, Way
from fusionbench.stats.estimate import Estimate

Cell = Callable[[TunedRow], str]
DASH = "-"


def tuned_page(found: Tuning, picture: str = "") -> str:
    """The table as Markdown, with its captions and the picture of the searches.

    Args:
        found: what to show.
        picture: file name of the picture, beside the page; empty for none.
    """
    columns = list(_columns(found))
    first = [*gains(found), *order(found)]
    lines = [
        f"## Default and tuned: {found.title.translate(ESCAPED)}, suite {found.suite}",
        "",
        *([*first, ""] if first else []),
        _line(["strategy", *(heading for heading, _ in columns)]),
        _line([":--", *(":--" if heading == "own options" else "--:" for heading, _ in columns)]),
        *(_line([f"`{row.strategy}`", *(cell(row) for _, cell in columns)]) for row in found.rows),
        "",
        *caption(found),
    ]
    if picture:
        words = f"best validation {title(found.metric)} against the number of points tried"
        lines += ["", f"![{words}]({picture})", "", *filter(None, picture_caption(found))]
    return "\n".join(lines) + "\n"


def _columns(found: Tuning) -> Iterator[tuple[str, Cell]]:
    """Headings and cells; those that would be empty are left out."""
    metric, better = title(found.metric), " (+ is better)" * lower_is_better(found.metric)
    if found.default:
        yield f"default {metric}", lambda row: _mean(row, row.default)
    yield f"tuned {metric}", lambda row: _mean(row, row.tuned)
    if found.default:
        yield f"tuned less default{better}", lambda row: _signed(row.gain)
    yield "winner's spread over seeds", lambda row: _small(row.seed_spread(row.tuned) if row.tried else None)
    yield "winner's spread over searches", lambda row: _small(row.search[-1].spread if row.search else None)
    for name in ("learning_rate", "weight_decay", "dropout"):
        yield name.replace("_", " "), partial(_chosen, name)
    if any(row.chosen.get("own") for row in found.rows):
        yield "own options", lambda row: own_label(_own(row)).removeprefix(", ").translate(ESCAPED) or DASH
    yield "trials that ended well", _trials


def _mean(row: TunedRow, way: Way | None) -> str:
    """The test score; what went wrong where something did."""
    states = [outcome.state for outcome in way.outcomes] if way else []
    worst = next((state for state in BAD if state in states), None)
    found = row.mean(way)
    if found is None:
        return worst or DASH
    text = score(found)
    return text if worst is None else f"{text} ({states.count(worst)} {worst})"


def _signed(found: Estimate | None) -> str:
    return DASH if found is None else difference(found)


def _small(value: float | None) -> str:
    """Two digits; one that is smaller than what scores are written with is only said to be that."""
    if value is None:
        return DASH
    return significant(value, 2) if value == 0 or value >= SMALLEST else f"below {SMALLEST:.6f}"


def _chosen(name: str, row: TunedRow) -> str:
    return f"{row.chosen[name]:.3g}" if name in row.chosen else DASH


def _own(row: TunedRow) -> Mapping[str, Any]:
    own = row.chosen.get("own", {})
    return own if isinstance(own, Mapping) else {}


def _trials(row: TunedRow) -> str:
    """`31/32`; a dash where nothing is tuned."""
    records = [record for one in row.tried for _, record in one.trials]
    done = sum(record is not None and record.status == "done" for record in records)
    return f"{done}/{len(records)}" if records else DASH


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
