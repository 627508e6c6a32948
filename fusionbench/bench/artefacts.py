"""Encoders trained beforehand: made once, kept beside the data, shared by all strategies and suites.

    <data folder>/pretrained/<dataset>-<modality>-<12 hex>.pt

The hex digits are the hash of all that decides the weights: the data and the rows they are trained on, the encoder with
its budget, the seed. The file holds the encoder's state_dict, its scores on the rows it was trained on and on
validation, and that description as JSON.
"""

from __future__ import annotations

import io
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any

import torch
from torch import Tensor, nn

from fusionbench.bench.build import dataset_of, seeded
from fusionbench.bench.jobs import Message, PretrainJob, Report
from fusionbench.bench.trunks import Trunks, all_rows
from fusionbench.core.canonical import canonical_json, short_key
from fusionbench.core.errors import Diverged, UserError
from fusionbench.core.files import write_over
from fusionbench.core.locks import locked
from fusionbench.data.base import MultimodalData
from fusionbench.encoders.base import Encoder
from fusionbench.fusion.base import FusionModule
from fusionbench.plan.names import slug
from fusionbench.plan.suite import Choice, RunSpec
from fusionbench.records.record import RESULTS_VERSION
from fusionbench.training.fit import OnEpoch
from fusionbench.training.pretrain import pretrain
from fusionbench.training.trunks import StoredTrunk

FOLDER = "pretrained"
FORM = 2
"""Raised when a file holds more than before: older ones are left alone and made anew under other names."""


@dataclass(frozen=True)
class Artefact:
    """One encoder's weights on the disk."""

    path: Path
    weights: dict[str, Tensor]
    scores: dict[str, float]
    """As `Pretrained` has them."""
    metric: str
    rows: int
    """How many it was trained on."""
    made: bool
    """Whether it was made just now."""

    def put_into(self, encoder: nn.Module) -> None:
        """Give an encoder these weights; UserError if they are another's."""
        try:
            encoder.load_state_dict(self.weights)
        except RuntimeError as error:
            raise UserError(f"{self.path}: weights of another encoder; remove the file, it is made again") from error

    def facts(self, choice: Choice) -> dict[str, Any]:
        """What a record says of it."""
        assert choice.pretrain is not None
        return {"rows": choice.pretrain.rows, "count": self.rows, "metric": self.metric, "scores": self.scores}


def pretrain_one(job: PretrainJob, report: Report) -> Message:
    """One encoder trained beforehand, unless it is there already."""
    started = time.perf_counter()
    choice = job.run.encoders[job.modality]
    total = choice.pretrain.epochs if choice.pretrain else 0
    data = dataset_of(job.run, job.place.data)
    data.setup()
    rows = len(all_rows(data))
    trunks = Trunks(lambda done, _: report.progress(done, rows, f"{job.modality}, its trunk"))
    found = artefact(
        job.run,
        job.modality,
        data,
        job.place.data,
        lambda epoch, _: report.progress(epoch, total, job.modality),
        trunks if job.place.stored_encodings else None,
    )
    if not found.made:
        return Message("finished", "there already")
    score, seconds = found.scores[f"validation/{found.metric}"], time.perf_counter() - started
    facts = {"score": score, "seconds": seconds, "trunks": trunks.folders}
    return Message("finished", f"validation {found.metric}", facts=facts)


def load_pretrained(
    module: FusionModule, run: RunSpec, data: MultimodalData, root: Path | None, trunks: Trunks | None = None
) -> dict[str, dict[str, Any]]:
    """Put the weights of encoders that are trained beforehand into a model; what is not there yet is made.

    Args:
        module: the run's.
        run: whose encoders they are.
        data: the run's, set up.
        root: the data folder that was asked for; None: the default one.
        trunks: opens what trunks of encoders give; None: they run live.

    Returns:
        By modality, what a record says of its encoder.

    Raises:
        UserError: a file is damaged, or pretraining diverged.
    """
    found = {name: artefact(run, name, data, root, trunks=trunks) for name in run.pretrained if name in module.encoders}
    for name, one in found.items():
        one.put_into(module.encoders[name])
    return {name: one.facts(run.encoders[name]) for name, one in found.items()}


def artefact(
    run: RunSpec,
    modality: str,
    data: MultimodalData,
    root: Path | None,
    on_epoch: OnEpoch = lambda *_: None,
    trunks: Trunks | None = None,
) -> Artefact:
    """The weights of one encoder of a run, made if they are not there; two processes do not make them twice.

    Args:
        run: whose dataset, encoder and seed they are of.
        modality: which of its encoders.
        data: the run's data, set up.
        root: the data folder that was asked for; None: the default one.
        on_epoch: told of every epoch of training.
        trunks: opens what the encoder's trunk gives, if it has one; None: it runs live.

    Raises:
        UserError: the file is damaged, or pretraining diverged.
    """
    facts = _facts(run, modality, data)
    path = data.root / FOLDER / f"{slug('dataset', run.dataset.unranked)}-{modality}-{short_key(facts)}.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        return _read(path, made=False)
    with locked(f"{path}.lock"):
        if path.exists():
            return _read(path, made=False)
        _make(path, run, modality, root, on_epoch, trunks, facts)
    return _read(path, made=True)


def _facts(run: RunSpec, modality: str, data: MultimodalData) -> dict[str, Any]:
    whole = data.whole or data.parts  # A run may have its own half already; the encoder says which rows it has.
    assert whole is not None
    # What ranks on the task picks no epoch where labels are the modality's own.
    dataset = run.dataset.unranked if modality in data.auxiliary_classes else run.dataset
    return {
        "form": FORM,
        "dataset": dataset.decisive(),
        "data": data.fingerprint,
        "split": whole.sha256,
        "modality": modality,
        "encoder": run.encoders[modality].decisive(),
        "seed": run.seed,
        "results_version": RESULTS_VERSION,
    }


def _make(
    path: Path,
    run: RunSpec,
    modality: str,
    root: Path | None,
    on_epoch: OnEpoch,
    trunks: Trunks | None,
    facts: dict[str, Any],
) -> None:
    choice = run.encoders[modality]
    assert choice.pretrain is not None
    data = dataset_of(replace(run, budget=choice.pretrain), root)  # Its own batch size.
    data.setup()

    def trunk_of(encoder: Encoder) -> StoredTrunk | None:
        return trunks.of(run, modality, encoder, data) if trunks else None

    try:
        with seeded(run.seed, f"pretrain/{modality}"):
            found = pretrain(choice, modality, data, run.seed, on_epoch, trunk_of)
    except Diverged as error:
        raise UserError(
            f"pretraining of '{modality}' ({choice.name}) diverged: {error}; lower the learning_rate under its pretrain"
        ) from error
    buffer = io.BytesIO()
    torch.save({**vars(found), "spec": canonical_json(facts)}, buffer)
    write_over(path, buffer.getvalue())


def _read(path: Path, *, made: bool) -> Artefact:
    try:
        # Tensors and plain values alone: a file that holds code is refused, not run.
        found = torch.load(path, map_location="cpu", weights_only=True)
        weights, scores, metric, rows = (found[name] for name in ("weights", "scores", "metric", "rows"))
        if not (_are(weights, Tensor) and _are(scores, int | float) and f"validation/{metric}" in scores):
            raise ValueError("no tensors with their scores")
        return Artefact(path, dict(weights), dict(scores), str(metric), int(rows), made)
    except Exception as error:  # Whatever hostile bytes make of a reader.
        reason = str(error).partition("\n")[0][:120]
        raise UserError(f"{path}: damaged ({reason}); remove the file, it is made again") from error


def _are(values: object, kind: type | UnionType) -> bool:
    """Whether it is a mapping from names to such values."""
    if not isinstance(values, dict):
        return False
    return all(isinstance(name, str) and isinstance(value, kind) for name, value in values.items())
