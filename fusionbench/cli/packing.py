"""`fusionbench pack` and `unpack`: a results folder as a tree of packed tables, and back."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from fusionbench.core.output import printable
from fusionbench.records.fetched import fetch_tree, is_url
from fusionbench.records.tree import Done, pack, unpack


def report_packed(options: argparse.Namespace) -> bool:
    """Pack and say what was; whether nothing was left out.

    Raises:
        UserError: no such folder or suite, or a damaged file in the tree.
    """
    return _tell(pack(Path(options.results), Path(options.to), options.suites), "packed", options.to)


def report_unpacked(options: argparse.Namespace) -> bool:
    """Unpack a tree, a packed file or what a URL gives, and say what was; whether nothing was left out.

    Raises:
        UserError: nothing packed there, or a URL that cannot be read.
    """
    if not is_url(options.source):
        return _tell(unpack(Path(options.source), Path(options.results)), "unpacked", options.results)
    with tempfile.TemporaryDirectory(prefix="fusionbench-packed-") as folder:
        fetch_tree(options.source, Path(folder))
        done = unpack(Path(folder), Path(options.results))
        done.faults = [line.replace(folder, options.source) for line in done.faults]
        return _tell(done, "unpacked", options.results)


def _tell(done: Done, what: str, where: str) -> bool:
    for line in done.faults:
        print(printable(line), file=sys.stderr)
    left_out = f", {len(done.faults)} left out" if done.faults else ""
    print(f"{where}: {done.runs} runs and latency sessions of {len(done.tables)} tables {what}{left_out}")
    return not done.faults
