"""Tells W&B what happens while a suite runs, through a process of its own: whatever that waits for, training does not.

Events go into a bounded queue, from there by a thread into the process (publish/feed.py), as lines of JSON. Where it
stands still the pipe fills, then the queue, and further events are dropped: the records have all that they said.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from queue import Empty, Full, Queue
from threading import Thread
from typing import Any

from fusionbench.plan.suite import RunSpec

LENGTH = 1000
"""Events that may wait."""
GRACE_S = 20.0
"""For the process to end what it is at, when training is over."""
COMMAND = (sys.executable, "-P", "-m", "fusionbench.publish.feed")

Event = Mapping[str, Any]


def epoch(run: RunSpec, number: int, facts: Mapping[str, Any]) -> Event:
    """An epoch is over; number 0 before the first.

    Args:
        run: which is trained.
        number: from 1 on.
        facts: the epoch's scores; of number 0, "pid" of the process that trains.
    """
    return {"event": "epoch", "key": run.key, "epoch": number, "facts": dict(facts)}


def ended(run: RunSpec) -> Event:
    """The run has a record."""
    return {"event": "ended", "key": run.key}


class Feed:
    """The process, and what goes to it."""

    def __init__(self, first: Mapping[str, Any], *, command: Sequence[str] = (), is_heard: bool = False) -> None:
        """Start it.

        Args:
            first: what it reads first; see `feed.Feeder`.
            command: what is started; COMMAND if empty.
            is_heard: whether what it says is shown, else thrown away.
        """
        output = None if is_heard else subprocess.DEVNULL
        self.dropped = 0
        self._events: Queue[Event | None] = Queue(LENGTH)
        self._process = subprocess.Popen(  # noqa: S603  (our own interpreter)
            list(command or COMMAND),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for us, who end it.
        )
        self.tell(first)
        self._thread = Thread(target=self._write, daemon=True)
        self._thread.start()

    def tell(self, event: Event) -> None:
        """Say what happened; never waits."""
        try:
            self._events.put_nowait(event)
        except Full:
            self.dropped += 1

    def close(self, grace_s: float | None = None) -> None:
        """No more will come: let it end what it is at, for GRACE_S or as long as is said; then end it."""
        while True:
            try:
                self._events.put_nowait(None)
                break
            except Full:
                with suppress(Empty):
                    self._events.get_nowait()  # What waits in so long a queue will not be sent in time.
        try:
            self._process.wait(GRACE_S if grace_s is None else grace_s)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)  # With all that it has started.
            self._process.wait()
        self._thread.join()

    def _write(self) -> None:
        assert self._process.stdin is not None
        # Of a process that is gone, what comes is taken from the queue and forgotten.
        with suppress(OSError), self._process.stdin as pipe:
            while (event := self._events.get()) is not None:
                pipe.write(json.dumps(event).encode() + b"\n")
                pipe.flush()
