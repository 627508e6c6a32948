"""The process that sends to W&B while a suite runs, started by publish/live.py, which writes to its standard input.

Each record goes once it is there. Where that was asked for, epochs and the use of devices go to a live run; when the
run has a record, that takes its place, whole, under the same id.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fusionbench.core.errors import UserError
from fusionbench.plan.load import load_suite
from fusionbench.plan.suite import RunSpec, Suite
from fusionbench.publish.mirror import beginning
from fusionbench.publish.offline import clear, files_root, settings, tags_of
from fusionbench.publish.places import Target
from fusionbench.publish.sending import alone, record_runs, sent_to_server, set_up
from fusionbench.records.store import Store

PRIORITY = 10
"""Training comes first: beside it, as `nice` counts, this gets a tenth of a processor."""
EVERY_S, LATER_S = 15.0, 60.0
"""Between two pushes of records, each of which starts a command of W&B's; and after one that failed."""
SAMPLING_S = 5.0
"""Between two looks at processor, memory and GPUs."""
ANSWER_S = 20
"""For the server to take a live run up, and to have all of it."""


def main() -> None:
    """Do what the lines say until they end."""
    os.nice(PRIORITY)
    sys.path.append(str(Path.cwd()))  # As the command line does: a suite may name the user's own modules.
    lines = _lines(sys.stdin.fileno())
    first = json.loads(next(line for line in lines if line))
    suite = load_suite(first["suite"], first["set"])
    store = Store(Path(first["results"]), suite.name)
    target = Target("online", first["project"], first["entity"])
    with set_up(store, target):
        import wandb

        if wandb.login(prompt=False, verify=False):
            feeder = Feeder(suite, store, target, first["host"] if first["live"] else "")
            for line in lines:
                feeder.take(json.loads(line)) if line else feeder.push_if_due()
            feeder.close()


class Feeder:
    """What is open and what is still to be sent."""

    def __init__(self, suite: Suite, store: Store, target: Target, host: str) -> None:
        """Nothing yet.

        Args:
            suite: whose runs these are.
            store: has their records.
            target: a server.
            host: the hash of this machine; empty: no live runs.
        """
        self.suite, self.store, self.target, self.host = suite, store, target, host
        self.runs = {run.key: run for run in suite.runs()}
        self.live: dict[str, Any] = {}
        """By key, W&B's runs that are open."""
        self.waiting: dict[str, RunSpec] = {}
        """By key, runs with a record that is not sent."""
        self.next_push = 0.0

    def take(self, event: dict[str, Any]) -> None:
        """Do what an event asks for; one of a run that is not the suite's asks for nothing."""
        run = self.runs.get(event["key"])
        if run is None:
            return
        if event["event"] == "ended":
            self._finish(run.key)
            self.waiting[run.key] = run
        elif self.host and event["event"] == "epoch":
            self._epoch(run, event["epoch"], event["facts"])
        self.push_if_due()

    def push_if_due(self) -> None:
        """Send the records that wait, all at once, if the last time is long enough ago."""
        if not self.waiting or time.monotonic() < self.next_push:
            return
        runs = list(self.waiting.values())
        try:
            with alone(self.store):
                sent_to_server(self.store, record_runs(self.suite, self.store, runs), self.target)
            self.waiting.clear()
            self.next_push = time.monotonic() + EVERY_S
        except UserError:
            self.next_push = time.monotonic() + LATER_S  # What is kept goes with the next, or at the end of the suite.

    def close(self) -> None:
        """End live runs whose training was cut off; records that wait are for who started us."""
        for key in list(self.live):
            self._finish(key)

    def _epoch(self, run: RunSpec, number: int, facts: dict[str, Any]) -> None:
        try:
            if run.key not in self.live:
                self.live[run.key] = self._begun(run, facts.get("pid"))
            if number:
                self.live[run.key].log(facts, step=number, commit=True)
        except Exception:  # noqa: BLE001  (wandb has no one class for what it raises)
            self.host = ""  # No network: live runs are for those who watch, and would keep the records waiting.

    def _begun(self, run: RunSpec, pid: int | None) -> Any:
        """A live run, with the use of devices by the process that trains."""
        import wandb

        content, root = beginning(self.suite, run, self.host), files_root(self.store)
        clear(root, content.id)
        chosen = settings(root, self.host, "online")
        # What W&B calls machine info are its samples too; x_disable_meta keeps back the machine itself.
        chosen.x_disable_stats = chosen.x_disable_machine_info = False
        chosen.x_stats_sampling_interval = SAMPLING_S
        chosen.x_stats_pid = pid or chosen.x_stats_pid
        chosen.init_timeout, chosen.finish_timeout = ANSWER_S, ANSWER_S
        return wandb.init(
            project=self.target.project,
            entity=self.target.entity or None,
            id=content.id,
            group=content.group,
            job_type=content.job_type,
            name=content.name,
            tags=tags_of(content),
            config=content.config,
            reinit="create_new",
            settings=chosen,
        )

    def _finish(self, key: str) -> None:
        live = self.live.pop(key, None)
        if live is not None:
            live.finish()


def _lines(source: int) -> Iterator[str]:
    """Line by line; an empty one where none has come for a second."""
    rest = b""
    while True:
        if not select.select([source], [], [], 1.0)[0]:
            yield ""
            continue
        read = os.read(source, 65536)
        if not read:
            return
        *whole, rest = (rest + read).split(b"\n")
        yield from (line.decode() for line in whole)


if __name__ == "__main__":
    main()
