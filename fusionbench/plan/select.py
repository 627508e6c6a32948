"""Parts of a suite's runs: by what they are (`--only`), or one share of several machines (`--shard`)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fusionbench.core.errors import UserError, unknown
from fusionbench.plan.names import slug, track_label
from fusionbench.plan.suite import Choice, RunSpec

FIELDS = ("dataset", "strategy", "seed", "track", "key")


def only(runs: Iterable[RunSpec], filters: Iterable[str]) -> list[RunSpec]:
    """The runs that pass every filter, each of the form `strategy=gated,late`.

    A row of a table may be named in full, `strategy=unimodal+modality=rgb`; `unimodal` names all of its rows.

    Raises:
        UserError: a filter of another form, or one with a value that no run has.
    """
    chosen = list(runs)
    for text in filters:
        name, _, values = text.partition("=")
        if name not in FIELDS or not values:
            raise UserError(f"--only {text}: give it as {' or '.join(f'{field}=...' for field in FIELDS)}")
        known = [_values(run, name) for run in chosen]
        wanted = set(values.split(","))
        for value in sorted(wanted.difference(*known)):
            # A row's full name is meant where options are given, a plug-in's name where none are.
            raise unknown(name, value, {row if "+" in value else plugin for plugin, row in known}, f"--only {text}")
        chosen = [run for run, found in zip(chosen, known, strict=True) if wanted.intersection(found)]
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


def _values(run: RunSpec, name: str) -> tuple[str, str]:
    """What a filter may say of a run: the plug-in, or the row as tables and folders name it."""
    if name in ("key", "seed"):
        value = str(getattr(run, name))
        return value, value
    if name == "track":
        return run.track.name, track_label(run.track)
    choice: Choice = getattr(run, name)
    return choice.name, slug("dataset" if name == "dataset" else "strategy", choice)
