"""How much room stored encodings take: said before anything is computed, and after.

What a row takes is seen on some rows, through an encoder that is not trained yet.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from fusionbench.bench.build import Unsuitable, build, setting_for
from fusionbench.bench.jobs import Place
from fusionbench.bench.trunks import FOLDER
from fusionbench.core.catalogue import describe, with_later
from fusionbench.core.errors import UserError
from fusionbench.data.base import MultimodalData
from fusionbench.data.store import existing
from fusionbench.encoders.base import Encoder
from fusionbench.plan.names import slug
from fusionbench.plan.suite import Choice, RunSpec
from fusionbench.training.encodings import pieces_of, rows_of
from fusionbench.training.trunks import trunk_pieces

SAMPLES = 64
"""So many are encoded to say how much room all of them take."""


def size_told(
    runs: Iterable[RunSpec], data: MultimodalData, place: Place, seeds: int, measures: Iterable[Choice] = ()
) -> str:
    """How much room the encodings take, in words, before anything is computed; empty if none are stored.

    Args:
        runs: all of the data's dataset; those that do not store encodings are left out.
        data: set up.
        place: where the work happens.
        seeds: of how many seeds there will be encodings at a time.
        measures: that will be taken, some of which encode rows that they change.

    Raises:
        UserError: the disk has less.
    """
    several = {(slug("dataset", run.dataset), name): run for run in runs if place.stores(run) for name in run.encoders}
    if not several:
        return ""
    of_measures = tuple(measures)
    sizes = [_estimate(run, name, data, of_measures) for (_, name), run in several.items()]
    need = sum(seeds * own + trunk for own, trunk in sizes)
    folder = data.root / FOLDER
    there = sum(size_of(path) for of, name in several for path in folder.glob(f"{of}-{name}-*"))
    names = ", ".join(name for _, name in several)
    what = f"encodings of {names} ({seeds} seed{'s' if seeds > 1 else ''} at a time)"
    if any(trunk for _, trunk in sizes):
        what += " and what frozen networks give"
    free = shutil.disk_usage(existing(folder)).free
    if need > free + there:
        raise UserError(
            f"{folder}: {what} take about {as_size(need)}, and {as_size(free)} are free;\n"
            "make room, name another data folder with --data, or train without them: --no-stored-encodings"
        )
    return f"{data.name}: {what} take about {as_size(need)} in {folder}"


def size_of(folder: Path) -> int:
    """Bytes of the files in it."""
    return sum(path.stat().st_size for path in folder.iterdir()) if folder.is_dir() else 0


def as_size(count: int) -> str:
    """Bytes as people read them: `3.2 MiB`."""
    value, units = float(count), iter(("B", "KiB", "MiB", "GiB", "TiB"))
    unit = next(units)
    while value >= 1024 and unit != "TiB":
        value, unit = value / 1024, next(units)
    return f"{value:.1f} {unit}" if unit != "B" else f"{count} B"


def changed_rows(measures: Iterable[Choice], modality: str, data: MultimodalData) -> int:
    """How many rows of a modality measures change and have encoded.

    Args:
        measures: any; those that do nothing of the kind count for nothing.
        modality: one of the data's.
        data: set up.
    """
    assert data.parts is not None
    kinds, most = {spec.name: spec.kind for spec in data.task.modalities}, len(data.parts.test)
    found = 0
    for choice in measures:
        times = describe("measure", choice.name).facts.get("encodes", {}).get(kinds[modality], 0)
        found += times * min(most, with_later("measure", choice.name, choice.options).get("rows", most))
    return found


def _estimate(run: RunSpec, modality: str, data: MultimodalData, measures: Iterable[Choice]) -> tuple[int, int]:
    """Bytes of a seed's encodings and of what a trunk gives, of all rows: from some, through an untrained encoder."""
    alone = replace(run, strategy=Choice("unimodal", {"modality": modality}))
    with suppress(Unsuitable):
        encoder = build(alone, setting_for(alone, data.asked)).encoders[modality]
        assert isinstance(encoder, Encoder)
        rows = rows_of(data)
        some = np.unique(rows[np.linspace(0, len(rows) - 1, min(SAMPLES, len(rows)), dtype=np.int64)])
        several = [pieces_of(encoder, modality, data, some)]
        if encoder.frozen_trunk() is not None:
            several.append(trunk_pieces(encoder, modality, data, some))
        own, trunk, *_ = (*(sum(x.nbytes for piece in pieces for x in piece.values()) for pieces in several), 0)
        encoded = len(rows) + changed_rows(measures, modality, data)
        return own * encoded // len(some), trunk * len(rows) // len(some)
    return 0, 0
