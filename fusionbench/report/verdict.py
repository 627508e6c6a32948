"""Which strategy of a table is the best, by how much, and whether that is more than luck: in a sentence or two."""

from __future__ import annotations

from fusionbench.core.scores import lower_is_better
from fusionbench.report.admission import Admission, Chosen, Gain
from fusionbench.report.numbers import score
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.report.titles import extreme, title
from fusionbench.stats.estimate import Estimate
from fusionbench.stats.standing import standing


def best(table: Table) -> str:
    """The fusion that validation picks, and what it gains over the best single modality.

    Picked on validation, not by the largest of many test scores, which is partly luck. Where no fusion or no single
    modality is there, the row with the highest mean.
    """
    found = table.admission
    if found is not None:
        return f"{table.title}: {_picked(found, table.metric)}"
    rows = [row for row in table.rows if row.comparable and table.metric in row.scores]
    if not rows:
        return f"{table.title}: no strategy is done without a run that failed or diverged, so none is the best."
    return f"{table.title}: {_highest(rows[0], len(rows), table)}"


def _picked(found: Admission, metric: str) -> str:
    fusion = next(one for one in found.chosen if one.role == "fusion")
    single = next(one for one in found.chosen if one.role == "single modality")
    gain = next((one for one in found.gains if one.of == "fusing"), None)
    claim = standing(fusion.estimate.n)
    seeds = f"{fusion.estimate.n} seed{'s' * (fusion.estimate.n > 1)}{f', {claim}' if claim else ''}"
    text = f"{fusion.strategy} is the best fusion by validation, test {title(metric)} {_shown(fusion)} ({seeds})"
    if gain is None:
        return f"{text}; {single.strategy}, the best single modality, has {_shown(single)} at other seeds."
    return f"{text}; {_compared(gain, metric)} {single.strategy}, the best single modality ({_shown(single)})."


def _compared(gain: Gain, metric: str) -> str:
    difference = score(Estimate(abs(gain.estimate.mean), gain.estimate.half_width, gain.estimate.n))
    is_above = (gain.estimate.mean >= 0) != lower_is_better(metric)  # A gain is above 0 where it is better.
    words = f"{difference} {'above' if is_above else 'below'}"
    if gain.is_shown is None:
        return f"it is {words}, with no interval at one seed,"
    return f"it is {words}{'' if gain.is_shown else ', which is not beyond luck,'}"


def _highest(row: TableRow, count: int, table: Table) -> str:
    found = row.scores[table.metric]
    others = f" of {count} strategies" if count > 1 else ""
    seeds = f"{found.n} seed{'s' * (found.n > 1)}"
    which = f"the {extreme(table.metric)} mean{others}"
    return f"{row.strategy} has {which}, test {title(table.metric)} {score(found)} ({seeds})."


def _shown(one: Chosen) -> str:
    return score(one.estimate)
