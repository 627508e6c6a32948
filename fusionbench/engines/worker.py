"""One job in a process of its own: spec in, record out.

The process comes from a forkserver that has imported torch and lightning already. It ignores Ctrl-C (the launcher ends
it), and stops at the next epoch when the launcher is gone.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Thread

import torch

from fusionbench.bench.artefacts import pretrain_one
from fusionbench.bench.build import refuse_changed
from fusionbench.bench.encodings import encode_one
from fusionbench.bench.jobs import (
    AboutModel,
    EncodeJob,
    ExplainJob,
    ExportJob,
    Job,
    LatencyJob,
    MeasureJob,
    Message,
    PrepareJob,
    PretrainJob,
    RendezvousJob,
    Report,
    TimeJob,
    TrainJob,
    WorkerContext,
    runs_of,
)
from fusionbench.bench.measuring import measure
from fusionbench.bench.session import prepare, time_strategies
from fusionbench.bench.timing import time_steps
from fusionbench.bench.train import train
from fusionbench.core.errors import Interrupted, UserError
from fusionbench.core.output import never_fail
from fusionbench.engines.forkserver import forget_server_settings
from fusionbench.engines.gpus import VISIBLE
from fusionbench.engines.heartbeat import Heartbeat, tell_where
from fusionbench.engines.logs import remove_if_empty
from fusionbench.training.fit import quiet
from fusionbench.training.group import backend, joined, store_at


def main(job: Job, connection: Connection, context: WorkerContext) -> None:
    """The process: does one job, tells how it ended."""
    if context.gpus:
        os.environ[VISIBLE] = ",".join(context.gpus)  # Before anything asks CUDA, which reads it once.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    forget_server_settings()
    tell_where()
    never_fail()  # What a plug-in prints is no reason to lose its run.
    report = Report(connection)
    if report.is_abandoned():
        os._exit(1)  # Interrupted while the server was starting.
    if job.place.silent_after < float("inf"):
        Heartbeat(report, job.place.silent_after).start()
    quiet()
    torch.set_num_threads(job.place.threads)
    if not torch.cuda.is_available():
        # AdamW asks for CUDA in every step; without this each question opens the driver's library anew, 0.3 ms.
        os.environ[VISIBLE] = ""
    if context.ranks.world_size > 1:
        # Others of the group may wait for this one where they cannot look whether the launcher is still there.
        Thread(target=report.await_end, daemon=True).start()
    try:
        with _output_to(context.log):
            message = _do(job, report, context)
            report.send(message)
            if message.text == "failed" and context.ranks.world_size > 1:
                report.await_end()
    except UserError as error:
        report.send(Message("user_error", str(error)))
    except Interrupted:
        if context.ranks.world_size > 1:
            report.await_end()
        os._exit(1)


def _do(job: Job, report: Report, context: WorkerContext) -> Message:
    refuse_changed(runs_of(job))
    match job:
        case TrainJob():
            message = train(job, report, context.ranks, partial(_joined_group, context))
        case TimeJob():
            message = time_steps(job)
        case RendezvousJob():
            message = rendezvous_only(context)
        case MeasureJob():
            message = measure(job, report)
        case PrepareJob():
            message = prepare(job)
        case PretrainJob():
            message = pretrain_one(job, report)
        case EncodeJob():
            message = encode_one(job, report)
        case LatencyJob():
            message = _time_forms(job, report) if job.forms else time_strategies(job, report)
        case ExportJob() | ExplainJob():
            message = _about_model(job, report)
    return message


@contextmanager
def _joined_group(context: WorkerContext) -> Iterator[None]:
    """The group for as long as it trains; one process is none."""
    if context.ranks.world_size == 1:
        yield
        return
    with joined(context.ranks, store_at(context.port, context.listener, context.ranks.world_size)):
        yield


def _time_forms(job: LatencyJob, report: Report) -> Message:
    from fusionbench.bench.forms import time_forms  # Here: torch.export takes long to import, and few jobs need it.

    return time_forms(job, report)


def _about_model(job: AboutModel, report: Report) -> Message:
    if isinstance(job, ExportJob):
        from fusionbench.bench.export import export

        return export(job, report)
    from fusionbench.bench.explain import explain

    return explain(job, report)


def rendezvous_only(context: WorkerContext) -> Message:
    """Come together and part again; the message says over what."""
    with _joined_group(context):
        pass
    return Message("finished", "joined", facts={"backend": backend() if context.ranks.world_size > 1 else "none"})


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
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        remove_if_empty(log)
