"""What is fuzzed: readers of files, each with real files to begin with, and what its first check is."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edits import Program

from fusionbench.core.errors import UserError

ROOT = Path(__file__).parents[2]
REAL = Path(os.environ.get("FUSIONBENCH_TEST_DATA") or "nowhere")
"""Where real records lie that are not in the repository; without them small ones of the same form are made."""

Files = dict[str, bytes]
"""By name, what lies in a folder."""


class Reader(ABC):
    """One kind of file."""

    name: str
    first_check: str
    """What an input has to get past to be of interest, in words."""
    refused: tuple[type[Exception], ...] = (UserError,)
    """The one clear error."""

    @contextmanager
    def ready(self) -> Iterator[None]:
        """While it is fuzzed: sizes that are made small, say."""
        yield

    @abstractmethod
    def make(self, program: Program) -> Files:
        """An input: real files, edited."""

    @abstractmethod
    def passes(self, files: Files) -> bool:
        """Whether an input gets past the first check."""

    @abstractmethod
    def read(self, folder: Path, files: Files) -> None:
        """Read what lies in a folder, as the suite does: success, or one of `refused`."""
