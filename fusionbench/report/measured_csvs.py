"""Measures of trained models for machines: a line for each number, over seeds, of ten digits each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from fusionbench.core.scores import bare
from fusionbench.plan.names import track_label
from fusionbench.report.csvs import text_of
from fusionbench.report.measured import ENSEMBLE, LATE, effective, over_ensemble
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.report.tested import BEST_SINGLE
from fusionbench.stats import robust
from fusionbench.stats.estimate import Estimate
from fusionbench.stats.imbalance import CURVE, imbalance
from fusionbench.stats.measured import Files, at, number, over_seeds, places

OF_GAME = {"values": "value", "shapley": "Shapley value", "interaction": "interaction", "utilisation": "utilisation"}
Line = dict[str, Any]


def measured_csvs(table: Table) -> dict[str, str]:
    """By file name without ending: calibration, contribution, robustness; those of measures that some row has."""
    makers = {"calibration": _calibration, "contribution": _contribution, "robustness": _robustness}
    return {
        name: text_of(line for line in make(table))
        for name, make in makers.items()
        if any(name in row.measured for row in table.rows)
    }


def missing_lines(table: Table) -> list[Line]:
    """What is missing in training by what is missing in the test, a line for each of both, modality and strategy."""
    score = bare(table.metric)
    return [
        {
            "dataset": table.dataset.name,
            "track": track_label(table.track),
            "strategy": row.strategy,
            "train_missing": " ".join(f"{name}={rate:g}" for name, rate in table.dataset.train_missing.items())
            or "none",
            "modality": modality,
            "test_rate": rate,
            "score": score,
            **_parts(_at_rate(files, modality, score, rate)),
        }
        for row in table.rows
        if (files := row.measured.get("robustness"))
        for modality in places(files, "missing")
        for rate in (0.0, *_severities(files))
    ]


def _at_rate(files: Files, modality: str, score: str, rate: float) -> Estimate | None:
    if rate == 0:
        return at(files, "clean", score)
    return at(files, "missing", modality, score, list(_severities(files)).index(rate))


def _severities(files: Files) -> Sequence[float]:
    first = next(iter(files.values()))
    count = len(first["severities"]) if isinstance(first.get("severities"), list) else 0
    return [rate for place in range(count) if (rate := number(first, "severities", place)) is not None]


def _calibration(table: Table) -> Iterator[Line]:
    for row, files in _with(table, "calibration"):
        yield _line(table, row, "temperature", "", at(files, "temperature"))
        for part in ("test", "test_at_temperature"):
            for score in places(files, part):
                yield _line(table, row, score, part, at(files, part, score))
        yield _line(table, row, "aurc", "", at(files, "selective", "aurc"))
        first = next(iter(files.values()))
        for place in range(10):
            if (coverage := number(first, "selective", "coverage", place)) is not None:
                yield _line(table, row, "risk", f"coverage {coverage:g}", at(files, "selective", "risk", place))


def _contribution(table: Table) -> Iterator[Line]:
    ensemble = over_ensemble(table)
    single = next((one for one in table.tests.references if one.role == BEST_SINGLE), None)
    for row, files in _with(table, "contribution"):
        compared = single.of(row.strategy) if single else None
        yield _line(table, row, "gain", "over the best single modality", compared.estimate if compared else None)
        yield _line(table, row, "gain", f"over {ENSEMBLE}", ensemble.get(row.strategy))
        yield _line(table, row, "EMAP gap", "", at(files, "emap", "gap"))
        yield _line(table, row, "EMAP gap, standard error of rows", "", at(files, "emap", "standard_error"))
        for modality in places(files, "drop"):
            yield _line(table, row, "permutation drop", modality, at(files, "drop", modality, "mean"))
        for part, what in OF_GAME.items():
            for of in places(files, part):
                yield _line(table, row, what, of or "none", at(files, part, of))
    yield from _imbalance(table)


def _imbalance(table: Table) -> Iterator[Line]:
    """Of the rows that learn one modality alone."""
    curves: dict[str, dict[int, Sequence[float]]] = {}
    for row in table.rows:
        choice = row.outcomes[0].run.strategy
        if choice.name == "unimodal":
            found = {o.run.seed: o.record.curves.get(CURVE, []) for o in row.outcomes if o.record and o.state == "done"}
            curves[str(choice.options["modality"])] = dict(found)
    for one, other in combinations(sorted(curves), 2):
        both = curves[one].keys() & curves[other].keys()
        pairs = {seed: {"value": imbalance(curves[one][seed], curves[other][seed])} for seed in sorted(both)}
        estimate = over_seeds(pairs, lambda file: file["value"])
        yield {
            **_where(table),
            "strategy": "unimodal",
            "what": "imbalance",
            "of": f"{one} - {other}",
            **_parts(estimate),
        }


def _robustness(table: Table) -> Iterator[Line]:
    late: Files = next((row.measured.get("robustness", {}) for row in table.rows if row.strategy == LATE), {})
    for row, files in _with(table, "robustness"):
        for name in places(files, "clean"):
            yield _at_severity(table, row, ("", "clean"), 0.0, name, at(files, "clean", name))
        found = dict.fromkeys(place for _, file in sorted(files.items()) for place in robust.places_of(file))
        for place in found:
            yield from _curve(table, row, place, late)
        for some in places(files, "present"):
            for name in places(files, "present", some):
                yield _at_severity(table, row, (some, "present alone"), None, name, at(files, "present", some, name))


def _curve(table: Table, row: TableRow, place: robust.Place, late: Files) -> Iterator[Line]:
    """The scores at every severity, then what they come to."""
    files, score, (modality, how) = row.measured["robustness"], bare(table.metric), place
    path = ("missing", modality) if how == "missing" else ("noise", modality, how)
    for name in places(files, *path):
        for step, severity in enumerate(_severities(files)):
            yield _at_severity(table, row, place, severity, name, at(files, *path, name, step))
    kept = over_seeds(files, lambda file: robust.relative(file, place, score))
    yield _at_severity(table, row, place, None, f"relative {score}", kept)
    if row.strategy != LATE:
        yield _at_severity(table, row, place, None, f"effective {score}", effective(row, late, score, place))


def _at_severity(
    table: Table, row: TableRow, place: robust.Place, severity: float | None, score: str, found: Estimate | None
) -> Line:
    parts = {"modality": place[0], "corruption": place[1], "severity": severity, "score": score}
    return {**_where(table), "strategy": row.strategy, **parts, **_parts(found)}


def _line(table: Table, row: TableRow, what: str, of: str, found: Estimate | None) -> Line:
    return {**_where(table), "strategy": row.strategy, "what": what, "of": of, **_parts(found)}


def _where(table: Table) -> Line:
    return {"dataset": table.name, "track": track_label(table.track)}


def _parts(found: Estimate | None) -> Mapping[str, Any]:
    if found is None:
        return {"mean": None, "half_width": None, "seeds": 0}
    return {"mean": found.mean, "half_width": found.half_width, "seeds": found.n}


def _with(table: Table, measure: str) -> Iterator[tuple[TableRow, Files]]:
    for row in table.rows:
        if files := row.measured.get(measure):
            yield row, files
