"""How fast one job goes, and how long it will still take: what its claim says of it to others."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from fusionbench.bench.jobs import Message


class Pace:
    """Of one job, from its start on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.began = clock()
        self._first: tuple[int, float] | None = None
        """How much was done when it was first heard of, and when that was: one that goes on begins in the middle."""
        self._named: dict[str, Any] = {}
        """Which process does it, and in which try, if not the first."""

    def facts(self, message: Message) -> dict[str, Any]:
        """What a message of progress tells: how much is done of how much, in how many seconds, and how many more."""
        now = self.clock()
        if "pid" in message.facts:
            tries = {"tries": message.facts["tries"]} if "tries" in message.facts else {}
            self._named = {"worker": message.facts["pid"], **tries}
            self._first = None
        if self._first is None or "resumed" in message.facts:
            self._first = message.done, now
        done, since = self._first
        each = (now - since) / (message.done - done) if message.done > done else None
        left = None if each is None else round(each * (message.total - message.done), 1)
        facts = {"done": message.done, "total": message.total, "ran_s": round(now - self.began, 1), "left_s": left}
        return {**facts, **self._named}
