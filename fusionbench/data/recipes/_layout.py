"""What the recipes of known data sets share: what one gives, and the errors of a layout that is another one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fusionbench.core.errors import UserError, shown

Row = dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """A table in the making: rows, and what the data set `manifest` has to know of them."""

    rows: Callable[[Path], Iterable[Row]]
    """Makes the rows; given a folder for files of its own, which nobody else uses."""
    options: Mapping[str, Any]
    """Of the data set: columns, label, kind, split, group."""
    makes_files: bool = False
    """Whether cells name files that it makes, not those of the layout."""
    encoders: Mapping[str, Any] = field(default_factory=dict)
    """As a suite has them, where the data set's own do not fit."""
    notes: list[str] = field(default_factory=list)
    """What a user should know; complete when all rows are made."""


@dataclass(frozen=True)
class Layout:
    """The folder of a data set, as its authors have arranged it.

    Args:
        name: of the recipe.
        folder: what was given.
        home: where the data come from, as an error ends.
    """

    name: str
    folder: Path
    home: str

    def file(self, *names: str) -> Path:
        """The first of these files that is there; UserError if none is."""
        return self._first(names, Path.is_file)

    def directory(self, *names: str) -> Path:
        """Likewise of folders."""
        return self._first(names, Path.is_dir)

    def refused(self, what: str) -> UserError:
        """The error of this layout."""
        return UserError(f"recipe {self.name}: {what}; {self.home}")

    def text(self, path: Path) -> str:
        """What a file of UTF-8 holds."""
        try:
            return path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise self.refused(f"{path}, byte {error.start}: not UTF-8") from error

    def json(self, path: Path, kind: type) -> Any:
        """What a JSON file holds, an object or a list."""
        return self._parsed(self.text(path), str(path), kind)

    def lines(self, path: Path) -> list[Row]:
        """The objects of a file of JSON lines."""
        rows = enumerate(self.text(path).splitlines(), 1)
        return [self._parsed(line, f"{path}, line {number}", dict) for number, line in rows if line.strip()]

    def inside(self, *parts: str) -> str:
        """A path in the folder, of names that lead nowhere else."""
        for part in parts:
            if not part or part in (".", "..") or set(part) & set("/\\\0"):
                raise self.refused(f"{shown(part)} is no name of a file")
        return "/".join(parts)

    def _parsed(self, text: str, where: str, kind: type) -> Any:
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self.refused(f"{where}: not JSON ({' '.join(str(error).split())[:80]})") from error
        if not isinstance(found, kind):
            raise self.refused(f"{where}: holds no {'object' if kind is dict else 'list'}")
        return found

    def _first(self, names: Iterable[str], fits: Callable[[Path], bool]) -> Path:
        found = next((self.folder / name for name in names if fits(self.folder / name)), None)
        if found is None:
            raise self.refused(f"{self.folder / next(iter(names))} is missing")
        return found


def left_out(count: int, why: str) -> list[str]:
    """A note of rows that are not in the table; none where there are none."""
    return [f"{count:,} left out: {why}"] if count else []
