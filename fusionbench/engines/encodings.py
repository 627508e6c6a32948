"""Encoders and their stored encodings around the runs that read them: made before these, encodings gone after them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from fusionbench.bench.jobs import EncodeJob, Message, Place, PretrainJob
from fusionbench.core.canonical import canonical_json
from fusionbench.data.store import remove
from fusionbench.engines.deadline import Deadline
from fusionbench.engines.job_files import JobFiles
from fusionbench.engines.local import Pool
from fusionbench.plan.suite import RunSpec


@dataclass
class Encodings:
    """Those of one suite."""

    place: Place
    pool: Pool
    files: JobFiles
    keep: bool
    """Whether they stay."""
    folders: set[Path] = field(default_factory=set)
    """What was made or found for runs, and not forgotten yet."""
    trunks: set[Path] = field(default_factory=set)
    """What frozen networks give, which all seeds have in common."""

    def make(self, runs: Iterable[RunSpec], deadline: Deadline | None = None) -> bool:
        """Encoders trained beforehand, and all that runs read stored; whether there was time for all of it.

        Args:
            runs: which; seed by seed, first runs come sooner.
            deadline: none is begun that would not be done by then.

        Raises:
            UserError: the disk is full, a file is damaged, or pretraining diverged.
        """
        runs = list(runs)
        return all(self._done(jobs, deadline) for jobs in (self.pretraining(runs), self.jobs(runs)))

    def _done(self, jobs: Sequence[PretrainJob | EncodeJob], deadline: Deadline | None) -> bool:
        done = self.pool.run(jobs, self.files, deadline)
        for _, message in done:
            self.note(message)
        return len(done) == len(jobs)

    def note(self, message: Message) -> None:
        """Remember what a job that is done has made or found."""
        if "path" in message.facts:
            self.folders.add(Path(message.facts["path"]))
        self.trunks.update(Path(folder) for folder in message.facts.get("trunks", ()))

    def pretraining(self, runs: Iterable[RunSpec]) -> list[PretrainJob]:
        """Encoders to be trained beforehand, a job per encoder that several runs share."""
        jobs = (PretrainJob(self.place, run, name) for run in runs for name in run.pretrained)
        return list({shared_encoder(job.run, job.modality): job for job in jobs}.values())

    def jobs(self, runs: Iterable[RunSpec]) -> list[EncodeJob]:
        """One per modality that several runs share."""
        jobs = (EncodeJob(self.place, run, name) for run in runs if self.place.stores(run) for name in run.encoders)
        named = {(shared_encoder(job.run, job.modality), job.run.trains_on_other_half): job for job in jobs}
        return list(named.values())

    def forget(self) -> None:
        """Remove those of a seed; another runner that reads them keeps what it has opened, and makes the rest again."""
        self._remove(self.folders)

    def forget_trunks(self) -> None:
        """Remove what frozen networks give: no seed is left that needs it."""
        self._remove(self.trunks)

    def _remove(self, folders: set[Path]) -> None:
        for folder in folders if not self.keep else ():
            for one in (*_changed(folder), folder):
                remove(one)
        folders.clear()


def shared_encoder(run: RunSpec, modality: str) -> str:
    """What decides an encoder that is trained beforehand, as text."""
    return canonical_json([run.dataset.decisive(), modality, run.encoders[modality].decisive(), run.seed])


def _changed(folder: Path) -> list[Path]:
    """Those of rows that measures have changed, which are named after those of the rows as they are."""
    with suppress(OSError):
        return [one for one in folder.parent.iterdir() if one.name.startswith(f"{folder.name}-") and one.is_dir()]
    return []
