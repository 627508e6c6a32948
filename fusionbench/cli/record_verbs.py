"""The verbs of records: one trained again, packed and unpacked, all of them checked."""

from __future__ import annotations

import argparse
from pathlib import Path

DONE, SOME_FAILED = 0, 1


def verify(options: argparse.Namespace) -> int:
    """Whether the run of a record gives the same again."""
    from fusionbench.cli.verify import report_verified

    return DONE if report_verified(options) else SOME_FAILED


def pack(options: argparse.Namespace) -> int:
    """Records of each table in one file."""
    from fusionbench.cli.packing import report_packed

    return DONE if report_packed(options) else SOME_FAILED


def unpack(options: argparse.Namespace) -> int:
    """Packed tables as records again."""
    from fusionbench.cli.packing import report_unpacked

    return DONE if report_unpacked(options) else SOME_FAILED


def check(options: argparse.Namespace) -> int:
    """Every record below a results folder valid and in its place."""
    from fusionbench.cli.checking import report_checked

    return DONE if report_checked(Path(options.results)) else SOME_FAILED
