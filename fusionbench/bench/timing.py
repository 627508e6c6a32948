"""A few timed steps of a row: what its runs will cost here, before any of them is trained.

The model is built and trained as in a run, on a few batches; nothing of it is kept, and no test row is evaluated:
validation rows stand in for them. Frozen encoders are run on a few rows, whose encodings stand in for those of all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import torch

from fusionbench.bench.build import Unsuitable, build, dataset_of, fixed_for, seeded, setting_for, training_data
from fusionbench.bench.encoding_sizes import changed_rows
from fusionbench.bench.jobs import Message, TimeJob
from fusionbench.bench.measuring import of_trained
from fusionbench.bench.trunks import all_rows
from fusionbench.core.batch import Encoded
from fusionbench.core.catalogue import describe, load, with_later
from fusionbench.core.errors import Interrupted, reason_of
from fusionbench.data.base import MultimodalData
from fusionbench.data.halves import ENCODERS, keep_half
from fusionbench.data.splits import Rows
from fusionbench.encoders.base import Encoder
from fusionbench.fusion.base import FusionModule
from fusionbench.measure.trained import Pieces, Trained
from fusionbench.plan.measures import needs
from fusionbench.plan.suite import Choice
from fusionbench.records.timings import Timing, row_key
from fusionbench.training.encodings import EncodedData, StoredEncoding, pieces_of, rows_of
from fusionbench.training.fit import evaluate
from fusionbench.training.pretrain import OneModality, with_head
from fusionbench.training.resamples import resamples_of
from fusionbench.training.timing import cost_of, fewer_rows, layers
from fusionbench.training.trunks import BehindTrunk, StoredTrunk, TrunkedData, trunk_pieces

SAMPLES = 64
"""So many rows are encoded."""


def time_steps(job: TimeJob) -> Message:
    """What a row, or one of its encoders, costs; or, in words, why that cannot be told."""
    try:
        found = _encoder(job) if job.modality else {row_key(job.run): _row(job)}
    except Interrupted:
        raise
    except Exception as error:  # noqa: BLE001  (whatever a run would meet, its record would say)
        return Message("finished", "failed", facts={"reason": reason_of(error)})
    return Message("finished", "timed", facts={"timings": {key: asdict(timing) for key, timing in found.items()}})


# --- a row -----------------------------------------------------------------------------------------------------------


def _row(job: TimeJob) -> Timing:
    run, began = job.run, time.perf_counter()
    data = training_data(run, job.place.data)
    try:
        module = build(run, fixed_for(run, data.asked).setting)
    except Unsuitable:  # A record that says so is all that there will be.
        return Timing(time.perf_counter() - began)
    _measure_model(job, module, data)
    fixed, at_once = time.perf_counter() - began, bool(describe("strategy", run.strategy.name).facts.get("fitted"))
    seen = _seen(job, module, data)
    with seeded(run.seed, "training"):
        cost = cost_of(module, seen, run.budget, at_once=at_once)
        test = _tested(job, module, seen, data)
    return Timing(fixed, cost.epoch, test, epochs=1 if at_once else 0)


def _measure_model(job: TimeJob, module: FusionModule, data: MultimodalData) -> None:
    """The measures that are taken before training; nothing is published."""
    assert data.parts is not None
    for choice in job.measures:
        if needs(choice) == "model":
            options = with_later("measure", choice.name, choice.options)
            load("measure", choice.name)(module, data.batch(data.parts.train[:2]), **options)


def _tested(job: TimeJob, module: FusionModule, seen: MultimodalData, data: MultimodalData) -> float:
    """Seconds of the test, its resamples and the measures of the trained model, by the number of rows."""
    assert data.parts is not None
    whole, began = data.parts, time.perf_counter()
    with fewer_rows(seen) as some:
        for one in layers(seen):
            one.parts = replace(some, test=some.validation)
        found = evaluate(module, seen, job.run.budget).predictions
        resamples_of(job.run.key, found, data.asked, 0, data.groups(found["ids"]))
        shared = _AgainOfChanged(module) if job.place.stores(job.run) else None
        for choice in of_trained(job.measures, job.run):
            trained = Trained(module, seen, data, job.run.budget.precision, lambda *_: None, shared)
            load("measure", choice.name)(trained, **with_later("measure", choice.name, choice.options))
        seconds = time.perf_counter() - began
        share = len(whole.test) / len(some.validation)
    return seconds * max(1.0, share)


def _seen(job: TimeJob, module: FusionModule, data: MultimodalData) -> MultimodalData:
    """What a run's model would be trained on, as `bench.ready.seen` says, with a few rows' encodings for all."""
    if not (job.place.stored_encodings and job.run.is_frozen and job.run.encoders):
        return data
    live = {name: one for name, one in module.encoders.items() if isinstance(one, Encoder)}
    if job.place.stores(job.run):
        return EncodedData(data, {name: _Again(_encoding(one, name, data)) for name, one in live.items()})
    trunks = {name: one for name, one in live.items() if one.frozen_trunk() is not None}
    stored = {name: _Again(_trunk(one, name, data)) for name, one in trunks.items()}
    module.encoders.update({name: BehindTrunk(one) for name, one in trunks.items()})
    return TrunkedData(data, stored) if stored else data


# --- encoders --------------------------------------------------------------------------------------------------------


def _encoder(job: TimeJob) -> dict[str, Timing]:
    """What pretraining, the trunk and encodings of one modality cost."""
    run, name, began = job.run, job.modality, time.perf_counter()
    data = training_data(run, job.place.data)
    alone = replace(run, strategy=Choice("unimodal", {"modality": name}))
    encoder = build(alone, setting_for(alone, data.asked)).encoders[name]
    assert isinstance(encoder, Encoder)
    loading = time.perf_counter() - began
    found, seen, behind = {}, data, encoder
    if encoder.frozen_trunk() is not None:
        row = _seconds_a_row(lambda rows: trunk_pieces(encoder, name, data, rows), data)
        found[row_key(run, "trunk", name)] = Timing(row * len(all_rows(data)))
        seen = EncodedData(data, {name: _Again(_trunk(encoder, name, data))})
        behind = BehindTrunk(encoder)  # type: ignore[assignment]
    row = _seconds_a_row(lambda rows: pieces_of(behind, name, seen, rows), data)
    # A measure has rows encoded again, changed: once for all runs of a seed, too.
    count = len(rows_of(data)) + changed_rows(job.measures, name, data)
    found[row_key(run, "encode", name)] = Timing(loading + row * count)
    if run.encoders[name].pretrain is not None:
        found[row_key(run, "pretrain", name)] = _pretraining(job, loading)
    return found


def _pretraining(job: TimeJob, loading: float) -> Timing:
    choice = job.run.encoders[job.modality]
    assert choice.pretrain is not None
    data = dataset_of(replace(job.run, budget=choice.pretrain), job.place.data)
    data.setup()
    if choice.pretrain.rows == "half":
        keep_half(data, ENCODERS)
    one = OneModality(data, job.modality)
    module = with_head(choice, one, job.run.seed)
    encoder, seen = module.encoders[job.modality], one
    assert isinstance(encoder, Encoder)
    one.augments = encoder.frozen_trunk() is None
    if not one.augments:
        seen = EncodedData(one, {job.modality: _Again(_trunk(encoder, job.modality, data))})  # type: ignore[assignment]
        module.encoders[job.modality] = BehindTrunk(encoder)
    with seeded(job.run.seed, "timing"):
        cost = cost_of(module, seen, choice.pretrain)
    assert one.parts is not None
    return Timing(loading + cost.row * len(one.parts.train), cost.epoch)  # Scored on its training rows at the end.


def _seconds_a_row(pieces: Callable[[Rows], Iterator[dict[str, Any]]], data: MultimodalData) -> float:
    """Of encoding, the second time: the first warms up."""
    rows = _some(data)
    for _ in range(2):
        began = time.perf_counter()
        for _ in pieces(rows):
            pass
        if torch.cuda.is_available():
            torch.cuda.synchronize()
    return (time.perf_counter() - began) / len(rows)


# --- stand-ins -------------------------------------------------------------------------------------------------------


class _Again:
    """What is stored of a few rows, in the place of all."""

    def __init__(self, stored: StoredEncoding | StoredTrunk) -> None:
        self.stored = stored

    def put(self, name: str, rows: Rows, batch: Any) -> None:
        """Give a batch what is stored of some row in the place of each of its rows."""
        self.stored.put(name, self._known(rows), batch)

    def of(self, rows: Rows, present: torch.Tensor) -> Encoded:
        """The encodings of some rows in the place of these."""
        assert isinstance(self.stored, StoredEncoding)
        return self.stored.of(self._known(rows), present)

    def _known(self, rows: Rows) -> Rows:
        known: Rows = self.stored.rows
        return known[rows % len(known)]


@dataclass(frozen=True)
class _AgainOfChanged:
    """What is stored of a few changed rows, in the place of all."""

    module: FusionModule

    def of(self, modality: str, what: Mapping[str, Any], rows: Rows, pieces: Pieces) -> _Again:
        """As `measure.trained.SharedEncodings` says."""
        return _Again(StoredEncoding(_arrays(islice(pieces(self.module.encoders[modality]), 1))))


def _encoding(encoder: Encoder, name: str, data: MultimodalData) -> StoredEncoding:
    return StoredEncoding(_arrays(pieces_of(encoder, name, data, _some(data))))


def _trunk(encoder: Encoder, name: str, data: MultimodalData) -> StoredTrunk:
    return StoredTrunk(_arrays(trunk_pieces(encoder, name, data, _some(data))))


def _arrays(pieces: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """Of the one piece that there is, as they are stored."""
    (found,) = pieces
    lengths = found.pop("lengths", None)
    return found if lengths is None else {**found, "offsets": np.cumsum([0, *lengths], dtype=np.int64)}


def _some(data: MultimodalData) -> Rows:
    """A few of the rows, in rising order."""
    assert data.parts is not None
    return np.sort(np.random.default_rng(0).permutation(data.parts.train)[:SAMPLES])
