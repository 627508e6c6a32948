"""The verbs of plug-ins: which there are, a file to begin one with, and whether one keeps its contract."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

DONE, SOME_FAILED = 0, 1


def list_(options: argparse.Namespace) -> int:
    """What a suite may name: a table that fits a terminal, Markdown for a pipe; or all of one."""
    from rich.console import Console

    from fusionbench.core.errors import UserError
    from fusionbench.core.installed import installed

    if options.long and (options.what != "strategies" or options.name):
        raise UserError("--long: only strategies have pages; fusionbench list strategies --long")
    console = Console()
    if options.name:
        _show_one(console, options.what, options.name)
        return DONE
    found = installed()
    if console.is_terminal and not options.long:
        from fusionbench.cli.terminal_list import show_list

        show_list(console, options.what, found)
    else:
        from fusionbench.cli.listing import listing, strategy_pages

        print(strategy_pages(found) if options.long else listing(options.what, found))
    for line in found.broken:
        print(line, file=sys.stderr)
    return DONE


def _show_one(console: Console, what: str, name: str) -> None:
    from fusionbench.cli.listing import one_page

    text = one_page(what, name)
    if console.is_terminal and what != "suites":
        from rich.markdown import Markdown

        console.print(Markdown(text))
    else:
        print(text, end="")


def new(options: argparse.Namespace) -> int:
    """A file to begin a plug-in with."""
    from fusionbench.cli.contract import write_new_plugin

    print(write_new_plugin(options))
    return DONE


def contract(options: argparse.Namespace) -> int:
    """Whether a plug-in keeps its contract, check by check."""
    from fusionbench.cli.contract import report_contract

    return DONE if report_contract(options) else SOME_FAILED
