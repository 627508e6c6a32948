"""What frozen encoders make of a dataset: encoded once, kept beside the data, shared by strategies, suites and runners.

    <data folder>/encodings/<dataset>-<modality>-<12 hex>/                    as training/encodings.py says
    <data folder>/encodings/<dataset>-<modality>-<12 hex>-changed-<12 hex>/   the same, of rows that a measure changed

The hex digits are the hash of all that decides the encodings: the data and their rows, the modality, the encoder and
its weights; and what the measure did to them. Storing them is an optimisation: no key knows of it, and a model is
measured with its live encoders.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fusionbench.bench.artefacts import load_pretrained
from fusionbench.bench.build import build, setting_for, training_data
from fusionbench.bench.encoding_sizes import as_size, size_of
from fusionbench.bench.jobs import EncodeJob, Message, Report
from fusionbench.bench.trunks import FOLDER, Trunks, all_rows, opened
from fusionbench.core.canonical import canonical_json
from fusionbench.data.base import MultimodalData
from fusionbench.data.splits import Rows
from fusionbench.data.store import prepared, prepared_folder
from fusionbench.encoders.base import Encoder
from fusionbench.fusion.base import FusionModule
from fusionbench.measure.trained import Pieces
from fusionbench.plan.names import slug
from fusionbench.plan.suite import Choice, RunSpec
from fusionbench.records.record import RESULTS_VERSION
from fusionbench.training.encodings import EncodedData, StoredEncoding, rows_of, write_encoding, write_pieces
from fusionbench.training.fit import OnEpoch
from fusionbench.training.trunks import BehindTrunk


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


@dataclass(frozen=True)
class EncodingsOfChanged:
    """Encodings of rows that measures change, stored beside those of the rows as they are, and gone with them."""

    run: RunSpec
    """Its encoders are frozen."""
    module: FusionModule
    """The run's model, with the weights of its encoders."""
    data: MultimodalData
    """The run's, set up, as inputs."""

    def of(self, modality: str, what: Mapping[str, Any], rows: Rows, pieces: Pieces) -> StoredEncoding:
        """As `measure.trained.SharedEncodings` says."""
        encoder, data = self.module.encoders[modality], self.data
        facts = _facts(self.run, modality, encoder, data, rows_of(data))
        unchanged = prepared_folder(data.root, _name(self.run, modality), facts, FOLDER)

        def convert(folder: Path) -> None:
            # As the unchanged ones are made: in float32, whatever the run's precision.
            with torch.autocast(next(encoder.parameters()).device.type, enabled=False):
                write_pieces(folder, pieces(encoder), lambda *_: None)

        def make() -> Path:
            return prepared(data.root, f"{unchanged.name}-changed", {**facts, "changed": what}, None, convert, FOLDER)

        return StoredEncoding(opened(make, rows)[1], with_stages=self.module.reads_stages)


def _encoder(run: RunSpec, modality: str, data: MultimodalData, root: Path | None, trunks: Trunks) -> Encoder:
    """The encoder of a run alone, with its weights, on the device that computes fastest."""
    alone = Choice("unimodal", {"modality": modality})
    module = build(replace(run, strategy=alone), setting_for(replace(run, strategy=alone), data.asked))
    load_pretrained(module, run, data, root, trunks)
    encoder = module.encoders[modality]
    assert isinstance(encoder, Encoder)
    return encoder.to("cuda" if torch.cuda.is_available() else "cpu")


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

    return prepared(data.root, _name(run, modality), facts, None, convert, FOLDER), bool(made)


def _name(run: RunSpec, modality: str) -> str:
    return f"{slug('dataset', run.dataset.bare)}-{modality}"


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
