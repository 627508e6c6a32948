"""Steps of rows timed, of which nothing is known yet on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fusionbench.api.foresight import Foresight
from fusionbench.bench.jobs import TimeJob
from fusionbench.core.errors import UserError
from fusionbench.engines.job_files import JobFiles
from fusionbench.engines.rows import grouped
from fusionbench.plan.names import slug
from fusionbench.plan.suite import RunSpec
from fusionbench.records.timings import Timing, row_key


@dataclass(frozen=True)
class Untimed:
    """A row, or an encoder, that could not be timed, and why."""

    name: str
    reason: str


def to_time(foresight: Foresight) -> list[TimeJob]:
    """A job for each row and each encoder of which nothing is known."""
    runner, known = foresight.runner, foresight.estimates.timings
    rows = [TimeJob(runner.place, run, runner.suite.measures) for run in foresight.unknown()]
    encoders: dict[str, TimeJob] = {}
    for run in foresight.waiting():
        needed = [("pretrain", name) for name in run.pretrained]
        needed += [("encode", name) for name in run.encoders if runner.place.stores(run)]
        for name in dict.fromkeys(name for what, name in needed if known.get(row_key(run, what, name)) is None):
            encoders.setdefault(row_key(run, "encode", name), TimeJob(runner.place, run, runner.suite.measures, name))
    return [*encoders.values(), *rows]


def time_rows(foresight: Foresight, jobs: Iterable[TimeJob]) -> list[Untimed]:
    """Time them, as many at a time as will train; what is found is kept beside the data.

    Returns:
        Those that could not be timed.

    Raises:
        OSError: what was found cannot be written.
        KeyboardInterrupt: stopped; what was found so far is lost.
    """
    return list(_timed(foresight, jobs))


def _timed(foresight: Foresight, jobs: Iterable[TimeJob]) -> Iterator[Untimed]:
    runner, found = foresight.runner, dict[str, Timing]()
    for several in grouped(jobs, lambda job: slug("dataset", job.run.dataset)):
        try:
            runner.prepare([job.run for job in several])
        except UserError as error:  # Its data are not here, or wrong; others may be timed.
            yield Untimed(slug("dataset", several[0].run.dataset), " ".join(str(error).split()))
            continue
        for job, message in runner.pool.run(several, JobFiles(runner.store)):
            assert isinstance(job, TimeJob)
            if "timings" in message.facts:
                found |= {key: Timing(**one) for key, one in message.facts["timings"].items()}
            else:
                yield Untimed(name_of(job.run, job.modality), message.facts["reason"])
    foresight.estimates.timings.add(found)


def name_of(run: RunSpec, modality: str = "") -> str:
    """A row, or an encoder, as a line names it."""
    what = f"encoder of {modality}" if modality else slug("strategy", run.strategy)
    return f"{slug('dataset', run.dataset)} / {what}"
