"""What is not tested, since its answer would be wrong more often than it says, or could only be "no"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from fusionbench.core.errors import UserError


class NotTestable(UserError):
    """There is too little to test; says what is needed."""


def refuse_mixture(where: str, what: str, found: Iterable[str]) -> None:
    """Results of two kinds do not share a table.

    Args:
        where: the table.
        what: a results version, track, device, data fingerprint ...
        found: that of each run.

    Raises:
        UserError: they are not all the same.
    """
    counts = Counter(found)
    if len(counts) > 1:
        stated = ", ".join(f"{value} ({runs} runs)" for value, runs in sorted(counts.items()))
        raise UserError(
            f"{where}: one table cannot mix a {what} of {stated};\n"
            "move the older records away and run the suite again, or run it with another --results folder"
        )
