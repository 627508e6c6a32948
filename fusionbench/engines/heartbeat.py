"""A worker's heartbeat: told to its launcher as long as it computes, so that one that hangs is known by its silence.

A thread that beat by itself would beat on while the training beside it waits for ever. So it beats when the process has
used its processor since, or waits for another process that is at work. What hangs does neither: a deadlock, a process
that was stopped, a call that sleeps. One that computes for ever is no silent one: for that there is a time limit.
"""

from __future__ import annotations

import faulthandler
import signal
import time
from collections.abc import Callable
from threading import Thread

from fusionbench.bench.jobs import Message, Report
from fusionbench.core import locks
from fusionbench.core.errors import Interrupted

BEAT_S = 10.0
BEATS = 4
"""So many at least in the time after which silence counts."""
SHARE = 0.01
"""Of one core; what waits within C code that looks about itself uses far less."""
STACK = signal.SIGURG
"""Has a worker write where it is to its log; by default a process ignores it."""


class Heartbeat(Thread):
    """Beats for as long as its process lives."""

    def __init__(self, report: Report, silent_after: float, used: Callable[[], float] = time.process_time) -> None:
        super().__init__(daemon=True)
        self.report, self.every, self.used = report, min(BEAT_S, silent_after / BEATS), used

    def run(self) -> None:
        """Look again and again."""
        before = self.used()
        while True:
            time.sleep(self.every)
            now = self.used()
            is_waiting = time.monotonic() - locks.last_wait_s < self.every
            if now - before >= SHARE * self.every or is_waiting:
                try:
                    self.report.send(Message("beat"))
                except Interrupted:  # The launcher is gone, as what works here will find out.
                    return
            before = now


def tell_where() -> None:
    """From now on the process writes to standard error where it is: when it is asked to, or before it crashes."""
    faulthandler.enable(file=2, all_threads=False)
    faulthandler.register(STACK, file=2, all_threads=False, chain=False)
