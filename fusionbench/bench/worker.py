"""One job in a process of its own: spec in, record out.

The process comes from a forkserver that has imported torch and lightning already. It ignores Ctrl-C (the launcher ends
it), and stops at the next epoch when the launcher is gone.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fusionbench.bench.build import build, dataset_of, seeded, setting_for
from fusionbench.bench.jobs import SESSION_MEASURES, Job, LatencyJob, MeasureJob, Message, Place, PrepareJob, TrainJob
from fusionbench.core.catalogue import load
from fusionbench.core.errors import Diverged, Interrupted, UserError
from fusionbench.data.base import MultimodalData
from fusionbench.fusion.base import FusionModule
from fusionbench.measure.latency import measure as measure_latency
from fusionbench.plan.load import slug
from fusionbench.plan.suite import RunSpec
from fusionbench.records.record import DataFacts, Record, Status
from fusionbench.records.store import Store
from fusionbench.training.fit import Fitted, evaluate, fit, quiet

LATENCY_SEED = 0


class Reporter:
    """The worker's end of the pipe to the launcher."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def send(self, message: Message) -> None:
        """Tell the launcher.

        Raises:
            Interrupted: it is gone.
        """
        try:
            self.connection.send(message)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Interrupted from error

    def progress(self, done: int, total: int, text: str = "") -> None:
        """So much of the job is done."""
        self.send(Message("progress", text, done, total))


def main(job: Job, connection: Connection, log: Path | None) -> None:
    """The process: does one job, tells how it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    report = Reporter(connection)
    quiet()
    torch.set_num_threads(job.place.threads)
    if not torch.cuda.is_available():
        # AdamW asks for CUDA in every step; without this each question opens the driver's library anew, 0.3 ms.
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    try:
        with _output_to(log):
            report.send(_do(job, report))
    except UserError as error:
        report.send(Message("user_error", str(error)))
    except Interrupted:
        os._exit(1)


def _do(job: Job, report: Reporter) -> Message:
    match job:
        case TrainJob():
            return _train(job, report)
        case MeasureJob():
            return _measure(job)
        case PrepareJob():
            return _prepare(job)
        case LatencyJob():
            return _latency(job, report)


# --- training --------------------------------------------------------------------------------------------------------


def _train(job: TrainJob, report: Reporter) -> Message:
    """A run always leaves a record: this is the one place that turns an exception into a status and a reason."""
    store = Store(job.place.results, job.place.suite)
    started = datetime.now(UTC)
    try:
        record = _trained(job, report, store, started)
    except (UserError, Interrupted):
        raise  # The user's to mend, or nobody's: no result of the strategy.
    except Diverged as error:
        record = _ended(job, "diverged", str(error), started)
    except OSError as error:
        raise UserError(f"{job.run.key}: {error.strerror}: {error.filename or job.place.results}") from error
    except Exception as error:
        traceback.print_exc()
        record = _ended(job, "failed", _reason(error), started)
    store.publish(record)
    facts = {"score": record.scores.get(record.metric) if record.scores else None, "seconds": record.train_seconds}
    return Message("finished", record.status, facts={**facts, "reason": record.reason})


def _trained(job: TrainJob, report: Reporter, store: Store, started: datetime) -> Record:
    run = job.run
    data = dataset_of(run, job.place.data)
    data.prepare_data()
    data.setup()
    setting = setting_for(run, data.task)
    facts = _data_facts(run, data)
    reason = load("strategy", run.strategy.name).unsuitable(setting)
    if reason:
        return _ended(job, "skipped", reason, started, data=facts)
    module = build(run, setting)
    _store_measures(store, job, module, data)
    total = run.budget.epochs
    with seeded(run.seed, "training"):
        fitted = fit(module, data, run.budget, lambda epoch, _: report.progress(epoch, total))
    tested = evaluate(module, data, run.budget)
    store.publish_arrays(run, tested.predictions)
    return _ended(
        job,
        "done",
        "",
        started,
        fitted,
        options={"width": setting.width, "head_width": setting.head_width},
        task=_task_facts(data),
        scores=tested.scores,
        test_evaluations=1,
        data=facts,
    )


def _ended(
    job: TrainJob,
    status: Status,
    reason: str,
    started: datetime,
    fitted: Fitted | None = None,
    **facts: Any,
) -> Record:
    training = (
        {}
        if fitted is None
        else {
            "validation": fitted.validation,
            "curves": fitted.curves,
            "epochs_run": fitted.epochs_run,
            "train_seconds": fitted.seconds,
        }
    )
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return Record(
        key=job.run.key,
        spec=job.run.to_json(),
        status=status,
        reason=reason,
        threads=job.place.threads,
        environment={**job.place.environment, "gpu": gpu},
        started=started.isoformat(timespec="milliseconds"),
        finished=datetime.now(UTC).isoformat(timespec="milliseconds"),
        **training,
        **facts,
    )


def _reason(error: Exception) -> str:
    """One line: the exception, and the last place of it that is not in a library."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename] or list(frames)
    place = f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}{place}"


# --- the other jobs --------------------------------------------------------------------------------------------------


def _measure(job: MeasureJob) -> Message:
    store = Store(job.place.results, job.place.suite)
    data = dataset_of(job.run, job.place.data)
    data.setup()
    _store_measures(store, job, build(job.run, setting_for(job.run, data.task)), data)
    return Message("finished", "measured")


def _store_measures(store: Store, job: TrainJob | MeasureJob, module: FusionModule, data: MultimodalData) -> None:
    assert data.parts is not None
    for choice in job.measures:
        if choice.name not in SESSION_MEASURES:
            batch = data.batch(data.parts.test[:2])
            values = load("measure", choice.name)(module, batch, **choice.options)
            store.publish_measure(job.run, choice.name, values)


def _prepare(job: PrepareJob) -> Message:
    data = dataset_of(job.runs[0], job.place.data)
    data.prepare_data()
    data.setup()
    for run in job.runs:
        setting = setting_for(run, data.task)
        if not load("strategy", run.strategy.name).unsuitable(setting):
            build(run, setting)
    return Message("finished", "prepared", facts=asdict(_data_facts(job.runs[0], data)))


def _latency(job: LatencyJob, report: Reporter) -> Message:
    started = datetime.now(UTC)
    data = dataset_of(job.runs[0], job.place.data)
    data.setup()
    assert data.parts is not None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rng = np.random.default_rng(LATENCY_SEED)
    test_rows = data.parts.test
    sizes = job.options["batch_sizes"]
    batches = {size: data.batch(np.sort(rng.choice(test_rows, size))).to(device) for size in sizes}
    modules = {}
    for run in job.runs:
        setting = setting_for(run, data.task)
        if not load("strategy", run.strategy.name).unsuitable(setting):
            modules[slug("strategy", run.strategy)] = build(run, setting).to(device)
    rows = measure_latency(
        modules, batches, rng, lambda done, total: report.progress(done, total, "latency"), **job.options
    )
    session = {
        "dataset": job.runs[0].dataset.to_json(),
        "options": job.options,
        "device": torch.cuda.get_device_name() if device == "cuda" else job.place.environment["cpu"],
        "environment": job.place.environment,
        "started": started.isoformat(timespec="milliseconds"),
        "finished": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "rows": rows,
    }
    path = Store(job.place.results, job.place.suite).publish_latency(job.runs[0].dataset, session)
    return Message("finished", "timed", facts={"path": str(path)})


# --- facts -----------------------------------------------------------------------------------------------------------


def _data_facts(run: RunSpec, data: MultimodalData) -> DataFacts:
    assert data.parts is not None
    return DataFacts(run.dataset.name, data.fingerprint, data.parts.sha256, data.parts.counts)


def _task_facts(data: MultimodalData) -> dict[str, Any]:
    task = data.task
    modalities = [{"name": m.name, "kind": m.kind, "shape": list(m.shape)} for m in task.modalities]
    return {"kind": task.kind, "classes": task.classes, "metric": task.metric, "modalities": modalities}


@contextmanager
def _output_to(log: Path | None) -> Iterator[None]:
    """Standard output and error, those of C code too, into a file that stays only if something was written."""
    if log is None:
        yield
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(log, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o644)
    sys.stdout.flush()
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)
    yield
    sys.stdout.flush()
    sys.stderr.flush()
    if log.stat().st_size == 0:
        log.unlink()
