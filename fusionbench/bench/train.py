"""Training one run: data, model, fit, one test, and a record whatever happens."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import torch

from fusionbench.bench.build import Unsuitable, data_facts, seeded, training_data
from fusionbench.bench.checkpoints import checkpoint_of
from fusionbench.bench.cost import counted
from fusionbench.bench.jobs import Message, Report, TrainJob
from fusionbench.bench.measuring import take_measures
from fusionbench.bench.ready import Ready, made_ready, seen
from fusionbench.bench.session import store_measures
from fusionbench.bench.weights import weights_of
from fusionbench.core.errors import Diverged, Interrupted, UserError, reason_of
from fusionbench.core.ranks import ALONE, Ranks
from fusionbench.data.base import MultimodalData
from fusionbench.metrics.scores import score_notes
from fusionbench.records.checkpoints import drop_checkpoints
from fusionbench.records.record import Record, Status
from fusionbench.records.store import Store
from fusionbench.records.weights import publish_weights
from fusionbench.training.checkpoint import Checkpoint, UnusableCheckpoint
from fusionbench.training.fit import OnEpoch, Tested, evaluate, fit
from fusionbench.training.group import can_be_shared, has_lost_another
from fusionbench.training.resamples import resamples_of, seed_of

Join = Callable[[], AbstractContextManager[None]]
"""Enters the group of the processes that train together; see training/group.py."""


def train(job: TrainJob, report: Report, ranks: Ranks = ALONE, join: Join = nullcontext) -> Message:
    """A run always leaves a record: this is the one place that turns an exception into a status and a reason.

    Of a group the first process publishes; if another fails, it says so and the launcher publishes.
    """
    store = Store(job.place.results, job.place.suite)
    started = datetime.now(UTC)
    if ranks.is_first:
        store.put_old_aside(job.run)  # With what lies beside it, before new files take their names.
        report.progress(0, job.run.budget.epochs, facts={"pid": os.getpid()})
    end = None
    try:
        end = _resumed(job, report, store, started, ranks, join)
        record = end.record
    except (UserError, Interrupted):
        raise  # The user's to mend, or nobody's: no result of the strategy.
    except Diverged as error:
        record = _ended(job, "diverged", str(error), started)
    except OSError as error:
        raise UserError(f"{job.run.key}: {error.strerror}: {error.filename or job.place.results}") from error
    except Exception as error:
        if ranks.world_size > 1 and (has_lost_another(error) or report.is_abandoned()):
            raise Interrupted from error  # The one that is gone has the reason.
        traceback.print_exc()
        record = _ended(job, "failed", reason_of(error), started)
    facts: dict[str, Any] = {"score": record.score, "seconds": record.train_seconds, "reason": record.reason}
    if ranks.is_first:
        store.publish(record)
        drop_checkpoints(store, [job.run])
        # After its record, so that no measure costs a run.
        if end is not None and end.ready is not None and run_is_measured(job, record):
            facts["unmeasured"] = take_measures(store, job, end.ready, report)
    return Message("finished", record.status, facts=facts)


def run_is_measured(job: TrainJob, record: Record) -> bool:
    """Whether measures of a trained model are taken: of a run that ended well and was tested."""
    return record.status == "done" and job.run.role == "final"


@dataclass(frozen=True)
class _End:
    """How a run ended, and the model with the weights of its best epoch."""

    record: Record
    ready: Ready | None = None


def _resumed(job: TrainJob, report: Report, store: Store, started: datetime, ranks: Ranks, join: Join) -> _End:
    """From where a killed process left it, if it left something of use."""
    kept = checkpoint_of(job, store, report, ranks)
    try:
        return _trained(job, report, store, started, ranks, join, kept)
    except UnusableCheckpoint as error:
        if ranks.world_size > 1:  # The others are in the middle of it.
            raise UserError(f"{kept.path}: {error}; remove it, and the run starts again") from error
        kept.ignore(str(error))
        return _trained(job, report, store, started, ranks, join, kept)


def _trained(
    job: TrainJob, report: Report, store: Store, started: datetime, ranks: Ranks, join: Join, kept: Checkpoint
) -> _End:
    run, data = job.run, training_data(job.run, job.place.data)
    facts = data_facts(run, data)
    try:
        ready = made_ready(run, data, job.place, store)
    except Unsuitable as reason:
        return _End(replace(_ended(job, "skipped", str(reason), started), data=facts))
    module, budget = ready.module, ready.chosen.budget
    if ranks.world_size > 1 and not can_be_shared(module):
        if not ranks.is_first:
            return _End(_ended(job, "done", "", started))
        ranks, join = ALONE, nullcontext
    data.share_out(ranks)
    if ranks.is_first:
        store_measures(store, job, module, data)
    with join(), seen(job.place, run, ready) as found, counted() as cost:
        with seeded(run.seed, "training"):
            fitted = fit(module, found, budget, _teller(report, run.budget.epochs, ranks), kept)
        tested = evaluate(module, found, budget) if run.role == "final" else None  # A trial never sees a test row.
    if ranks.is_first and tested:
        _publish_tested(store, job, tested, ready)
    record = replace(
        _ended(job, "done", "", started),
        devices=ranks.world_size,
        options=ready.options,
        task=_task_facts(data),
        scores=tested.scores if tested else {},
        validation=fitted.validation,
        curves=fitted.curves,
        test_evaluations=1 if tested else 0,
        train_seconds=fitted.seconds,
        epochs_run=fitted.epochs_run,
        notes=[*module.notes(), *score_notes(module.test_scores)],
        cost=cost,
        data=facts,
    )
    return _End(record, ready)


def _publish_tested(store: Store, job: TrainJob, tested: Tested, ready: Ready) -> None:
    """Predictions, scores on resampled test rows (what is drawn depends on the data alone), weights if asked for."""
    run, data = job.run, ready.data
    assert data.parts is not None
    if job.keep_weights:
        publish_weights(store, run, weights_of(ready.module), tested.scores)
    found, seed = tested.predictions, seed_of(data.fingerprint, data.parts.test_sha256)
    store.publish_arrays(run, found)
    store.publish_resamples(run, resamples_of(run.key, found, data.asked, seed, data.groups(found["ids"])))


def _teller(report: Report, total: int, ranks: Ranks) -> OnEpoch:
    """Progress to the launcher, by the first process of a group alone."""
    return lambda epoch, found: report.progress(epoch, total, facts=found) if ranks.is_first else None


def _ended(job: TrainJob, status: Status, reason: str, started: datetime) -> Record:
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return Record(
        key=job.run.key,
        spec=job.run.to_json(),
        status=status,
        reason=reason,
        threads=job.place.threads,
        devices=job.devices,
        environment={**job.place.environment, "gpu": gpu},
        started=started.isoformat(timespec="milliseconds"),
        finished=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )


def _task_facts(data: MultimodalData) -> dict[str, Any]:
    task = data.asked
    modalities = [{"name": m.name, "kind": m.kind, "shape": list(m.shape)} for m in task.modalities]
    return {"kind": task.kind, "classes": task.classes, "metric": task.metric, "modalities": modalities}
