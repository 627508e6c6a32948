"""Paths in the cells of a manifest: plain files in its folder, and nowhere else."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

from fusionbench.core.errors import UserError, shown


class Broken(Exception):
    """What is wrong with a cell or the file that it names, in a few words."""


def found_table(name: str, root: Path) -> Path | None:
    """The file that a manifest's option names: in the working folder, else in the data folder; None: in neither."""
    for place in (Path(name).expanduser(), root / name):
        try:
            if place.is_file():
                return place
        except (OSError, ValueError):  # A name that is too long, or with a null byte.
            continue
    return None


def missing_table(where: str, name: str, root: Path) -> UserError:
    """The error of one that is nowhere."""
    return UserError(
        f"{where}: no file {shown(name)} in {Path.cwd()} or in the data folder {root}; name one that is there"
    )


def file_at(folder: Path, cell: Any) -> Path:
    """The file that a cell names, relative to a folder that is resolved.

    Raises:
        Broken: it is no path, leads out of the folder, also over a link, or is no plain file.
    """
    if not isinstance(cell, str):
        raise Broken(f"{shown(cell)} is no path")
    try:
        place = (folder / cell.strip()).resolve()
        if not place.is_relative_to(folder):
            raise Broken(f"{shown(cell)} leads out of {folder}")
        kind = place.stat().st_mode
    except (OSError, ValueError, RuntimeError) as error:
        raise Broken(f"{shown(cell)}: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(kind):
        raise Broken(f"{shown(cell)} is no file")
    return place
