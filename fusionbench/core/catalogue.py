"""What a suite may name: strategies, datasets, encoders and measures, read from their source without importing it.

A name is a path: strategy `gated` is `fusion/gated.py`; a dotted name is a module of the user's own. Importing one
plug-in costs seconds (torch); reading its source with `ast` costs a millisecond, so `list` and `plan` answer at once.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pydantic import ValidationError

from fusionbench.core.errors import UserError, unknown
from fusionbench.core.options import Option, complaint, options_of
from fusionbench.core.plugin_source import entry_of, literals
from fusionbench.core.sources import file_of, source_of

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


@dataclass(frozen=True)
class Plugin:
    """The facts of one plug-in, as its source states them."""

    kind: PluginKind
    name: str
    module: str
    attribute: str
    """The class (or, for a measure, the function) in the module."""
    doc: str
    facts: Mapping[str, Any]
    """The literal class attributes, e.g. `paper`, `views`; of a measure, those of its file."""
    options: Mapping[str, Option]
    source: str
    """SHA-256 of the file; of a user's own plug-in also of what it imports (see sources.py), and part of the key."""

    @property
    def summary(self) -> str:
        """The first paragraph of the docstring, on one line: what it does."""
        return " ".join(self.doc.split("\n\n", maxsplit=1)[0].split())

    @property
    def later(self) -> Mapping[str, Any]:
        """Options that came after its first results, with the value that means "as before": see `checked_options`."""
        found = self.facts.get("later", {})
        return found if isinstance(found, Mapping) else {}

    @property
    def version(self) -> int:
        """Of the plug-in alone: raised when a change to its file moves its numbers."""
        found = self.facts.get("version", 1)
        return found if isinstance(found, int) else 1

    @property
    def files(self) -> tuple[str, ...]:
        """Options that name files, empty for none: a key has their content, not their place; see contents.py."""
        return tuple(self.facts.get("files", ()))

    @property
    def shipped(self) -> bool:
        """Whether it is part of fusionbench, not a user's own module."""
        return "." not in self.name


def names(kind: PluginKind) -> tuple[str, ...]:
    """The shipped plug-ins of a kind, sorted.

    A file that Python cannot read counts as one: naming it, not looking at its neighbours, shows what is wrong with it.
    """
    return tuple(sorted(path.stem for path in _files(kind) if _is_plugin(kind, path)))


@cache
def describe(kind: PluginKind, name: str) -> Plugin:
    """The facts of one plug-in.

    Raises:
        UserError: there is none of that name, or its file does not hold exactly one.
    """
    module, path = _locate(kind, name)
    try:
        tree = _parsed(path)
    except SyntaxError as error:
        raise UserError(f"{kind} '{name}': {path.name}, line {error.lineno}: {error.msg}") from error
    entry = entry_of(tree, BASES.get(kind))
    if entry is None:
        needed = f"public class derived from {BASES[kind]}" if kind in BASES else "function `measure`"
        raise UserError(f"{kind} '{name}': {path.name} must hold exactly one {needed}")
    body = entry.body if isinstance(entry, ast.ClassDef) else tree.body  # A measure states facts beside its function.
    own = entry.body if isinstance(entry, ast.ClassDef) else []
    signature = next((f for f in own if isinstance(f, ast.FunctionDef) and f.name == "__init__"), None)
    signature = entry if isinstance(entry, ast.FunctionDef) else signature
    return Plugin(
        kind=kind,
        name=name,
        module=module,
        attribute=entry.name,
        doc=ast.get_docstring(tree) or ast.get_docstring(entry) or "",
        facts=MappingProxyType(dict(literals(body))),
        options=MappingProxyType({option.name: option for option in options_of(signature, f"{kind} '{name}'")}),
        source=source_of(module, path) if "." in name else hashlib.sha256(path.read_bytes()).hexdigest(),
    )


def forget() -> None:
    """What was read so far is read anew: files of the user's own may have been written or edited since."""
    importlib.invalidate_caches()
    describe.cache_clear()
    _parsed.cache_clear()


def load(kind: PluginKind, name: str) -> Any:
    """The plug-in itself: imports its one module.

    Raises:
        UserError: there is none of that name, or importing it fails.
    """
    plugin = describe(kind, name)
    try:
        return getattr(importlib.import_module(plugin.module), plugin.attribute)
    except Exception as error:  # Whatever the file's own code raises.
        what = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
        raise UserError(f"{kind} '{name}': {plugin.module} cannot be imported: {' '.join(what.split())}") from error


def checked_options(plugin: Plugin, given: Mapping[str, Any], place: Callable[..., str]) -> dict[str, Any]:
    """The options as JSON values, types checked and defaults filled in: what a key is made of.

    A later option at the value that means "as before" is left out, so that old keys last; `with_later` brings it back.

    Args:
        plugin: whose options they are.
        given: those that are set.
        place: says where an option stands, `place("hidden", 2)`, and where all of them stand, `place()`.

    Raises:
        UserError: an option that the plug-in does not have, one of the wrong type, or a required one that is missing.
    """
    owner = f"{plugin.kind} '{plugin.name}'"
    for name in given:
        if name not in plugin.options:
            raise unknown(f"option of {owner} called", name, plugin.options, place(name))
    filled = {}
    for name, option in plugin.options.items():
        if name not in given and option.required:
            raise UserError(f"{place()}: {owner} needs the option '{name}'")
        try:
            filled[name] = option.checked(given[name]) if name in given else option.default
        except ValidationError as error:
            problem = error.errors()[0]
            raise UserError(f"{place(name, *problem['loc'])}: {owner}: {complaint(problem)}") from error
    return {name: value for name, value in filled.items() if name not in plugin.later or value != plugin.later[name]}


def with_later(kind: PluginKind, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a key as the plug-in takes them: later ones that are left out of it, and tuples for lists."""
    full = {**describe(kind, name).later, **options}
    return {option: tuple(value) if isinstance(value, list) else value for option, value in full.items()}


def changed_options(plugin: Plugin, options: Mapping[str, Any]) -> dict[str, Any]:
    """Those options that differ from the default: what a row of a table has to show."""
    full = {**{name: value for name, value in plugin.later.items() if name in plugin.options}, **options}
    return {
        name: value
        for name, value in full.items()
        if name not in plugin.options or plugin.options[name].required or plugin.options[name].default != value
    }


def _files(kind: PluginKind) -> Iterator[Path]:
    for path in (PACKAGE / FOLDERS[kind]).glob("*.py"):
        if not path.stem.startswith("_") and path.stem != "base":
            yield path


def _is_plugin(kind: PluginKind, path: Path) -> bool:
    try:
        return entry_of(_parsed(path), BASES.get(kind)) is not None
    except SyntaxError:
        return True


def _locate(kind: PluginKind, name: str) -> tuple[str, Path]:
    if "." not in name:
        path = PACKAGE / FOLDERS[kind] / f"{name}.py"
        # Its own file alone is parsed: every worker comes here, and a whole folder would cost it a tenth of a second.
        if path not in _files(kind) or not _is_plugin(kind, path):
            raise unknown(kind, name, names(kind))
        return f"fusionbench.{FOLDERS[kind]}.{name}", path
    found = file_of(name)
    if found is None:
        raise UserError(f"{kind} '{name}': {_why_absent(name)}")
    return name, found


def _why_absent(name: str) -> str:
    """Own modules are found last, so that they hide nothing; another of the name may hide them."""
    package, folder = name.partition(".")[0], name.rpartition(".")[0].replace(".", "/")
    other = file_of(package)
    if other is not None and other.parent != Path.cwd() / package and (Path.cwd() / package).is_dir():
        return f"Python finds another '{package}' first, {other}; give your folder {package}/ another name"
    return f"no such Python module; start in the folder that holds {folder}/"


@cache
def _parsed(path: Path) -> ast.Module:
    """The file's syntax tree; SyntaxError if it is no Python, also where its bytes are no text."""
    try:
        return ast.parse(path.read_bytes())
    except ValueError as error:  # Null bytes, before Python 3.12.
        raise SyntaxError(str(error), (path.name, 1, None, None)) from error
