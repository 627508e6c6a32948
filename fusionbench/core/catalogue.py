"""What a suite may name: strategies, datasets, encoders and measures, read from their source without importing it.

A name is a path: strategy `gated` is `fusion/gated.py`; a dotted name is a module of the user's own. Importing one
plug-in costs seconds (torch); reading its source with `ast` costs a millisecond, so `list` and `plan` answer at once.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, cast

from pydantic import TypeAdapter, ValidationError

from fusionbench.core.errors import UserError, unknown

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

ANNOTATIONS = {"bool": bool, "int": int, "float": float, "str": str, "tuple": tuple, "dict": dict, "Literal": Literal}
REQUIRED: Any = object()


@dataclass(frozen=True)
class Option:
    """One keyword-only argument of a plug-in: what a suite may set."""

    name: str
    annotation: Any
    default: Any
    """A JSON value, or REQUIRED."""

    @property
    def required(self) -> bool:
        """Whether a suite has to give it."""
        return self.default is REQUIRED


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
    """The literal class attributes, e.g. `paper`, `views`."""
    options: Mapping[str, Option]
    source: str
    """SHA-256 of the file: part of the key of a user's own plug-in."""

    @property
    def summary(self) -> str:
        """The first paragraph of the docstring, on one line: what it does."""
        return " ".join(self.doc.split("\n\n", maxsplit=1)[0].split())

    @property
    def shipped(self) -> bool:
        """Whether it is part of fusionbench, not a user's own module."""
        return "." not in self.name


def names(kind: PluginKind) -> tuple[str, ...]:
    """The shipped plug-ins of a kind, sorted."""
    return tuple(sorted(name for name, path in _files(kind) if _entry(kind, _parsed(path)) is not None))


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
    entry = _entry(kind, tree)
    if entry is None:
        needed = f"a class derived from {BASES[kind]}" if kind in BASES else "a function `measure`"
        raise UserError(f"{kind} '{name}': {path.name} must hold exactly one public {needed.removeprefix('a ')}")
    body = entry.body if isinstance(entry, ast.ClassDef) else []
    signature = next((f for f in body if isinstance(f, ast.FunctionDef) and f.name == "__init__"), None)
    signature = entry if isinstance(entry, ast.FunctionDef) else signature
    return Plugin(
        kind=kind,
        name=name,
        module=module,
        attribute=entry.name,
        doc=ast.get_docstring(tree) or ast.get_docstring(entry) or "",
        facts=MappingProxyType(dict(_facts(body))),
        options=MappingProxyType({option.name: option for option in _options(signature, f"{kind} '{name}'")}),
        source=hashlib.sha256(path.read_bytes()).hexdigest(),
    )


def load(kind: PluginKind, name: str) -> Any:
    """The plug-in itself: imports its one module.

    Raises:
        UserError: there is none of that name, or importing it fails.
    """
    plugin = describe(kind, name)
    try:
        return getattr(importlib.import_module(plugin.module), plugin.attribute)
    except ImportError as error:
        raise UserError(f"{kind} '{name}': {plugin.module} cannot be imported: {error}") from error


def checked_options(plugin: Plugin, given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The options as JSON values, types checked and defaults filled in.

    Raises:
        UserError: an option that the plug-in does not have, one of the wrong type, or a required one that is missing.
    """
    owner = f"{plugin.kind} '{plugin.name}'"
    for name in given:
        if name not in plugin.options:
            raise unknown(f"option of {owner} called", name, plugin.options, where)
    filled = {}
    for name, option in plugin.options.items():
        if name not in given and option.required:
            raise UserError(f"{where}: {owner} needs the option '{name}'")
        filled[name] = _checked(option, given[name], owner, where) if name in given else option.default
    return filled


def changed_options(plugin: Plugin, options: Mapping[str, Any]) -> dict[str, Any]:
    """Those options that differ from the default: what a row of a table has to show."""
    return {
        name: value
        for name, value in options.items()
        if name not in plugin.options or plugin.options[name].required or plugin.options[name].default != value
    }


def _checked(option: Option, value: Any, owner: str, where: str) -> Any:
    try:
        # Through JSON: strict mode then takes a YAML list for a tuple, and still refuses "3" or true for an int.
        adapter = TypeAdapter(option.annotation)
        return adapter.dump_python(adapter.validate_json(_json(value), strict=True), mode="json")
    except ValidationError as error:
        message = error.errors()[0]["msg"]
        raise UserError(f"{where}.{option.name}: {owner}: {message[0].lower()}{message[1:]}, got {value!r}") from error


def _json(value: Any) -> str:
    import json

    return json.dumps(value)


def _files(kind: PluginKind) -> Iterator[tuple[str, Path]]:
    for path in (PACKAGE / FOLDERS[kind]).glob("*.py"):
        if not path.stem.startswith("_") and path.stem != "base":
            yield path.stem, path


def _locate(kind: PluginKind, name: str) -> tuple[str, Path]:
    if "." not in name:
        if name not in names(kind):
            raise unknown(kind, name, names(kind))
        return f"fusionbench.{FOLDERS[kind]}.{name}", PACKAGE / FOLDERS[kind] / f"{name}.py"
    try:
        spec = importlib.util.find_spec(name)
    except ImportError as error:
        raise UserError(f"{kind} '{name}' cannot be found: {error}") from error
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        folder = name.rpartition(".")[0].replace(".", "/")
        raise UserError(f"{kind} '{name}': no such Python module; start in the folder that holds {folder}/")
    return name, Path(spec.origin)


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _entry(kind: PluginKind, tree: ast.Module) -> ast.ClassDef | ast.FunctionDef | None:
    """The one definition that makes the file a plug-in, or None."""
    found: list[ast.ClassDef | ast.FunctionDef] = []
    for node in tree.body:
        if kind == "measure" and isinstance(node, ast.FunctionDef) and node.name == "measure":
            found.append(node)
        if kind != "measure" and isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            bases = {base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "") for base in node.bases}
            found.extend([node] if BASES[kind] in bases else [])
    return found[0] if len(found) == 1 else None


def _facts(body: list[ast.stmt]) -> Iterator[tuple[str, Any]]:
    for node in body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            try:
                value = ast.literal_eval(cast(ast.expr, cast(ast.Assign, node).value))
            except (ValueError, TypeError):
                continue  # Not a literal: a fact only of the imported class.
            if isinstance(target, ast.Name):
                yield target.id, value
            elif isinstance(target, ast.Tuple):
                yield from zip((cast(ast.Name, name).id for name in target.elts), value, strict=True)


def _options(signature: ast.FunctionDef | None, owner: str) -> Iterator[Option]:
    if signature is None:
        return
    for argument, default in zip(signature.args.kwonlyargs, signature.args.kw_defaults, strict=True):
        try:
            annotation = eval(ast.unparse(argument.annotation or ast.Name("str")), {"__builtins__": {}}, ANNOTATIONS)  # noqa: S307
            value = REQUIRED if default is None else ast.literal_eval(default)
        except (NameError, ValueError, TypeError, SyntaxError) as error:
            raise UserError(
                f"{owner}: option '{argument.arg}' must be annotated with {', '.join(ANNOTATIONS)} "
                f"and have a literal default ({error})"
            ) from error
        yield Option(argument.arg, annotation, list(value) if isinstance(value, tuple) else value)
