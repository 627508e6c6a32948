"""Which of the processes that train one model together this one is, and which part of a batch is its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Ranks:
    """One process of a group; a process that trains alone is the only one of its group."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    """Its number on its machine: which of the GPUs there it uses."""
    local_world_size: int = 1
    """How many of the group are on its machine."""

    @property
    def is_first(self) -> bool:
        """Whether it is the one that publishes, prints and talks to the launcher."""
        return self.rank == 0

    def span(self, count: int) -> slice:
        """Its part of so many things in a row: parts follow each other by rank, and differ by one thing at most.

        >>> [Ranks(rank, 3).span(8) for rank in range(3)]
        [slice(0, 3, None), slice(3, 6, None), slice(6, 8, None)]
        """
        each, more = divmod(count, self.world_size)
        start = self.rank * each + min(self.rank, more)
        return slice(start, start + each + (self.rank < more))


ALONE = Ranks()


def ranks_under_torchrun(environment: Mapping[str, str]) -> Ranks | None:
    """This process's place among those that torchrun has started; None if it has not.

    >>> ranks_under_torchrun({"TORCHELASTIC_RUN_ID": "a", "RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1",
    ...     "LOCAL_WORLD_SIZE": "4"})
    Ranks(rank=5, world_size=8, local_rank=1, local_world_size=4)
    """
    if "TORCHELASTIC_RUN_ID" not in environment:
        return None
    return Ranks(*(int(environment[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")))
