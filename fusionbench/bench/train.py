"""Training one run: data, model, fit, one test, and a record whatever happens."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import torch

from fusionbench.bench.artefacts import load_pretrained
from fusionbench.bench.build import Unsuitable, build, data_facts, fixed_for, seeded, training_data
from fusionbench.bench.encodings import encoded_data
from fusionbench.bench.jobs import Message, Report, TrainJob
from fusionbench.bench.session import store_measures
from fusionbench.bench.trunks import Trunks, through_trunks
from fusionbench.bench.tuning import chosen_by_trials
from fusionbench.core.errors import Diverged, Interrupted, UserError, reason_of
from fusionbench.core.ranks import ALONE, Ranks
from fusionbench.data.base import MultimodalData
from fusionbench.fusion.base import FusionModule
from fusionbench.metrics.scores import score_notes
from fusionbench.plan.suite import RunSpec
from fusionbench.records.record import Record, Status
from fusionbench.records.store import Store
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
    try:
        record = _trained(job, report, store, started, ranks, join)
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
    if ranks.is_first:
        store.publish(record)
    facts = {"score": record.score, "seconds": record.train_seconds}
    return Message("finished", record.status, facts={**facts, "reason": record.reason})


def _trained(job: TrainJob, report: Report, store: Store, started: datetime, ranks: Ranks, join: Join) -> Record:
    run = job.run
    data = training_data(run, job.place.data)
    facts = data_facts(run, data)
    try:
        fixed = fixed_for(run, data.asked)
    except Unsuitable as reason:
        return replace(_ended(job, "skipped", str(reason), started), data=facts)
    chosen = chosen_by_trials(run, store)
    module = build(run, chosen.applied(fixed.setting))
    pretrained = load_pretrained(module, run, data, job.place.data, Trunks() if job.place.stored_encodings else None)
    if ranks.world_size > 1 and not can_be_shared(module):
        if not ranks.is_first:
            return _ended(job, "done", "", started)
        ranks, join = ALONE, nullcontext
    data.share_out(ranks)
    if ranks.is_first:
        store_measures(store, job, module, data)
    with join(), _seen(job, module, data) as seen:
        with seeded(run.seed, "training"):
            fitted = fit(module, seen, chosen.budget, _teller(report, run.budget.epochs, ranks))
        tested = (
            evaluate(module, seen, chosen.budget) if run.role == "final" else None
        )  # A trial never sees a test row.
    if ranks.is_first and tested:
        _publish_tested(store, run, tested, data)
    return replace(
        _ended(job, "done", "", started),
        devices=ranks.world_size,
        options=fixed.options | dict(chosen.facts) | ({"pretrained": pretrained} if pretrained else {}),
        task=_task_facts(data),
        scores=tested.scores if tested else {},
        validation=fitted.validation,
        curves=fitted.curves,
        test_evaluations=1 if tested else 0,
        train_seconds=fitted.seconds,
        epochs_run=fitted.epochs_run,
        notes=[*module.notes(), *score_notes(module.test_scores)],
        data=facts,
    )


def _seen(job: TrainJob, module: FusionModule, data: MultimodalData) -> AbstractContextManager[MultimodalData]:
    """What the model trains on and is tested with: encodings, what frozen trunks give, or the data as they are."""
    if job.place.stores(job.run):
        return nullcontext(encoded_data(job.run, module, data))
    if job.place.stored_encodings and job.run.is_frozen:
        return through_trunks(job.run, module, data)
    return nullcontext(data)


def _publish_tested(store: Store, run: RunSpec, tested: Tested, data: MultimodalData) -> None:
    """Predictions, and the scores on resampled test rows: what is drawn depends on the data alone."""
    assert data.parts is not None
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
