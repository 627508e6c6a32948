"""Forms of trained models side by side: how fast, how large, how right, and why one could not be made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from fusionbench.core.output import printable
from fusionbench.report.csvs import text_of
from fusionbench.report.numbers import count, milliseconds
from fusionbench.report.titles import directed, title
from fusionbench.stats.measured import number

Session = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """One form of one model; what a session does not say as a number is None."""

    strategy: str
    form: str
    score: float | None
    apart: float | None
    """From the logits of the model as it was trained, at most."""
    bytes: float | None
    medians: Mapping[tuple[int, int], float]
    """Milliseconds, by batch size and threads."""
    reason: str


def lines_of(session: Session) -> list[Line]:
    """The session's, in its order; what is no line of one is left out."""
    found = session.get("forms")
    return [_line(session, one) for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def forms_table(session: Session) -> Table:
    """For a terminal."""
    lines, metric = lines_of(session), printable(str(session.get("metric", "")))
    columns = sorted({place for line in lines for place in line.medians})
    device, started = (printable(str(session.get(name, ""))) for name in ("device", "started"))
    shown = Table(title=Text(f"forms on {device}, {started[:10]}"), title_justify="left", box=SIMPLE_HEAD)
    for words in ("strategy", "form"):
        shown.add_column(words, no_wrap=True)
    threads = {place[1] for place in columns}
    for size, count_ in columns:
        more = f", {count_} threads" if len(threads) > 1 else ""
        shown.add_column(f"ms, batch {size}{more}", justify="right")
    for words in (directed(metric), "bytes", "logits apart"):
        shown.add_column(words, justify="right")
    shown.add_column("note", overflow="fold")
    for line in lines:
        times = [milliseconds(line.medians.get(place)) for place in columns]
        score = "-" if line.score is None else f"{line.score:.4f}"
        apart = "-" if line.apart is None else f"{line.apart:.0e}"
        shown.add_row(*map(Text, (line.strategy, line.form, *times, score, count(line.bytes), apart, line.reason)))
    return shown


def forms_csv(session: Session) -> str:
    """Unrounded, a line for each form, batch size and number of threads."""
    return text_of(_rows(session))


def _rows(session: Session) -> Iterator[dict[str, Any]]:
    metric = title(str(session.get("metric", "")))
    for line in lines_of(session):
        facts = {"strategy": line.strategy, "form": line.form, "metric": metric, "score": line.score}
        facts |= {"logits_apart": line.apart, "bytes": line.bytes, "reason": line.reason}
        for (size, threads), median in sorted(line.medians.items()):
            yield {**facts, "batch_size": size, "threads": threads, "median_ms": median}
        if not line.medians:
            yield facts


def _line(session: Session, found: Mapping[str, Any]) -> Line:
    strategy, form = (printable(str(found.get(name, ""))) for name in ("strategy", "form"))
    medians = {}
    rows = session.get("rows")
    for row in rows if isinstance(rows, list) else ():
        place = number(row, "batch_size"), number(row, "threads")
        median = number(row, "median_ms")
        if None not in (*place, median) and (row.get("strategy"), row.get("form")) == (strategy, form):
            medians[int(place[0] or 0), int(place[1] or 0)] = float(median or 0.0)
    return Line(
        strategy,
        form,
        number(found, "scores", str(session.get("metric", ""))),
        number(found, "logits_apart"),
        number(found, "bytes"),
        medians,
        printable(str(found.get("reason", ""))),
    )
