"""A time limit: when it is over nothing more begins, and no seed begins that would not be whole by then."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Deadline:
    """So many seconds from now."""

    seconds: float
    clock: Callable[[], float] = time.monotonic
    began: float = field(init=False)
    _done: int = 0
    _took: float = 0.0

    def __post_init__(self) -> None:
        self.began = self.clock()

    @property
    def left(self) -> float:
        """Seconds; negative when it is over."""
        return self.began + self.seconds - self.clock()

    @property
    def is_over(self) -> bool:
        """Whether nothing more may begin."""
        return self.left <= 0

    def learn(self, runs: int, seconds: float) -> None:
        """So many runs took so long together."""
        self._done, self._took = self._done + runs, self._took + seconds

    def has_room_for(self, runs: int) -> bool:
        """Whether so many would be done by then, as far as those before tell; the first may always begin."""
        expected = self._took / self._done * runs if self._done else 0.0
        return not self.is_over and expected <= self.left
