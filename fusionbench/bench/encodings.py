"""What frozen encoders make of a dataset: encoded once, kept beside the data, shared by strategies, suites and runners.

    <data folder>/encodings/<dataset>-<modality>-<12 hex>/    as training/encodings.py says

The hex digits are the hash of all that decides the encodings: the data and their rows, the modality, the encoder and
its weights. Storing them is an optimisation: no key knows of it, and a model is measured with its live encoders.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fusionbench.bench.artefacts import load_pretrained
from fusionbench.bench.build import Unsuitable, build, setting_for, training_data
from fusionbench.bench.jobs import EncodeJob, Message, Place, Report
from fusionbench.bench.trunks import FOLDER, Trunks, all_rows, opened
from fusionbench.core.canonical import canonical_json
from fusionbench.core.errors import UserError
from fusionbench.data.base import MultimodalData
from fusionbench.data.splits import Rows
from fusionbench.data.store import existing, prepared
from fusionbench.encoders.base import Encoder
from fusionbench.fusion.base import FusionModule
from fusionbench.plan.names import slug
from fusionbench.plan.suite import Choice, RunSpec
from fusionbench.records.record import RESULTS_VERSION
from fusionbench.training.encodings import EncodedData, StoredEncoding, pieces_of, rows_of, write_encoding
from fusionbench.training.fit import OnEpoch
from fusionbench.training.trunks import BehindTrunk, trunk_pieces

SAMPLES = 64
"""So many are encoded to say how much room all of them take."""


def encode_one(job: EncodeJob, report: Report) -> Message:
    """One modality of a seed encoded, unless it is there already; the message says where, and how large it is."""
    started = time.perf_counter()
    data = training_data(job.run, job.place.data)
    whole, total = len(all_rows(data)), len(rows_of(data))
    trunks = Trunks(lambda done, _: report.progress(done, whole, f"{job.modality}, its trunk"))
    encoder = _encoder(job.run, job.modality, data, job.place.data, trunks)
    folder, made = _stored(
        job.run, job.modality, encoder, data, trunks, lambda done, _: report.progress(done, total, job.modality)
    )
    facts = {"path": str(folder), "trunks": trunks.folders}
    if not made:
        return Message("finished", "there already", facts=facts)
    size, seconds = as_size(size_of(folder)), time.perf_counter() - started
    return Message("finished", f"{total:,} rows, {size}, in {seconds:.1f} s", facts=facts)


def encoded_data(run: RunSpec, module: FusionModule, data: MultimodalData) -> MultimodalData:
    """The data with encodings in the place of inputs, encoded now if they are not there.

    Args:
        run: its encoders are frozen.
        module: the run's model, with the weights of its encoders.
        data: the run's, set up and shared out.

    Raises:
        UserError: they are damaged or cannot be written.
    """
    stored = {}
    for name, encoder in module.encoders.items():
        assert isinstance(encoder, Encoder)
        stored[name] = _opened(run, name, encoder, data, with_stages=module.reads_stages)
    return EncodedData(data, stored)


def size_told(runs: Iterable[RunSpec], data: MultimodalData, place: Place, seeds: int) -> str:
    """How much room the encodings take, in words, before anything is computed; empty if none are stored.

    Args:
        runs: all of the data's dataset; those that do not store encodings are left out.
        data: set up.
        place: where the work happens.
        seeds: of how many seeds there will be encodings at a time.

    Raises:
        UserError: the disk has less.
    """
    several = {(slug("dataset", run.dataset), name): run for run in runs if place.stores(run) for name in run.encoders}
    if not several:
        return ""
    sizes = [_estimate(run, name, data) for (_, name), run in several.items()]
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


def _encoder(run: RunSpec, modality: str, data: MultimodalData, root: Path | None, trunks: Trunks) -> Encoder:
    """The encoder of a run alone, with its weights, on the device that computes fastest."""
    alone = Choice("unimodal", {"modality": modality})
    module = build(replace(run, strategy=alone), setting_for(replace(run, strategy=alone), data.asked))
    load_pretrained(module, run, data, root, trunks)
    encoder = module.encoders[modality]
    assert isinstance(encoder, Encoder)
    return encoder.to("cuda" if torch.cuda.is_available() else "cpu")


def _estimate(run: RunSpec, modality: str, data: MultimodalData) -> tuple[int, int]:
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
        sizes = [sum(array.nbytes for piece in pieces for array in piece.values()) for pieces in several]
        own, trunk, *_ = (size * len(rows) // len(some) for size in (*sizes, 0))
        return own, trunk
    return 0, 0


def _opened(
    run: RunSpec, modality: str, encoder: Encoder, data: MultimodalData, *, with_stages: bool
) -> StoredEncoding:
    _, arrays = opened(lambda: _stored(run, modality, encoder, data, Trunks())[0], rows_of(data))
    return StoredEncoding(arrays, with_stages=with_stages)


def _stored(
    run: RunSpec, modality: str, encoder: Encoder, data: MultimodalData, trunks: Trunks, tell: OnEpoch = lambda *_: None
) -> tuple[Path, bool]:
    """The folder of the encodings, and whether they were made just now: of what the trunk gives, where there is one."""
    rows = rows_of(data)
    facts = _facts(run, modality, encoder, data, rows)
    made: list[Path] = []

    def convert(folder: Path) -> None:
        made.append(folder)
        trunk = trunks.of(run, modality, encoder, data)
        if trunk is None:
            write_encoding(folder, encoder, modality, data, rows, tell)
        else:
            write_encoding(folder, BehindTrunk(encoder), modality, EncodedData(data, {modality: trunk}), rows, tell)

    name = f"{slug('dataset', run.dataset.bare)}-{modality}"
    return prepared(data.root, name, facts, None, convert, FOLDER), bool(made)


def _facts(run: RunSpec, modality: str, encoder: nn.Module, data: MultimodalData, rows: Rows) -> Mapping[str, Any]:
    assert data.parts is not None
    choice = replace(run.encoders[modality], pretrain=None)  # What came of it is in the weights.
    return {
        "dataset": run.dataset.bare.decisive(),
        "data": data.fingerprint,
        "split": (data.whole or data.parts).sha256,  # What is fitted on training rows before a model sees a row.
        "rows": hashlib.sha256(np.ascontiguousarray(rows, dtype="<i8").tobytes()).hexdigest(),
        "modality": modality,
        "encoder": choice.decisive(),
        "weights": _hash_of(encoder.state_dict()),
        "results_version": RESULTS_VERSION,
    }


def _hash_of(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of weights: names, types, shapes and bytes."""
    total = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        total.update(canonical_json([name, str(tensor.dtype), list(tensor.shape)]).encode())
        total.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
