"""The words that say what a table's numbers claim: its intervals, what was tested and how, what it could have shown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from textwrap import shorten

from fusionbench.core.output import printable
from fusionbench.core.scores import lower_is_better, score_of
from fusionbench.report.numbers import has_interval, score, significant
from fusionbench.report.tables import Table
from fusionbench.report.tested import heading, told
from fusionbench.report.titles import extreme, title
from fusionbench.stats.estimate import Estimate
from fusionbench.stats.families import Family
from fusionbench.stats.headline import Headline
from fusionbench.stats.references import Against
from fusionbench.stats.standing import EXPLORATORY_BELOW, standing

LONGEST = 160
"""Letters of a reason."""
MARKUP = re.compile(r"[\\`*\[\]<>|#~]")
"""What a page takes for more than a letter."""


def headline(table: Table) -> Iterator[str]:
    """The line that a data set's page begins with: the row that validation picks, and its regret."""
    found = table.tests.headline
    if found is None:
        return
    yield (
        f"Headline: of {found.among} rows validation picks `{found.strategy}`, test {title(table.metric)} "
        f"{score(told(found.estimate, table.metric))}; {_regret(found, extreme(table.metric))}."
    )


def intervals(table: Table, shown: Sequence[str]) -> Iterator[str]:
    """What ± is of the scores that are shown, over how many seeds, and what these may claim."""
    counts = sorted({row.done for row in table.rows if row.done})
    if not counts:
        yield "No run is done yet."
        yield from _next(table)
        return
    seeds = f"{counts[0]} to {counts[-1]} seeds" if len(counts) > 1 else f"{counts[0]} seed{'s' * (counts[0] > 1)}"
    claim = standing(counts[0])
    claim += f": fewer than {EXPLORATORY_BELOW}" if claim == "exploratory" else ""
    said = f" ({claim})" if claim else ""
    if counts[-1] == 1:
        yield f"Scores, without an interval, of {seeds}{said}."
        return
    shown = [name for name in shown if _estimates(table, name)]
    known = [title(name) for name in shown if any(one.test_error is not None for one in _estimates(table, name))]
    alone = [title(name) for name in shown if title(name) not in known]
    if not known:
        yield f"Mean ± half-width of the 95 % t interval over {seeds}{said}."
    else:
        others = f"; {', '.join(alone)}: over seeds alone" if alone else ""
        yield f"Mean ± half-width of the 95 % interval over {seeds} and test rows{said}{others}."
    if any(one.n > 1 and not has_interval(one) for name in shown for one in _estimates(table, name)):
        yield "A score without ± showed no spread at all."


def _next(table: Table) -> Iterator[str]:
    """What to do where nothing is done."""
    states = {outcome.state for row in table.rows for outcome in row.outcomes}
    ended = [state for state in ("failed", "diverged", "skipped") if state in states]
    if ended:
        again = ",".join(ended)
        yield f"Once what the notes say is mended, `fusionbench run {table.suite} --again {again}` does them anew."
    else:
        yield f"`fusionbench run {table.suite}` does them."


def tests(table: Table) -> Iterator[str]:
    """What is bold or marked, what was tested and how, and the smallest difference that could have been shown."""
    found = table.tests
    tested = [one for one in found.families if one.is_tested]
    for one in found.families:
        yield from _family(table, one)
    yield from _references(table, [o for o in found.references if any(row.p is not None for row in o.compared)])
    if not tested and any(row.best for row in table.rows):
        which = "the best mean" if table.holds else f"the {extreme(table.metric)} mean"
        yield f"Bold: {which}; rows are not tested against one another here."


def marks(table: Table) -> Iterator[str]:
    """What a terminal shows of that: the signs alone."""
    for one in table.tests.families:
        sign = table.tests.sign(one)
        if any(row.mark == sign for row in table.rows):
            yield f"{sign}: not told apart from the {extreme(table.metric)} mean of family {one.name}."


def _family(table: Table, found: Family) -> Iterator[str]:
    if not found.is_tested:
        if any(row.done for row in table.rows):
            why = "; ".join(dict.fromkeys(found.left_out.values())) or "none of its rows is here"
            yield f"Family {found.name} is not tested: {why}."
            yield from _skipped(found)
        return
    bold = any(row.best and row.strategy in found.best for row in table.rows)
    which = f"the {extreme(table.metric)} mean"
    best = f"bold {which}, {{}} not told apart from it" if bold else f"{{}} not told apart from {which}"
    how = {
        "tukey": "seed-blocked Tukey at .05 for all pairs together, no pair with less than its own two rows' error",
        "holm": (
            "paired t tests with Holm's correction at .05 for all pairs together, since spreads differ (Brown-Forsythe "
            f"p = {significant(found.unlike, 2)})"
        ),
    }
    yield (
        f"Family {found.name} ({len(found.strategies)} strategies, all pairs, {len(found.seeds)} seeds): "
        f"{best.format(table.tests.sign(found))}, by {how[found.method]}; "
        f"errors of seeds{' and test rows' if found.has_rows else ' alone'}."
    )
    if found.detectable is not None:
        yield f"Smallest difference that it would show with 80 % power: {_shown(found.detectable, table.metric)}."
    reasons: dict[str, list[str]] = {}
    for row, why in found.left_out.items():
        reasons.setdefault(why, []).append(f"`{row}`")
    if reasons:
        stated = "; ".join(f"{', '.join(rows)} ({why})" for why, rows in reasons.items())
        yield f"Tested on no pair of it: {stated}."
    yield from _skipped(found)


def _skipped(found: Family) -> Iterator[str]:
    """The rows that a suite names and these data do not allow; notes have long reasons whole."""
    if found.skipped:
        reasons = {row: MARKUP.sub("", printable(why)) for row, why in found.skipped.items()}
        stated = ", ".join(f"`{row}` (skipped: {shorten(why, LONGEST)})" for row, why in reasons.items())
        yield f"Named in family {found.name} and no part of it here: {stated}."


def _shown(difference: float, metric: str) -> str:
    """A smallest difference; what no two scores can differ by is none."""
    known = score_of(metric)
    return "none" if difference >= known.most - known.least else significant(difference, 2)


def _references(table: Table, found: list[Against]) -> Iterator[str]:
    if not found:
        return
    names = ", ".join(f"{heading(one)} (`{one.reference}`, {one.role})" for one in found)
    counts = sorted({sum(row.p is not None for row in one.compared) for one in found})
    rows = " or ".join(map(str, counts))
    yield (
        f"Differences {names}: paired by seed and test row, ± half-width of each one's own 95 % interval; "
        f"* not 0 at .05, by Holm's correction over {rows} rows{'; + is better' * lower_is_better(table.metric)}."
    )
    powers = [f"{_shown(one.detectable, table.metric)} {heading(one)}" for one in found if one.detectable is not None]
    if powers:
        yield f"Smallest difference of a fusion strategy that would be shown with 80 % power: {', '.join(powers)}."


def _estimates(table: Table, name: str) -> list[Estimate]:
    return [row.scores[name] for row in table.rows if name in row.scores]


def _regret(found: Headline, best: str) -> str:
    if found.highest == found.strategy:
        return f"it has the {best} test mean too: no regret"
    return f"regret {significant(found.regret, 2)}, to the {best} test mean (`{found.highest}`)"
