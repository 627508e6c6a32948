"""`fusionbench recipe`: a known data set's layout becomes a table and a suite."""

from __future__ import annotations

import argparse
from pathlib import Path


def show_recipe(options: argparse.Namespace) -> None:
    """Write both and say what they hold.

    Raises:
        UserError: no such recipe, or the layout is another one.
    """
    from fusionbench.api.recipes import NOT_REPRODUCED, write_recipe

    found = write_recipe(options.name, Path(options.folder), Path(options.out) if options.out else None)
    parts = ", ".join(f"{part} {count:,}" for part, count in found.counts.items() if part)
    print(f"{found.table}: {found.counts.total():,} rows{f' ({parts})' if parts else ''}")
    for note in found.notes:
        print(f"  {note}")
    there = "look through it, then" if found.is_new else "was there and stays as it is;"
    print(f"{found.suite}: {there} fusionbench run {found.suite}")
    print(NOT_REPRODUCED)
