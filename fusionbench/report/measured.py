"""Measures of trained models in a table: their files over seeds, as columns and for machines.

What needs several rows is computed here and stored nowhere: gains over the best single modality and over the ensemble
of single modalities, effective robustness, and imbalance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from fusionbench.core.scores import bare
from fusionbench.report.numbers import significant
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.stats import robust
from fusionbench.stats.estimate import Estimate
from fusionbench.stats.measured import Files, at, names, number, over_seeds

LATE, ENSEMBLE = "late", "unimodal_ensemble"


@dataclass(frozen=True)
class Shown:
    """A column."""

    heading: str
    by_row: Mapping[str, Estimate | None]
    signed: bool = False
    """Whether it is a difference."""


def columns(table: Table) -> Iterator[Shown]:
    """Those that some row has."""
    found = (
        Shown("ECE", _each(table, "calibration", lambda files: _first(files, ("ece", "ece_top20")))),
        Shown("EMAP gap", _each(table, "contribution", lambda files: at(files, "emap", "gap")), signed=True),
        Shown("over the ensemble", over_ensemble(table), signed=True),
        Shown("relative robustness", {row.strategy: relative(row, bare(table.metric)) for row in table.rows}),
        Shown("effective robustness", effective_by_row(table), signed=True),
    )
    for one in found:
        if any(estimate is not None for estimate in one.by_row.values()):
            yield one


def sentences(table: Table) -> Iterator[str]:
    """What they are, below a table that has some."""
    found = list(columns(table))
    shown = {one.heading for one in found}
    if shown - {"over the ensemble"}:
        yield "Intervals of measures of trained models are over seeds alone."
    yield from _fewer_seeds(table, found)
    if "ECE" in shown:
        yield "ECE: expected calibration error, 15 bins; where samples have several labels, of the 20 highest classes."
    if "EMAP gap" in shown:
        said = "EMAP gap: the score less that of the nearest sum over modalities; 0: no interaction is used"
        yield f"{said}{_emap_error(table)}."
    if "over the ensemble" in shown:
        yield "Over the ensemble: paired by seed and test row, over separately trained single modalities."
    if "relative robustness" in shown:
        yield (
            "Relative robustness: mean of A(s)/A(0) over severities .1 to 1 and kinds of noise, every modality alike; "
            "effective: how much less is lost than by late fusion of the same seed; high, too, for what has little to "
            "lose."
        )
    yield from _repeats(table)


def _fewer_seeds(table: Table, found: Sequence[Shown]) -> Iterator[str]:
    """Columns that were measured at fewer seeds than their rows have."""
    done = {row.strategy: row.done for row in table.rows}
    short: dict[str, list[str]] = {}
    for one in found:
        fewer = [(mean.n, done[name]) for name, mean in one.by_row.items() if mean is not None and mean.n < done[name]]
        if fewer:
            least, of = min(fewer)
            alone = ", so without an interval" if least == 1 else ""
            short.setdefault(f"measured at {least} of {of} seeds{alone}", []).append(one.heading)
    for said, headings in short.items():
        yield f"{', '.join(headings)}: {said}."


def _emap_error(table: Table) -> str:
    """The median standard error of a seed's gap, which is of a sample of the test rows; empty if no file says it.

    Models that are sums of one function per modality have a gap and an error of exactly 0, and are left out.
    """
    files = [file for row in table.rows for file in row.measured.get("contribution", {}).values()]
    errors = [error for file in files if (error := number(file, "emap", "standard_error"))]
    rows = {number(file, "emap", "rows") for file in files} - {None}
    if not errors:
        return ""
    of = f" {next(iter(rows)):.0f}" if len(rows) == 1 else " some"
    return f"; of{of} test rows, standard error {significant(median(errors), 2)} at one seed (median where it is not 0)"


def relative(row: TableRow, score: str) -> Estimate | None:
    """Over all kinds of noise."""
    return over_seeds(
        row.measured.get("robustness", {}),
        lambda file: robust.mean_over_places({p: robust.relative(file, p, score) for p in robust.places_of(file)}),
    )


def effective_by_row(table: Table) -> dict[str, Estimate | None]:
    """Over all kinds of noise, against late fusion of the same seeds; late fusion itself has none."""
    late: Files = next((row.measured.get("robustness", {}) for row in table.rows if row.strategy == LATE), {})
    return {
        row.strategy: None if row.strategy == LATE else effective(row, late, bare(table.metric)) for row in table.rows
    }


def effective(row: TableRow, late: Files, score: str, place: robust.Place | None = None) -> Estimate | None:
    """At one place, or over all kinds of noise."""
    ours = row.measured.get("robustness", {})
    pairs = {seed: {"ours": file, "late": late[seed]} for seed, file in ours.items() if seed in late}

    def value(pair: Mapping[str, Any]) -> float | None:
        if place is not None:
            return robust.effective(pair["ours"], pair["late"], place, score)
        every = robust.places_of(pair["ours"])
        return robust.mean_over_places({p: robust.effective(pair["ours"], pair["late"], p, score) for p in every})

    return over_seeds(pairs, value)


def over_ensemble(table: Table) -> dict[str, Estimate | None]:
    """Each row less the ensemble of single modalities, where contribution was measured."""
    differences = table.tests.differences
    asked = any("contribution" in row.measured for row in table.rows) and ENSEMBLE in differences.names
    return {
        row.strategy: differences.estimate(row.strategy, ENSEMBLE)
        if asked and row.strategy != ENSEMBLE and row.strategy in differences.names
        else None
        for row in table.rows
    }


def _each(table: Table, measure: str, value: Callable[[Files], Estimate | None]) -> dict[str, Estimate | None]:
    return {row.strategy: value(row.measured.get(measure, {})) for row in table.rows}


def _first(files: Files, scores: Sequence[str]) -> Estimate | None:
    return next((found for name in scores if (found := at(files, "test", name)) is not None), None)


def _repeats(table: Table) -> Iterator[str]:
    """Files that are of another training than the record's."""
    for row in table.rows:
        for measure, files in row.measured.items():
            for seed, file in sorted(files.items()):
                yield from (f"{row.strategy}, seed {seed}, {measure}: {said}." for said in _apart(file))


def _apart(file: Mapping[str, Any]) -> Iterator[str]:
    for score in names(file, "of_repeat"):
        then, here = (number(file, "of_repeat", score, what) for what in ("record", "here"))
        if then is not None and here is not None:
            yield f"of a repeat, {bare(score)} {here:.4f} against {then:.4f}"
