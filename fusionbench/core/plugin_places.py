"""Where a plug-in lies: a file of fusionbench's own folders, a module, or a file of the user's own."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from fusionbench.core.errors import UserError, unknown
from fusionbench.core.own_files import found_file
from fusionbench.core.plugin_names import is_file, is_shipped, parts_of
from fusionbench.core.plugin_source import entry_of
from fusionbench.core.sources import file_of

PluginKind = Literal["strategy", "dataset", "encoder", "measure"]

PACKAGE = Path(__file__).parent.parent
FOLDERS: Mapping[PluginKind, str] = {
    "strategy": "fusion",
    "dataset": "data",
    "encoder": "encoders",
    "measure": "measure",
}
BASES: Mapping[PluginKind, str] = {"strategy": "FusionModule", "dataset": "MultimodalData", "encoder": "Encoder"}
"""The base class that makes a file a plug-in; a measure is a file with a function `measure`."""


class Place(NamedTuple):
    """Where one lies."""

    module: str
    """Its dotted name; of a file its name without `.py`."""
    path: Path
    attribute: str
    """What is meant there; empty: the only plug-in."""


def names(kind: PluginKind) -> tuple[str, ...]:
    """The shipped plug-ins of a kind, sorted.

    A file that Python cannot read counts as one: naming it, not looking at its neighbours, shows what is wrong with it.
    """
    return tuple(sorted(path.stem for path in _files(kind) if _is_plugin(kind, path)))


def place_of(kind: PluginKind, name: str) -> Place:
    """Where the plug-in of a name lies; nothing is imported.

    Raises:
        UserError: nothing of that name is there.
    """
    if is_shipped(name):
        path = PACKAGE / FOLDERS[kind] / f"{name}.py"
        # Its own file alone is parsed: every worker comes here, and a whole folder would cost it a tenth of a second.
        if path not in _files(kind) or not _is_plugin(kind, path):
            raise unknown(kind, name, names(kind))
        return Place(f"fusionbench.{FOLDERS[kind]}.{name}", path, "")
    place, attribute = parts_of(name)
    if is_file(name):
        try:
            path = found_file(place)
        except UserError as error:
            raise UserError(f"{kind} '{name}': {error}") from error
        return Place(path.stem, path, attribute)
    found = file_of(place)
    if found is None:
        raise UserError(f"{kind} '{name}': {_why_absent(place)}")
    return Place(place, found, attribute)


@cache
def parsed(path: Path) -> ast.Module:
    """The file's syntax tree; SyntaxError if it is no Python, also where its bytes are no text."""
    try:
        return ast.parse(path.read_bytes())
    except ValueError as error:  # Null bytes, before Python 3.12.
        raise SyntaxError(str(error), (path.name, 1, None, None)) from error


def _files(kind: PluginKind) -> Iterator[Path]:
    for path in (PACKAGE / FOLDERS[kind]).glob("*.py"):
        if not path.stem.startswith("_") and path.stem != "base":
            yield path


def _is_plugin(kind: PluginKind, path: Path) -> bool:
    try:
        return entry_of(parsed(path), BASES.get(kind)) is not None
    except SyntaxError:
        return True


def _why_absent(name: str) -> str:
    """Own modules are found last, so that they hide nothing; another of the name may hide them."""
    package, folder = name.partition(".")[0], name.rpartition(".")[0].replace(".", "/")
    other = file_of(package)
    if other is not None and other.parent != Path.cwd() / package and (Path.cwd() / package).is_dir():
        return f"Python finds another '{package}' first, {other}; give your folder {package}/ another name"
    return f"no such Python module; start in the folder that holds {folder or name + '.py'}{'/' if folder else ''}"
