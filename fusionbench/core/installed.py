"""Plug-ins of installed packages: the entry points of the group `fusionbench.plugins`, read without importing them.

    [project.entry-points."fusionbench.plugins"]
    weighted = "mypackage.weighted"            a module, and the one plug-in in it
    nets = "mypackage.nets:Net"                what a module calls so
    all_of_them = "mypackage.fusions"          a package: every module of it that holds one plug-in

They are listed under the names by which suites already find them, `mypackage.weighted`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import Distribution, EntryPoint, distributions
from pathlib import Path

from fusionbench.core.catalogue import describe
from fusionbench.core.errors import UserError
from fusionbench.core.plugin_names import is_name, parts_of
from fusionbench.core.plugin_places import BASES, PluginKind, parsed
from fusionbench.core.plugin_source import derives, entry_of, named
from fusionbench.core.sources import file_of

GROUP = "fusionbench.plugins"
KINDS: tuple[PluginKind, ...] = ("strategy", "dataset", "encoder", "measure")


@dataclass
class Installed:
    """What packages register."""

    names: dict[PluginKind, list[str]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    """A line for each that cannot be listed, and why."""


def installed() -> Installed:
    """All plug-ins of installed packages; one that is broken is a line and hides no other."""
    found = Installed()
    for distribution in _each(distributions()):
        for point in _points(distribution, found):
            _add(found, distribution, point)
    found.names = {kind: sorted(set(names)) for kind, names in found.names.items()}
    return found


def _add(found: Installed, distribution: Distribution, point: EntryPoint) -> None:
    try:
        for kind, name in _plugins(point.value.replace(" ", "")):
            describe(kind, name)  # Its options and facts have to be readable, too.
            found.names.setdefault(kind, []).append(name)
    except Exception as error:  # noqa: BLE001  (whatever lies in somebody's package)
        what = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        found.broken.append(f"not listed: {_of(distribution)}, {point.name} = {point.value}: {_line(what)}")


def _points(distribution: Distribution, found: Installed) -> list[EntryPoint]:
    try:
        return [point for point in distribution.entry_points if point.group == GROUP]
    except Exception as error:  # noqa: BLE001  (an entry_points.txt that is no text)
        found.broken.append(f"not listed: {_of(distribution)}: its entry points cannot be read: {_line(str(error))}")
        return []


def _each(found: Iterable[Distribution]) -> Iterator[Distribution]:
    """Each distribution once, that which Python finds first."""
    seen = set()
    for one in found:
        name = _of(one).partition(" ")[0]
        if name not in seen:
            seen.add(name)
            yield one


def _plugins(value: str) -> Iterator[tuple[PluginKind, str]]:
    """Kinds and names of what an entry point stands for.

    Raises:
        UserError: there is no such module, or no plug-in in it.
    """
    module, attribute = parts_of(value)
    path = file_of(module) if is_name(value) else None
    if path is None:
        raise UserError(f"no module '{module}'; the package that is installed does not hold it")
    names = [value]
    if path.name == "__init__.py" and not attribute:
        files = sorted(one for one in path.parent.glob("*.py") if not one.stem.startswith("_"))
        names = [f"{module}.{one.stem}" for one in files]
    found = [(kind, name) for name in names if (kind := _kind_of(name, alone=len(names) == 1))]
    if not found:
        raise UserError(f"{path.name}: it holds no plug-in, a class derived from {', '.join(BASES.values())}")
    yield from found


def _kind_of(name: str, *, alone: bool) -> PluginKind | None:
    """Which kind of plug-in a module holds; a name of a module that is none of them is a network."""
    module, attribute = parts_of(name)
    path = file_of(module)
    assert path is not None
    try:
        tree = parsed(Path(path))
    except SyntaxError as error:
        if not alone:
            return None
        raise UserError(f"{path.name}, line {error.lineno}: {error.msg}") from error
    if attribute:
        of_class = [kind for kind, base in BASES.items() if derives(named(tree, attribute), base)]
        return of_class[0] if of_class else "strategy"
    return next((kind for kind in KINDS if entry_of(tree, BASES.get(kind)) is not None), None)


def _of(distribution: Distribution) -> str:
    try:
        return f"{distribution.metadata['Name']} {distribution.version}"
    except Exception:  # noqa: BLE001  (a broken installation)
        return "a package without a name"


def _line(text: str) -> str:
    return " ".join(text.split())[:300]
