"""One published run once more, in a folder of its own: what `verify` compares with its record."""

from __future__ import annotations

from dataclasses import dataclass

from fusionbench.bench.jobs import Message, Place, PrepareJob
from fusionbench.core.catalogue import PluginKind, describe
from fusionbench.core.errors import UserError
from fusionbench.engines.local import Watcher
from fusionbench.engines.runner import Runner
from fusionbench.plan.suite import Choice, Row, RunSpec, Suite
from fusionbench.plan.tracks import settled
from fusionbench.records.find import Found
from fusionbench.records.record import DataFacts, Record


class OtherData(Exception):
    """The data that are here are not those of the record: nothing was trained."""

    def __init__(self, then: str, now: str) -> None:
        super().__init__(f"fingerprint of the data: {then[:12]} then, {now[:12]} now")


def run_again(found: Found) -> RunSpec:
    """What is to be trained: the record's run, with what its trials chose written into it.

    Raises:
        UserError: the record has no score to compare, or what it was made with is not here any more.
    """
    record = found.record
    run = record.run
    if run.role == "trial":
        raise UserError(f"{record.key} is a trial, which is never tested; give the key of a final run")
    if record.status != "done":
        reason = f" ({' '.join(record.reason.split())})" if record.reason else ""
        raise UserError(f"{record.key} is {record.status}{reason}: there is no score to compare")
    for kind, choice in _plugins(run):
        _refuse_another(record.key, kind, choice)
    try:
        return settled(run, record.options)
    except KeyError as error:
        raise UserError(f"{found.path}: it does not say what its trials chose ({error.args[0]} is missing)") from error


def trained_again(
    found: Found, run: RunSpec, place: Place, watcher: Watcher, devices: int, gpus: tuple[str, ...]
) -> Record:
    """Train it, in one worker.

    Args:
        found: the record.
        run: as `run_again` gives it.
        place: another results folder than that of the record.
        watcher: shows what happens.
        devices: so many train it together.
        gpus: those to use.

    Raises:
        UserError: the data are missing or wrong, or something else that is the user's to mend.
        OtherData: they are others.
    """
    runner = _Again(suite_of(found, run), place, 1, watcher, devices, gpus, published=found.record.data)
    runner.run([run])
    record = runner.store.read(run)
    assert record is not None
    return record


def suite_of(found: Found, run: RunSpec) -> Suite:
    """The suite of a record with nothing in it but one run."""
    row = Row(run.dataset, run.strategy, run.encoders, run.track, run.other_half, run.space)
    return Suite(found.suite, (run.dataset,), (row,), (run.seed,), (run.track,), run.budget, ())


@dataclass
class _Again(Runner):
    """Looks before it trains whether the data are those of the record."""

    published: DataFacts | None = None

    def same_data(self, job: PrepareJob, message: Message) -> None:
        """OtherData if they are not."""
        now = str(message.facts["fingerprint"])
        if self.published is not None and self.published.fingerprint != now:
            raise OtherData(self.published.fingerprint, now)


def _plugins(run: RunSpec) -> list[tuple[PluginKind, Choice]]:
    encoders: list[tuple[PluginKind, Choice]] = [("encoder", choice) for choice in run.encoders.values()]
    return [("dataset", run.dataset), ("strategy", run.strategy), *encoders]


def _refuse_another(key: str, kind: PluginKind, choice: Choice) -> None:
    plugin = describe(kind, choice.name)
    if plugin.shipped and plugin.version != choice.version:
        raise UserError(
            f"{key}: {kind} '{choice.name}' was of version {choice.version}, here it is of version {plugin.version}; "
            "run its suite again, or use the fusionbench that made the record"
        )
    if choice.source and plugin.source != choice.source:
        raise UserError(
            f"{key}: {kind} '{choice.name}' was another: its file, or one that it imports, has changed since"
        )
