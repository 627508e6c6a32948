"""`fusionbench list` on a terminal: name, what kind of thing it is, and what it does, in as many columns as fit."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from fusionbench.cli.listing import KINDS, NONE, described, does, fidelity, modalities, suites
from fusionbench.cli.pages import family
from fusionbench.core.catalogue import Plugin
from fusionbench.core.installed import Installed

HEADS = {
    "suites": ("suite", "what it runs"),
    "strategies": ("strategy", "family", "fidelity", "what it does"),
    "datasets": ("dataset", "modalities", "what it is"),
    "encoders": ("encoder", "what it does"),
    "measures": ("measure", "what it does"),
}
"""The last column takes what width is left, and wraps between words."""
FEWEST = 72
"""Columns of a terminal below which a name and what it does are all that is shown."""


def show_list(console: Console, what: str | None, also: Installed = NONE) -> None:
    """Print one table, or all of them if `what` is None, and how to see more."""
    for word in (what,) if what else HEADS:
        console.print(terminal_table(word, console.width, also))


def terminal_table(what: str, width: int, also: Installed = NONE) -> RenderableType:
    """One table (a rich renderable) and a line that says how to see all of a row.

    Args:
        what: suites, strategies, datasets, encoders or measures.
        width: of the terminal.
        also: plug-ins of installed packages, behind the shipped ones.
    """
    columns = range(len(HEADS[what])) if width >= FEWEST else (0, -1)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    for number in columns:
        # Names stay whole: they are copied into suites.
        table.add_column(HEADS[what][number], overflow="fold", no_wrap=number == 0)
    rows = suites() if what == "suites" else map(_row, described(KINDS[what], also))
    for row in rows:
        table.add_row(
            *(Text(row[number]) for number in columns)
        )  # Text, not str: a sentence may hold what rich takes for markup.
    return Group(table, Text(f"All of one: fusionbench list {what} NAME\n", style="dim"))


def _row(plugin: Plugin) -> tuple[str, ...]:
    match plugin.kind:
        case "strategy":
            return plugin.name, family(plugin), fidelity(plugin), does(plugin)
        case "dataset":
            return plugin.name, modalities(plugin), does(plugin)
        case _:
            return plugin.name, does(plugin)
