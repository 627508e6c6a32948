"""Suite text to a plain tree, with the line of every value kept, so that each mistake can be shown in its place."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fusionbench.core.errors import UserError, shown, unknown
from fusionbench.core.plugin_places import PACKAGE, names

SHIPPED = (PACKAGE / "experiments", PACKAGE.parent / "experiments")
"""Where shipped suites lie: in an installed wheel, and in a checkout."""
DEEPEST = 32
"""How many lists and mappings may lie inside each other; a suite needs 6."""

SUITE = "a suite is a mapping with name, datasets and strategies"

TreePath = tuple[str | int, ...]


@dataclass(frozen=True)
class Source:
    """A suite file as text: its tree, and where in the file each part of it stands."""

    name: str
    tree: dict[str, Any]
    lines: dict[TreePath, int]
    settings: dict[TreePath, str] = field(default_factory=dict)
    """By place of the tree, the option that put something there: `--set budget.epochs=2`."""

    def place(self, path: TreePath) -> str:
        """`file, line 7: budget.epochs` for a path into the tree; the nearest enclosing line if it has none."""
        dotted = ".".join(str(part) for part in path)
        prefixes = [path[:n] for n in range(len(path), -1, -1)]
        near = next((prefix for prefix in prefixes if prefix in self.lines or prefix in self.settings), ())
        if near in self.settings:
            return f"{self.settings[near]}: {dotted}"
        if not self.lines:  # No file: a suite that was given as a dict.
            return f"{self.name}: {dotted}".removesuffix(": ")
        return f"{self.name}, line {self.lines.get(near, 1)}: {dotted}".removesuffix(": ")


class _Loader(yaml.SafeLoader):
    """Safe YAML in which 1e-3 is a number, as in YAML 1.2 (PyYAML's 1.1 wants 1.0e-3): no tags, aliases or depths."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.path: list[str] = []

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """One node; what a suite has no use for is refused before anything is made of it."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        self.path.append(str(index.value if isinstance(index, yaml.ScalarNode) else index))
        reason = ""
        if isinstance(event, yaml.AliasEvent):  # A few nested ones stand for billions of values.
            reason = "aliases are not allowed; write the value out"
        elif event.tag:
            tag = shown(event.tag.replace("tag:yaml.org,2002:", "!!"))
            reason = f"the tag {tag} is not allowed; a suite holds plain values only"
        elif len(self.path) > DEEPEST:
            reason = f"nested more than {DEEPEST} deep"
        if reason:
            place = ".".join(part for part in self.path[1:4] if part.isprintable())
            raise yaml.composer.ComposerError(None, None, f"{place}: {reason}", event.start_mark)
        node = super().compose_node(parent, index)
        self.path.pop()
        return node


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def shipped_suites() -> dict[str, Path]:
    """The suites that come with fusionbench, by name."""
    folder = next((folder for folder in SHIPPED if folder.is_dir()), SHIPPED[-1])
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read_source(suite: str) -> Source:
    """The suite file of that path, or the shipped suite of that name.

    Raises:
        UserError: there is none, or it is not plain YAML.
    """
    shipped = shipped_suites()
    is_path = _is_path(suite)
    if not is_path and suite not in shipped:
        raise UserError(f"{unknown('shipped suite', suite, shipped)}; or give the path of a .yaml file")
    path = Path(suite) if is_path else shipped[suite]
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{suite}: {error.strerror}; give a suite file or one of {', '.join(shipped)}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(f"{suite}, line {line}: not UTF-8 text") from error
    except ValueError as error:  # A null byte, or half a character.
        raise UserError(f"{shown(suite)} is no path of a file") from error
    return parse_source(text, suite if is_path else path.name)


def named_suites(source: Source, given: Sequence[str], own: str) -> Iterator[str]:
    """The other suites that a suite named `own` is compared with, as `read_source` takes them.

    The path of a file is from the folder of the suite's own. What is wrong inside of one is said when it is read whole.

    Raises:
        UserError: one is not there, is named twice, or is the suite itself.
    """
    for index, entry in enumerate(given):
        place = source.place(("compare_with", index))
        name = str(Path(source.name).parent / entry) if _is_path(entry) else entry
        try:
            other = read_source(name).tree.get("name")
        except UserError as error:
            raise UserError(f"{place}: {error}") from error
        if other == own or entry in given[:index]:
            raise UserError(f"{place}: {shown(entry)} is {'this suite' if other == own else 'named twice'}")
        yield name


def parse_source(text: str, name: str, holds: str = SUITE) -> Source:
    """Plain YAML (no tags, no aliases, no key twice, finite numbers) as a tree with its lines.

    Args:
        text: of the file.
        name: the file's, or what stands for it where a mistake is told.
        holds: what is said of text that holds no mapping.

    Raises:
        UserError: anything else.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        lines = dict(_lines(loader, node, (), (name, node.start_mark.line + 1))) if node else {}
        tree = loader.construct_document(node) if node else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = ", ".join(part for part in (error.context, error.problem) if part)
        raise UserError(f"{name}, line {mark.line + 1 if mark else 1}: {words}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise UserError(f"{name}, line {line}: the character #x{error.character:02x} is not allowed") from error
    if not isinstance(tree, dict):
        raise UserError(f"{name}, line 1: {holds}, got {shown(tree)}")
    return Source(name, tree, lines)


def with_settings(source: Source, settings: list[str]) -> Source:
    """A copy of the source with `budget.epochs=2`-like settings from the command line laid over it.

    Raises:
        UserError: a setting is not of the form path=value, or its path runs through something that is no mapping.
    """
    tree, lines, places = deepcopy(source.tree), dict(source.lines), dict(source.settings)
    for setting in settings:
        dotted, equals, value = setting.partition("=")
        path: tuple[str, ...] = tuple(dotted.split("."))
        if not equals or not all(path):
            raise UserError(f"--set {setting}: give it as path=value, such as budget.epochs=2")
        at: Any = tree
        for part in path[:-1]:
            at = at.setdefault(part, {}) if isinstance(at, dict) else None
        if not isinstance(at, dict):
            raise UserError(f"--set {setting}: '{'.'.join(path[:-1])}' is no mapping in {source.name}")
        at[path[-1]] = parse_source(f"value: {value}", f"--set {setting}").tree["value"]
        lines = {known: line for known, line in lines.items() if known[: len(path)] != path}
        places[path] = f"--set {setting}"
    return Source(source.name, tree, lines, places)


def with_strategies(source: Source, added: Sequence[Any], option: str) -> Source:
    """A copy of the source with more strategies behind its own; one that it has already stands there once.

    Args:
        source: of the suite.
        added: names, or mappings with name and options.
        option: by which they came, for errors.
    """
    tree, places = deepcopy(source.tree), dict(source.settings)
    own = tree.get("strategies")
    found = list(names("strategy")) if own == "all" else own
    if not isinstance(found, list):  # What is wrong with it is said where the suite is read.
        return source
    for one in added:
        if one not in found:
            places["strategies", len(found)] = f"{option} {one if isinstance(one, str) else one.get('name', one)}"
            found.append(one)
    return Source(source.name, {**tree, "strategies": found}, source.lines, places)


def _is_path(suite: str) -> bool:
    """Whether it is a file that is meant, not the name of a shipped suite."""
    return suite.endswith((".yaml", ".yml")) or "/" in suite


def _lines(loader: _Loader, node: yaml.Node, path: TreePath, at: tuple[str, int]) -> Iterator[tuple[TreePath, int]]:
    """Every path below a node and its line, that of its key where it has one; `at` is the node's own file and line."""
    name, line = at
    yield path, line
    dotted = ".".join(map(str, path))
    if isinstance(node, yaml.ScalarNode):
        _check_scalar(loader, node, f"{name}, line {line}: {dotted}")
    elif isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            yield from _lines(loader, child, (*path, index), (name, child.start_mark.line + 1))
    elif isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, child in node.value:
            line = key.start_mark.line + 1
            place = f"{name}, line {line}: {dotted}".removesuffix(": ")
            if key.tag != "tag:yaml.org,2002:str" or not key.value.isprintable():
                given = shown(key.value) if isinstance(key, yaml.ScalarNode) else "a list or mapping"
                raise UserError(f"{place}: a key is a plain word, got {given}")
            if key.value in keys:
                raise UserError(f"{place}: the key {shown(key.value)} stands here twice")
            keys.add(key.value)
            yield from _lines(loader, child, (*path, key.value), (name, line))


def _check_scalar(loader: _Loader, node: yaml.ScalarNode, place: str) -> None:
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    if kind not in ("bool", "float", "int", "null", "str"):
        raise UserError(f"{place}: {shown(node.value)} reads as a {kind}; put it in quotes")
    try:
        value = loader.construct_object(node)
    except ValueError as error:
        raise UserError(f"{place}: {shown(node.value)} is no number that can be read") from error
    if kind == "str" and any("\ud800" <= sign <= "\udfff" for sign in node.value):  # By an escape, in quotes.
        raise UserError(f"{place}: {shown(node.value)} holds half a character")
    if kind in ("int", "float") and not (math.isfinite(value) and abs(value) < 2**63):
        raise UserError(f"{place}: give a finite number below 2^63, got {shown(node.value)}")
