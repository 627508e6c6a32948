r"""The numbers of a table as commands of LaTeX, so that a paper's text never retypes one.

    \fbQuickstartDigitsConcatAccuracy   0.979 \pm 0.006, of strategy Concat on data set Digits in suite quickstart

A command's name has letters only, so digits are spelt: `CIFAR-10` is `CIFAROneZero`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from fusionbench.plan.suite import SAME_ENCODERS
from fusionbench.report.numbers import count, milliseconds, significant
from fusionbench.report.paper_columns import COUNTS, TIMES, half_text, mean_text
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.report.tested import heading, told
from fusionbench.report.titles import title, track_title
from fusionbench.report.typeset import escaped
from fusionbench.stats.estimate import Estimate

DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
PREFIX, PM = "fb", r" \pm "


def macros(table: Table) -> str:
    r"""A `\newcommand` a line: facts of the table, then every row's scores, sizes and times."""
    track = "" if table.track.name == SAME_ENCODERS else camel(track_title(table.track))
    start = PREFIX + camel(table.suite) + camel(table.title) + track
    lines: dict[str, str] = {}
    for name, value in _facts(table):
        lines[start + name] = value
    for row in table.rows:
        # Two names that differ in signs alone would be one command.
        base, again = start + camel(row.title), 0
        while any(f"{base}{name}" in lines for name, _ in _numbers(table, row)):
            again += 1
            base = f"{start}{camel(row.title)}No{camel(str(again + 1))}"
        lines |= {f"{base}{name}": value for name, value in _numbers(table, row)}
    head = (
        f"% Numbers of {escaped(table.title)}, suite {escaped(table.suite)}; \\input it before the text that uses them."
    )
    return "\n".join([head, *(rf"\newcommand{{\{name}}}{{{value}}}" for name, value in lines.items())]) + "\n"


def camel(words: str) -> str:
    """Letters alone: `Unimodal (left)` is `UnimodalLeft`, `GAP@20` is `GAPTwoZero`.

    >>> camel("macro-F1"), camel("youtube8m")
    ('MacroFOne', 'YoutubeEightM')
    """
    parts = re.findall(r"[A-Za-z]+|[0-9]", words)
    return "".join(DIGITS[int(part)] if part.isdigit() else part[:1].upper() + part[1:] for part in parts)


def _facts(table: Table) -> Iterator[tuple[str, str]]:
    yield "Seeds", str(len(table.seeds))
    yield "Strategies", str(len(table.rows))
    best = next((row for row in table.rows if row.best), None)
    if best:
        yield "Best", escaped(best.title)
    if found := table.tests.headline:
        titles = {row.strategy: row.title for row in table.rows}
        yield "Headline", escaped(titles[found.strategy])
        yield "HeadlineScore", _interval(told(found.estimate, table.metric))
        yield "Regret", significant(found.regret, 2)
    for family in table.tests.families:
        if family.detectable is not None:
            yield f"DetectableIn{camel(family.name)}", significant(family.detectable, 2)
    if table.latency:
        yield "Device", escaped(table.latency.device)
    for gain in table.admission.gains if table.admission else ():
        yield f"GainOf{camel(gain.of)}", _interval(gain.estimate)


def _numbers(table: Table, row: TableRow) -> Iterator[tuple[str, str]]:
    for name, found in row.scores.items():
        words = camel(title(name))
        yield words, _interval(found)
        yield f"{words}Mean", rf"\ensuremath{{{mean_text(found)}}}"
    for one in table.tests.references:
        if compared := one.of(row.strategy):
            yield camel(heading(one)), _interval(compared.estimate, "+")
    for words, key, _ in COUNTS.values():
        if row.size.get(key) is not None:
            yield words, count(row.size[key]).replace(" ", r"\,")
    for name, (_, scope, batch) in TIMES.items():
        ms = table.latency.median_ms(row.strategy, scope, batch) if table.latency else None
        if ms is not None:
            yield f"{camel(name.replace('_', ' '))}Ms", milliseconds(ms)


def _interval(found: Estimate, sign: Literal["", "+"] = "") -> str:
    half = half_text(found)
    numbers = [mean_text(found, sign), half] if half else [mean_text(found, sign)]
    return rf"\ensuremath{{{PM.join(numbers)}}}"
