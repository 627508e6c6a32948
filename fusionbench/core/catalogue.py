"""What a suite may name: strategies, datasets, encoders and measures, read from their source without importing it.

A name is a path: strategy `gated` is `fusion/gated.py`; a dotted name is a module of the user's own. Importing one
plug-in costs seconds (torch); reading its source with `ast` costs a millisecond, so `list` and `plan` answer at once.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from fusionbench.core.errors import UserError, unknown
from fusionbench.core.options import Option, complaint, network_options, options_of
from fusionbench.core.own_files import imported
from fusionbench.core.plugin_names import is_file, is_shipped, parts_of
from fusionbench.core.plugin_places import BASES, Place, PluginKind, names, parsed, place_of
from fusionbench.core.plugin_source import derives, entry_of, literals, made_known, named
from fusionbench.core.sources import source_of

__all__ = [
    "Plugin", "PluginKind", "changed_options", "checked_options", "describe", "forget", "load", "names", "with_later",
]  # fmt: skip

NETWORK = "fusionbench.fusion._network"
"""What makes a strategy of a network of the user's own."""


@dataclass(frozen=True)
class Plugin:
    """The facts of one plug-in, as its source states them."""

    kind: PluginKind
    name: str
    module: str
    path: Path
    attribute: str
    """The class (or, for a measure, the function) in the module; of a network of the user's own, what builds it."""
    doc: str
    facts: Mapping[str, Any]
    """The literal class attributes, e.g. `paper`, `views`; of a measure, those of its file."""
    options: Mapping[str, Option]
    source: str
    """SHA-256 of the file; of a user's own plug-in also of what it imports (see sources.py), and part of the key."""
    is_network: bool = False
    """Of a strategy: whether it is any callable (widths, classes) -> nn.Module; see fusion/_network.py."""

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
        return is_shipped(self.name)


@cache
def describe(kind: PluginKind, name: str) -> Plugin:
    """The facts of one plug-in.

    Raises:
        UserError: there is none of that name, or its file does not hold exactly one.
    """
    place = place_of(kind, name)
    owner, where = f"{kind} '{name}'", place.path.name
    try:
        tree = parsed(place.path)
    except SyntaxError as error:
        raise UserError(f"{owner}: {where}, line {error.lineno}: {error.msg}") from error
    entry, is_network = _entry(kind, name, place, tree)
    own = entry.body if isinstance(entry, ast.ClassDef) else []
    body = tree.body if kind == "measure" else own  # A measure states facts beside its function.
    signature = next((f for f in own if isinstance(f, ast.FunctionDef) and f.name == "__init__"), None)
    signature = entry if isinstance(entry, ast.FunctionDef) else signature
    attribute = place.attribute or getattr(entry, "name", "")
    found = network_options(signature, owner) if is_network else options_of(signature, owner)
    facts = dict(literals(body))
    return Plugin(
        kind=kind,
        name=f"{parts_of(name)[0]}:{attribute}" if is_file(name) else name,
        module=place.module,
        path=place.path,
        attribute=attribute,
        doc=ast.get_docstring(tree) or _doc(entry),
        facts=MappingProxyType(_of_network(facts) if is_network else facts),
        options=MappingProxyType({option.name: option for option in found}),
        source=_source(name, place),
        is_network=is_network,
    )


def forget() -> None:
    """What was read so far is read anew: files of the user's own may have been written or edited since."""
    importlib.invalidate_caches()
    describe.cache_clear()
    parsed.cache_clear()


def load(kind: PluginKind, name: str) -> Any:
    """The plug-in itself: imports its one module. A network of the user's own comes as a strategy.

    Raises:
        UserError: there is none of that name, or importing it fails.
    """
    plugin = describe(kind, name)
    try:
        module = imported(plugin.path) if is_file(name) else importlib.import_module(plugin.module)
        found = getattr(module, plugin.attribute)
    except Exception as error:  # Whatever the file's own code raises.
        what = str(error) if isinstance(error, ImportError | AttributeError) else f"{type(error).__name__}: {error}"
        way = "; name it by its package, package.module:Name" if "relative import" in what and is_file(name) else ""
        shown = plugin.path if is_file(name) else plugin.module
        raise UserError(f"{kind} '{name}': {shown} cannot be imported: {' '.join(what.split())}{way}") from error
    # By its name, since nothing here may know of torch.
    return importlib.import_module(NETWORK).strategy_of(plugin, found) if plugin.is_network else found


def _entry(kind: PluginKind, name: str, place: Place, tree: ast.Module) -> tuple[ast.stmt, bool]:
    """What makes the file a plug-in, or what it calls by the name that is given; and whether that is a network.

    Raises:
        UserError: there is none, or another number of them.
    """
    owner, base = f"{kind} '{name}'", BASES.get(kind, "")
    if place.attribute:
        found = named(tree, place.attribute) or named(tree, "*")  # A star that it imports may give any name.
        if found is None:
            raise unknown(f"name in {place.path.name} called", place.attribute, made_known(tree), owner)
        if kind != "strategy" and not derives(found, base):
            needed = f"a class that names {base} as its base" if base else "named by its module alone"
            raise UserError(f"{owner}: {place.attribute} is no {kind}; that is {needed}")
        return found, not derives(found, base)
    entry = entry_of(tree, base or None)
    if entry is None:
        needed = f"public class derived from {base}" if base else "function `measure`"
        more = f"; a network of it is named {name}:Name" if kind == "strategy" else ""
        raise UserError(f"{owner}: {place.path.name} must hold exactly one {needed}{more}")
    return entry, False


def _doc(entry: ast.stmt) -> str:
    return (ast.get_docstring(entry) if isinstance(entry, ast.ClassDef | ast.FunctionDef) else None) or ""


def _of_network(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What may be said of a network of the user's own: nobody has looked what it can tell apart."""
    display = facts.get("display")
    return {"interaction": "", "fidelity": ""} | ({"display": display} if isinstance(display, str) else {})


def _source(name: str, place: Place) -> str:
    if is_shipped(name):
        return hashlib.sha256(place.path.read_bytes()).hexdigest()
    return source_of(place.module, place.path)


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
