"""Plug-ins of the user's own for a machine that does not have their files: as text there, and as modules here."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath

from fusionbench.core.plugin_names import is_file, parts_of
from fusionbench.core.plugin_places import PluginKind, place_of
from fusionbench.core.sources import own_modules
from fusionbench.plan.suite import Choice, RunSpec

_LAID_OUT: dict[str, tempfile.TemporaryDirectory[str]] = {}
"""By the hash of what lies there, for as long as this process lives: what was imported from it stays readable."""


def own_code(runs: Iterable[RunSpec]) -> dict[str, bytes]:
    """The files of all plug-ins of the user's own that runs name, and of own modules that these import, by path.

    Of a file that is named by a path out of the working folder nothing is taken: it has to be on the other machine too.
    """
    found: dict[str, bytes] = {}
    for kind, choice in {pair[1].name: pair for run in runs for pair in _plugins(run) if pair[1].source}.values():
        place = place_of(kind, choice.name)
        for module, file in own_modules(place.module, place.path).items():
            found[_place(module, file)] = file.read_bytes()
        named = PurePath(parts_of(choice.name)[0])
        if is_file(choice.name) and not named.is_absolute() and ".." not in named.parts:
            found[str(named)] = place.path.read_bytes()
    return found


def made_importable(code: Mapping[str, bytes]) -> Path:
    """Lay the files out, unless this process has done so, where Python looks last: they hide no module that is here."""
    total = hashlib.sha256(repr(sorted(code.items())).encode()).hexdigest()
    if total not in _LAID_OUT:
        _LAID_OUT[total] = tempfile.TemporaryDirectory(prefix="fusionbench-code-")
        folder = Path(_LAID_OUT[total].name)
        for name, content in code.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        sys.path.append(str(folder))
    return Path(_LAID_OUT[total].name)


def _plugins(run: RunSpec) -> list[tuple[PluginKind, Choice]]:
    encoders: list[tuple[PluginKind, Choice]] = [("encoder", choice) for choice in run.encoders.values()]
    return [("dataset", run.dataset), ("strategy", run.strategy), *encoders]


def _place(module: str, file: Path) -> str:
    """Where a module's file lies below a folder of the search path.

    >>> _place("mine", Path("mine/__init__.py")), _place("mine.own", Path("mine/own.py"))
    ('mine/__init__.py', 'mine/own.py')
    """
    folder = Path(module.replace(".", "/"))
    return str((folder if file.name == "__init__.py" else folder.parent) / file.name)
