"""One job on a node of a Ray cluster: done as on any machine, in a folder of its own, whose files go home as bytes.

The process is Ray's, and imports no torch: it starts workers from a forkserver, as a launcher does. Ray keeps it for
the next run, and the server with it.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fusionbench.bench.jobs import Job, LatencyJob, Message
from fusionbench.core.errors import UserError
from fusionbench.engines.gpus import VISIBLE, visible_gpus
from fusionbench.engines.job_files import JobFiles
from fusionbench.engines.local import Pool
from fusionbench.engines.own_code import made_importable
from fusionbench.records.environment import environment
from fusionbench.records.store import Store

TELL_S = 0.5
"""No more often does a node tell how far it is."""


@dataclass(frozen=True)
class Errand:
    """A job, and what a node needs to do it."""

    number: int
    """Its mark on what is told of it."""
    job: Job
    records: Mapping[str, bytes]
    """Files of the suite's folder that it reads, such as those of trials."""
    code: Mapping[str, bytes]
    """Plug-ins of the user's own; see own_code.py."""
    folder: str
    """The working folder of who asked, and below, where Python looks there: used where a node has them."""
    search_path: tuple[str, ...]
    has_gpus: bool
    """Whether it has a share of any."""


@dataclass(frozen=True)
class Returned:
    """What came of it."""

    message: Message
    files: Mapping[str, bytes]
    """All that it left in the suite's folder, by path."""
    node: str


def do_errand(errand: Errand, mailbox: Any) -> Returned:
    """The task: do the job and bring its files back; a mistake of the user's is a message."""
    _look_where_it_came_from(errand)
    if not errand.has_gpus:
        os.environ[VISIBLE] = ""
    with tempfile.TemporaryDirectory(prefix="fusionbench-run-") as folder:
        place = replace(errand.job.place, results=Path(folder), environment=environment())
        store = Store(place.results, place.suite)
        for name, content in errand.records.items():
            path = store.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        watcher = _Teller(errand.number, mailbox)
        try:
            ((_, message),) = Pool(1, watcher, visible_gpus()).run(
                [replace(errand.job, place=place)],
                JobFiles(store, timed=lambda _: False),
            )
        except UserError as error:
            message = Message("user_error", f"{error}\n(on node {platform.node()})")
        watcher.flush()
        return Returned(message, _left_in(store.root, errand), platform.node())


def _look_where_it_came_from(errand: Errand) -> None:
    """Own modules and relative paths as for who asked, where this machine has the same folders."""
    sys.path += [folder for folder in errand.search_path if folder not in sys.path and Path(folder).exists()]
    code = made_importable(errand.code)
    os.chdir(errand.folder if Path(errand.folder).is_dir() else code)


def _left_in(root: Path, errand: Errand) -> dict[str, bytes]:
    """Files of the job: none that it was given, no claims."""
    paths = [path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".")]
    named = {str(path.relative_to(root)): path for path in paths if path.suffix != ".lock"}
    return {name: path.read_bytes() for name, path in named.items() if name not in errand.records}


class _Teller:
    """Tells who asked how far the job is, several messages at a time."""

    def __init__(self, number: int, mailbox: Any) -> None:
        self.number, self.mailbox = number, mailbox
        self._kept: list[Message] = []
        self._told = 0.0

    def progress(self, job: Job, message: Message) -> None:
        """Of a latency session the last alone counts, of training every epoch."""
        self._kept = [message] if isinstance(job, LatencyJob) else [*self._kept, message]
        if time.monotonic() - self._told >= TELL_S:
            self.flush()

    def flush(self) -> None:
        """Send what was kept."""
        if self._kept:
            self.mailbox.put.remote(self.number, self._kept)
        self._kept, self._told = [], time.monotonic()

    def started(self, job: Job) -> None:
        """Known to who asked."""

    def ended(self, job: Job, message: Message) -> None:
        """Likewise."""

    def waiting(self, count: int, holder: str) -> None:
        """Nobody else works in this folder."""

    def more(self, count: int) -> None:
        """There is one job."""

    def told(self, line: str) -> None:
        """A node's notices are nobody's."""
