"""How robust a model is, from its scores at severities: against itself, and against late fusion of the same seed.

    relative    mean over severities s of A(s) / A(0); of a score where lower is better A(0) / A(s)
    effective   mean over s of f(s) - (LF(s) + f(0) - LF(0)), signs turned where lower is better

f is the model, LF our own late fusion, trained at the same seed and measured on the same corrupted inputs. 0: it loses
as much as late fusion does; above: less. Nothing is normalised over the set of methods.

Source: Liang et al. 2021, "MultiBench", arXiv:2107.07502, whose robustness is relative to a set of methods; effective
robustness after Taori et al. 2020, arXiv:2007.00644, who fit the line that we take to be late fusion's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import Any

from fusionbench.core.scores import good, lower_is_better
from fusionbench.stats.measured import names, number

Place = tuple[str, str]
"""Modality and corruption; `missing` is one."""


def places_of(file: Mapping[str, Any]) -> Iterator[Place]:
    """Those that a file of the measure has curves of."""
    for modality in names(file, "noise"):
        yield from ((modality, how) for how in names(file, "noise", modality))
    yield from ((modality, "missing") for modality in names(file, "missing"))


def curve(file: Mapping[str, Any], place: Place, score: str) -> list[float | None]:
    """The score at every severity; None where it is not known."""
    modality, how = place
    path = ("missing", modality, score) if how == "missing" else ("noise", modality, how, score)
    severities = file.get("severities")
    count = len(severities) if isinstance(severities, list) else 0
    return [number(file, *path, at) for at in range(count)]


def relative(file: Mapping[str, Any], place: Place, score: str) -> float | None:
    """Of one model; None where the clean score, or one of a curve, is not known or 0."""
    clean, found = number(file, "clean", score), curve(file, place, score)
    pairs = [(clean, one) if lower_is_better(score) else (one, clean) for one in found]
    if not pairs or any(above is None or not below for above, below in pairs):
        return None
    return fmean(above / below for above, below in pairs if above is not None and below)


def effective(file: Mapping[str, Any], late: Mapping[str, Any], place: Place, score: str) -> float | None:
    """Of one model over late fusion of its seed; None where a score of one of them is not known."""
    ours, theirs = _lost(file, place, score), _lost(late, place, score)
    if not ours or len(ours) != len(theirs):
        return None
    return fmean(one - other for one, other in zip(ours, theirs, strict=True))


def mean_over_places(values: Mapping[Place, float | None]) -> float | None:
    """Over all kinds of noise, every modality with the same weight, missing left out; None where one is not known."""
    by_modality: dict[str, list[float]] = {}
    for (modality, how), value in values.items():
        if how != "missing":
            if value is None:
                return None
            by_modality.setdefault(modality, []).append(value)
    return fmean(fmean(found) for found in by_modality.values()) if by_modality else None


def _lost(file: Mapping[str, Any], place: Place, score: str) -> list[float]:
    """f(s) - f(0) at each severity; nothing where one is not known."""
    clean, found = number(file, "clean", score), curve(file, place, score)
    known = [one for one in found if one is not None]
    if clean is None or len(known) < len(found):
        return []
    return [good(score, one) - good(score, clean) for one in known]
