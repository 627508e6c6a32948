"""`fusionbench new` and `fusionbench contract`: a plug-in's file to begin with, and whether it keeps its contract."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fusionbench.core.catalogue import describe, names
from fusionbench.core.errors import UserError, unknown
from fusionbench.core.plugin_names import FORMS, is_name, is_shipped
from fusionbench.core.plugin_places import PluginKind
from fusionbench.plan.source import parse_source

KINDS: tuple[PluginKind, ...] = ("dataset", "encoder", "strategy")
"""Any class of the user's own would be a network, so that a strategy is looked for last."""
WORDS = {"ok": "ok", "failed": "FAILED", "skipped": "-"}


def write_new_plugin(options: argparse.Namespace) -> str:
    """Write the file; what to do next, in words."""
    from fusionbench.testing.new import new_file

    path, name = new_file(options.kind, options.name)
    part = {"strategy": "strategies: [{}]", "dataset": "datasets: [{}]", "encoder": "encoders: {{vector: {}}}"}
    return (
        f"{path}: a file that keeps the contract as it stands; write yours in its place\n"
        f"fusionbench contract {name}    whether it still does\n"
        f"in a suite: {part[options.kind].format(name)}"
    )


def report_contract(options: argparse.Namespace) -> bool:
    """Run all checks, a line for each as it ends; whether all are kept.

    Raises:
        UserError: no such plug-in, or one that cannot be imported.
    """
    if not __debug__:
        raise UserError("contract: Python runs with -O, which takes all checks away; run it without")
    kind = kind_of(options.name, options.kind)
    from fusionbench.testing.contract import checks_of, outcome_of
    from fusionbench.training.fit import quiet

    quiet()
    folder, counts = Path(options.data) if options.data else None, dict.fromkeys(WORDS, 0)
    given = _values(options.option), tuple(word for word in (options.modalities or "").split(",") if word)
    for check in checks_of(kind, options.name, folder, *given):
        with _begun(check.name):
            found = outcome_of(check)
        counts[found.state] += 1
        print(f"{WORDS[found.state]:7} {found.name}{': ' * bool(found.reason)}{found.reason}", flush=True)
        if options.debug and found.trace:
            print(found.trace, file=sys.stderr)
    asked = f", {counts['skipped']} not asked" if counts["skipped"] else ""
    print(f"{kind} {options.name}: {counts['ok']} kept, {counts['failed']} failed{asked}")
    return counts["failed"] == 0


def kind_of(name: str, stated: str | None) -> PluginKind:
    """Which kind of plug-in is meant.

    Raises:
        UserError: none of that name, or several and nothing says which.
    """
    if not is_name(name):
        raise UserError(f"{name} is no name; give {FORMS}")
    if is_shipped(name):
        found = [kind for kind in KINDS if name in names(kind) and stated in (None, kind)]
        if not found:
            known = {known for kind in KINDS if stated in (None, kind) for known in names(kind)}
            raise unknown(stated or "plug-in", name, known)
        if len(found) > 1:
            raise UserError(f"there is a {' and a '.join(found)} '{name}'; say which: --kind {found[0]}")
        return found[0]
    found = [kind for kind in KINDS if stated in (None, kind) and _is(kind, name)]
    if not found:
        describe("strategy" if stated is None else _known(stated), name)  # Says what is wrong with it.
    return found[0]


def _is(kind: PluginKind, name: str) -> bool:
    try:
        return describe(kind, name) is not None
    except UserError:
        return False


def _known(stated: str) -> PluginKind:
    return next(kind for kind in KINDS if kind == stated)


@contextmanager
def _begun(name: str) -> Iterator[None]:
    """On a terminal, which check runs, until it has ended."""
    if not sys.stdout.isatty():
        yield
        return
    print(f"{'...':7} {name} ({time.strftime('%H:%M:%S')})", end="", flush=True)
    try:
        yield
    finally:
        print("\r\x1b[2K", end="", flush=True)


def _values(options: list[str]) -> dict[str, Any]:
    found = {}
    for option in options:
        name, equals, value = option.partition("=")
        if not equals or not name:
            raise UserError(f"--option {option}: give it as name=value")
        found[name] = parse_source(f"value: {value}", f"--option {option}").tree["value"]
    return found
