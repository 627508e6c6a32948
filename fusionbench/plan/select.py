"""Parts of a suite's runs: by what they are (`--only`), or one share of several machines (`--shard`)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fusionbench.core.errors import UserError, unknown
from fusionbench.plan.suite import RunSpec

FIELDS = ("dataset", "strategy", "seed", "key")


def only(runs: Iterable[RunSpec], filters: Iterable[str]) -> list[RunSpec]:
    """The runs that pass every filter, each of the form `strategy=gated,late`.

    Raises:
        UserError: a filter of another form, or one with a value that no run has.
    """
    chosen = list(runs)
    for text in filters:
        name, _, values = text.partition("=")
        if name not in FIELDS or not values:
            raise UserError(f"--only {text}: give it as {' or '.join(f'{field}=...' for field in FIELDS)}")
        known = {_value(run, name) for run in chosen}
        wanted = set(values.split(","))
        for value in sorted(wanted - known):
            raise unknown(name, value, known, f"--only {text}")
        chosen = [run for run in chosen if _value(run, name) in wanted]
    return chosen


def shard(runs: list[RunSpec], text: str) -> list[RunSpec]:
    """Share k of n, for `k/n`: every n-th run, so that each machine gets some of every seed.

    Raises:
        UserError: the text is not k/n with 1 <= k <= n.
    """
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    k, n = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= k <= n:
        raise UserError(f"--shard {text}: give it as 1/4 for the first of four shares")
    return runs[k - 1 :: n]


def _value(run: RunSpec, name: str) -> str:
    return run.key if name == "key" else str(run.seed) if name == "seed" else getattr(run, name).name
