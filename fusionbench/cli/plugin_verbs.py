"""The verbs of plug-ins: which there are, a file to begin one with, and whether one keeps its contract."""

from __future__ import annotations

import argparse
import sys

DONE, SOME_FAILED = 0, 1


def list_(options: argparse.Namespace) -> int:
    """What a suite may name."""
    from fusionbench.cli.listing import listing, strategy_pages
    from fusionbench.core.errors import UserError
    from fusionbench.core.installed import installed

    if options.long and options.what != "strategies":
        raise UserError("--long: only strategies have pages; fusionbench list strategies --long")
    found = installed()
    print(strategy_pages(found) if options.long else listing(options.what, found))
    for line in found.broken:
        print(line, file=sys.stderr)
    return DONE


def new(options: argparse.Namespace) -> int:
    """A file to begin a plug-in with."""
    from fusionbench.cli.contract import write_new_plugin

    print(write_new_plugin(options))
    return DONE


def contract(options: argparse.Namespace) -> int:
    """Whether a plug-in keeps its contract, check by check."""
    from fusionbench.cli.contract import report_contract

    return DONE if report_contract(options) else SOME_FAILED
