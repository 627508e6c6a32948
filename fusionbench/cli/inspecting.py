"""`fusionbench inspect FILE`: what is in a table of one's own."""

from __future__ import annotations

import argparse
from pathlib import Path


def inspect_table(options: argparse.Namespace) -> None:
    """Print what was found, and write a suite where one is wanted.

    Raises:
        UserError: the table cannot be read, or the suite not be written.
    """
    from fusionbench.api.inspecting import described
    from fusionbench.api.starting import write_suite
    from fusionbench.core.errors import UserError
    from fusionbench.data.inspection import inspected
    from fusionbench.data.manifests.paths import found_table, missing_table
    from fusionbench.data.manifests.rows import Rows
    from fusionbench.data.roles import Said
    from fusionbench.data.store import data_root

    root = data_root(options.data)
    place = found_table(options.file, root)
    if place is None:
        raise missing_table("inspect", options.file, root)
    write = Path(options.write) if options.write else None
    if write is not None and write.exists():
        raise UserError(f"{write} is there already; name another file, or remove it")
    labels = tuple(name.strip() for name in options.label.split(",")) if options.label else ()
    said = Said(labels, options.kind, options.separator, options.split, options.group)
    paths = (place.parent / Path(options.folder).expanduser()).resolve()
    table = Rows(place, options.encoding, options.delimiter)
    found = inspected(table, said, paths, files=not options.no_files)
    print(described(found))
    if write is not None:
        stated = {"folder": options.folder, "delimiter": options.delimiter}
        stated |= {} if options.encoding == "utf-8" else {"encoding": options.encoding}
        write_suite(found, options.file, write, stated)
        print(f"\nwritten: {write}; next: fusionbench run {write}")
