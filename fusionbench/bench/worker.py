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
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from fusionbench.bench.artefacts import pretrain_one
from fusionbench.bench.jobs import Job, LatencyJob, MeasureJob, Message, PrepareJob, PretrainJob, Report, TrainJob
from fusionbench.bench.session import measure, prepare, time_strategies
from fusionbench.bench.train import train
from fusionbench.core.errors import Interrupted, UserError
from fusionbench.training.fit import quiet


def main(job: Job, connection: Connection, log: Path | None) -> None:
    """The process: does one job, tells how it ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    report = Report(connection)
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


def _do(job: Job, report: Report) -> Message:
    match job:
        case TrainJob():
            return train(job, report)
        case MeasureJob():
            return measure(job)
        case PrepareJob():
            return prepare(job)
        case PretrainJob():
            return pretrain_one(job, report)
        case LatencyJob():
            return time_strategies(job, report)


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
        if log.stat().st_size == 0:
            log.unlink()
