"""The source of a plug-in of the user's own: its file and those of own modules that it imports, found by reading.

What counts as own: modules of the plug-in's package, and what lies neither in the standard library, nor beside
installed distributions, nor in fusionbench. Nothing is imported, so none of their code runs.

Not seen: modules that are imported by a string (`importlib.import_module(name)`), and data files.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from fusionbench.core.canonical import sha256_of

SHIPPED = "fusionbench"
INSTALLED = ("site-packages", "dist-packages")
"""Names of folders that hold what was installed; any other that holds a `.dist-info` does too (pip --target)."""


def file_of(name: str) -> Path | None:
    """The file of a dotted name; None where there is none, or a folder without __init__.py.

    `importlib.util.find_spec(name)` would import the packages above it, and so run their code.
    """
    first, *inner = name.split(".")
    try:
        spec = importlib.util.find_spec(first)
    except (ImportError, ValueError):  # ValueError: a module without a spec, such as __main__.
        return None
    if spec is None or (not inner and not spec.has_location):
        return None
    if not inner:
        return Path(str(spec.origin))
    folders = [Path(folder, *inner) for folder in spec.submodule_search_locations or ()]
    return next((file for folder in folders for file in _files(folder) if file.is_file()), None)


def _files(folder: Path) -> Iterator[Path]:
    """Where the module of that path may lie, in Python's order."""
    yield folder / "__init__.py"
    for suffix in (*EXTENSION_SUFFIXES, ".py"):
        yield folder.with_name(folder.name + suffix)


def source_of(name: str, path: Path) -> str:
    """SHA-256 of the file; where it imports own modules, of their names and hashes together with its own.

    Args:
        name: the module's dotted name.
        path: its file.
    """
    sums = {module: hashlib.sha256(file.read_bytes()).hexdigest() for module, file in own_modules(name, path).items()}
    return sums[name] if len(sums) == 1 else sha256_of(sums)


def own_source(name: str) -> str:
    """`source_of` a module that is imported already; empty for fusionbench's own, and for one without a file."""
    place = getattr(sys.modules.get(name), "__file__", None)
    if name.partition(".")[0] == SHIPPED or name == "__main__" or not place or not Path(place).is_file():
        return ""
    return source_of(name, Path(place))


def own_modules(name: str, path: Path) -> dict[str, Path]:
    """The module and all own modules that importing it loads, directly or not; those without a byte are left out."""
    package = name.partition(".")[0]
    found = {name: path}
    waiting = [*_above(name), *_imported(name, path)]
    while waiting:
        module = waiting.pop()
        file = None if module in found else _own_file(module, package)
        if file is not None and file.stat().st_size:
            found[module] = file
            waiting += _imported(module, file)
    return found


def _own_file(module: str, package: str) -> Path | None:
    """The module's file; None where there is none, or it is not the user's own."""
    first = module.partition(".")[0]
    if first != package and (first in sys.stdlib_module_names or first == SHIPPED):
        return None
    file = file_of(module)
    if file is None or first == package:
        return file
    depth = module.count(".") + (file.name == "__init__.py")
    return None if _holds_installed(file.parents[depth]) else file


@cache
def _holds_installed(root: Path) -> bool:
    return root.name in INSTALLED or next(root.glob("*.dist-info"), None) is not None


def _imported(name: str, path: Path) -> list[str]:
    """All names that may be modules in any import statement of the file, also inside functions; packages first."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # A compiled module, or one that cannot be imported either.
        return []
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: list[str] = []
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=aliases):
                found += [alias.name for alias in aliases]
            case ast.ImportFrom(module=module, names=aliases, level=level):
                base = _absolute(module or "", level, package)
                found += [base, *(f"{base}.{part}" for alias in aliases for part in _parts(base, alias.name))]
    return [module for one in found if one for module in (*_above(one), one)]


def _absolute(module: str, level: int, package: str) -> str:
    """The name that `from ..module import` means in a package; empty where it leads out of it."""
    if not level:
        return module
    parts = package.split(".")
    base = parts[: max(0, len(parts) - level + 1)]
    return ".".join([*base, module] if module else base) if base and base[0] else ""


def _parts(base: str, name: str) -> Iterable[str]:
    """What `from base import name` may load; a star stands for what the package lists in `__all__`."""
    if name != "*":
        return (name,)
    file = file_of(base) if base else None
    if file is None or file.name != "__init__.py":
        return ()
    try:
        body = ast.parse(file.read_bytes()).body
        lists = [n.value for n in body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "__all__"]
        return [str(part) for one in lists for part in ast.literal_eval(one)]
    except (SyntaxError, ValueError, TypeError):
        return ()


def _above(name: str) -> list[str]:
    """The packages that importing it imports first."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]
