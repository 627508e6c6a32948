"""A family: rows of a table that are tested pair by pair."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """A name, and which rows it has."""

    name: str
    members: tuple[str, ...]
    """Strategies, all rows of each (`gated_by_one`), or single rows as tables name them (`gated_by_one+gate=left`)."""

    def has(self, strategy: str, row: str) -> bool:
        """Whether a row belongs to it, by its strategy's name or by its own."""
        return strategy in self.members or row in self.members
