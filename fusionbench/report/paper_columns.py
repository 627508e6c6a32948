r"""The columns of a table for a paper: their headings, and cells that siunitx aligns at the decimal point.

A score takes up to four columns of LaTeX: mean, plus-minus, half-width, and the sign of a row that is not told apart
from the best. Numbers of one column have one unit, which stands below its heading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from fusionbench.core.errors import UserError, unknown
from fusionbench.core.scores import lower_is_better
from fusionbench.report.latency import Scope
from fusionbench.report.numbers import PREFIXES, decimals, has_interval, significant
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.report.tested import LATE
from fusionbench.report.tested import heading as heading_of
from fusionbench.report.titles import title
from fusionbench.report.typeset import escaped
from fusionbench.stats.estimate import Estimate
from fusionbench.stats.references import Against

NOTHING = "{--}"
"""Braces: no number for siunitx."""
MOST = 4
"""Decimals of a score."""
UP, DOWN = r"$\uparrow$", r"$\downarrow$"
NARROW = ("strategy", "score", "parameters", "latency")
"""What fits one column of a two-column paper."""
WIDE = ("strategy", "score", "over_single", "over_late", "parameters", "flops", "latency")
"""What fits two."""
TIMES: Mapping[str, tuple[str, Scope, int]] = {
    "fusion_latency": ("Fusion", "fusion", 1),
    "latency": ("Time", "end_to_end", 1),
    "latency64": ("Time of 64", "end_to_end", 64),
}
COUNTS = {
    "parameters": ("Params", "fusion_parameters", DOWN),
    "encoders": ("Encoders", "encoder_parameters", ""),
    "flops": ("FLOPs", "flops_per_sample", DOWN),
    "disk": ("Disk", "disk_bytes", DOWN),
    "memory": ("Memory", "memory_bytes", DOWN),
    "energy": ("Energy", "processor_joules", DOWN),
    "gpu_energy": ("GPU energy", "device_joules", DOWN),
}
UNITS = {"disk_bytes": "B", "memory_bytes": "B", "processor_joules": "J", "device_joules": "J"}
"""Behind a prefix of 1000s; what is not here is a count."""
Sign = Literal["", "+"]


@dataclass(frozen=True)
class PaperColumn:
    """A heading over one or several columns of LaTeX."""

    heading: str
    specs: tuple[str, ...]
    """Of `tabular`, one for each column of LaTeX."""
    cells: tuple[tuple[str, ...], ...]
    """By row of the table, LaTeX, as many as there are specs."""
    unit: str = ""
    """In a line of its own below the heading."""

    def head(self, words: str) -> str:
        """The heading, or the unit, as a cell."""
        if len(self.specs) == 1:
            return f"{{{words}}}" if self.specs[0].startswith("S") else words
        return rf"\multicolumn{{{len(self.specs)}}}{{c}}{{{words}}}"


Maker = Callable[[], PaperColumn]


def known_columns(table: Table) -> tuple[str, ...]:
    """The names that `--columns` takes for a table: those that have something to show."""
    return tuple(_makers(table))


def paper_columns(table: Table, names: Sequence[str] = (), *, wide: bool = False) -> list[PaperColumn]:
    """The columns of those names, or those that a narrow or a wide table has.

    Raises:
        UserError: a name that no column of the table has.
    """
    makers = _makers(table)
    for name in names:
        if name not in makers:
            raise unknown("column", name, makers, "--columns")
    if len(set(names)) < len(names):
        raise UserError("--columns: a column is named twice")
    return [makers[name]() for name in names or (name for name in (WIDE if wide else NARROW) if name in makers)]


def mean_text(found: Estimate, sign: Sign = "") -> str:
    """The mean with as many decimals as its interval allows, at most four."""
    return f"{found.mean:{sign}z.{_places(found)}f}"


def half_text(found: Estimate) -> str:
    """The half-width, never as 0.0000: what is less than the last decimal is one of it; empty where there is none."""
    if found.half_width is None or not has_interval(found):
        return ""
    places = _places(found)
    return f"{max(found.half_width, 10.0**-places):.{places}f}"


def is_partial(row: TableRow) -> bool:
    """Whether a row has scores, and yet runs that did not end well."""
    return row.done > 0 and not row.comparable


def _makers(table: Table) -> dict[str, Maker]:
    """By name, what makes the column; only of columns that would not be empty."""
    return dict([*_of_scores(table), *_of_costs(table), *_of_facts(table)])


def _of_scores(table: Table) -> Iterator[tuple[str, Maker]]:
    """The strategy, the scores and their differences to the references."""
    yield "strategy", partial(_strategies, table)
    if table.metric:
        yield "score", partial(_score, table, table.metric)
    for one in table.tests.references:
        if any(row.p is not None for row in one.compared):
            yield "over_late" if one.role == LATE else "over_single", partial(_over, table, one)
    for name in sorted({name for row in table.rows for name in row.scores}):
        yield name.removeprefix("test/"), partial(_score, table, name)


def _of_costs(table: Table) -> Iterator[tuple[str, Maker]]:
    for name, (words, key, arrow) in COUNTS.items():
        if any(_counted(row, key) is not None for row in table.rows):
            yield name, partial(_count, table, words, key, arrow)
    for name, (words, scope, batch) in TIMES.items():
        if table.latency and any(key[1:] == (scope, batch) for key in table.latency.timings):
            yield name, partial(_time, table, words, scope, batch)


def _of_facts(table: Table) -> Iterator[tuple[str, Maker]]:
    if any("learning_rate" in row.fixed for row in table.rows):
        yield "learning_rate", partial(_words, "LR", [_rate(row) for row in table.rows], "r")
    for name in ("fidelity", "interaction"):
        yield name, partial(_words, name.title(), [str(getattr(row, name)) for row in table.rows])
    yield "seeds", partial(_words, "Seeds", [f"{row.done}/{len(row.outcomes)}" for row in table.rows], "r")
    if table.cost:
        yield "front", partial(_words, "Front", ["●" if row.front else "" for row in table.rows], "c")


def _strategies(table: Table) -> PaperColumn:
    """Names, marked where some runs did not end well."""
    return PaperColumn("Strategy", ("l",), tuple((escaped(row.title + "#" * is_partial(row)),) for row in table.rows))


def _score(table: Table, name: str) -> PaperColumn:
    """Where the score ranks, the best are bold, and those that are not told apart from them have a sign."""
    words, ranks = title(name), name == table.metric
    heading = f"{escaped(words[:1].upper() + words[1:])} {DOWN if lower_is_better(name) else UP}"
    bold = [ranks and row.best for row in table.rows]
    marks = [escaped(row.mark) if ranks else "" for row in table.rows]
    return _estimates(heading, [row.scores.get(name) for row in table.rows], bold, marks)


def _over(table: Table, found: Against) -> PaperColumn:
    """Differences to a reference; a star where one is not 0, corrected for how many there are."""
    compared = [found.of(row.strategy) for row in table.rows]
    stars = ["*" if one and (one.is_better or one.is_worse) else "" for one in compared]
    column = _estimates("", [one.estimate if one else None for one in compared], [False] * len(stars), stars, sign="+")
    return replace(column, heading=rf"{escaped(heading_of(found).capitalize())} {UP}")


def _estimates(
    heading: str, found: Sequence[Estimate | None], bold: Sequence[bool], marks: Sequence[str], sign: Sign = ""
) -> PaperColumn:
    """Means and half-widths with the decimals that the intervals allow, and a mark behind each."""
    means = [mean_text(one, sign) if one else "" for one in found]
    halves = [half_text(one) if one else "" for one in found]
    cells = [[_bold(mean, is_bold) or NOTHING for mean, is_bold in zip(means, bold, strict=True)]]
    specs = [_format(means)]
    if any(halves):
        cells += [[r"$\pm$" if half else "" for half in halves]]
        cells += [[_bold(half, is_bold) for half, is_bold in zip(halves, bold, strict=True)]]
        specs += [r"@{\,}c@{\,}", _format(halves)]
    if any(marks):
        cells += [list(marks)]
        specs += [r"@{\,}l"]
    return PaperColumn(heading, tuple(specs), tuple(zip(*cells, strict=True)))


def _count(table: Table, words: str, key: str, arrow: str) -> PaperColumn:
    """Three significant digits in one unit for all rows: that of the median."""
    values = [_counted(row, key) for row in table.rows]
    unit = _unit([value for value in values if value])
    texts = ["" if value is None else _in_unit(value / 1000**unit) for value in values]
    cells = tuple((text or NOTHING,) for text in texts)
    below = f"{PREFIXES[unit]}{UNITS.get(key, '')}"
    return PaperColumn(f"{words} {arrow}".strip(), (_format(texts),), cells, f"({below})" if below else "")


def _counted(row: TableRow, key: str) -> float | None:
    return row.costs.get(key) if key in UNITS else row.size.get(key)


def _time(table: Table, words: str, scope: Scope, batch: int) -> PaperColumn:
    assert table.latency is not None
    found = [table.latency.median_ms(row.strategy, scope, batch) for row in table.rows]
    texts = ["" if ms is None else _in_unit(ms, 3) for ms in found]
    return PaperColumn(f"{words} {DOWN}", (_format(texts),), tuple((text or NOTHING,) for text in texts), "(ms)")


def _words(heading: str, texts: Sequence[str], spec: str = "l") -> PaperColumn:
    return PaperColumn(heading, (spec,), tuple((escaped(text),) for text in texts))


def _rate(row: TableRow) -> str:
    return f"{row.fixed['learning_rate']:g}" if "learning_rate" in row.fixed and row.uses != "none" else "\u2013"


def _bold(text: str, is_bold: bool) -> str:
    return rf"\bfseries {text}" if is_bold and text else text


def _format(texts: Sequence[str]) -> str:
    """The `S` column in which all the numbers fit."""
    found = [text.lstrip("+-").partition(".") for text in texts if text and not text.startswith("{")]
    whole, part = (max((len(one[at]) for one in found), default=1) for at in (0, 2))
    sign = "-" if any(text.startswith(("-", "+")) for text in texts) else ""
    return f"S[table-format={sign}{whole}.{part}]"


def _places(found: Estimate) -> int:
    return min(MOST, decimals(found.half_width, found.mean))


def _unit(values: Sequence[float]) -> int:
    """The power of 1000 in which the median is from 1 to 1000."""
    middle = sorted(values)[len(values) // 2] if values else 0.0
    unit = 0
    while middle >= 1000 and unit < len(PREFIXES) - 1:
        middle, unit = middle / 1000, unit + 1
    return unit


def _in_unit(value: float, places: int = 2) -> str:
    """Three significant digits, at most so many decimals."""
    if value == 0:
        return "0"
    least = 10.0**-places
    return significant(value) if value >= 1 else f"{value:.{places}f}" if value >= least / 2 else f"{{$<${least:g}}}"
