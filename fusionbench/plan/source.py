"""Suite text to a plain tree, with the line of every value kept, so that each mistake can be shown in its place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fusionbench.core.catalogue import PACKAGE
from fusionbench.core.errors import UserError, unknown

SHIPPED = (PACKAGE / "experiments", PACKAGE.parent / "experiments")
"""Where shipped suites lie: in an installed wheel, and in a checkout."""

TreePath = tuple[str | int, ...]


@dataclass(frozen=True)
class Source:
    """A suite file as text: its tree, and where in the file each part of it stands."""

    name: str
    tree: dict[str, Any]
    lines: dict[TreePath, int]

    def place(self, path: TreePath) -> str:
        """`file, line 7: budget.epochs` for a path into the tree; the nearest enclosing line if it has none."""
        dotted = ".".join(str(part) for part in path)
        known = next((path[:n] for n in range(len(path), -1, -1) if path[:n] in self.lines), ())
        return f"{self.name}, line {self.lines.get(known, 1)}: {dotted}".removesuffix(": ")


class _Loader(yaml.SafeLoader):
    """Safe YAML in which 1e-3 is a number, as in YAML 1.2 (PyYAML's 1.1 wants 1.0e-3), and without aliases."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """One node; an alias is refused, since a few nested ones stand for billions of values."""
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, "aliases are not allowed; write the value out", mark)
        return super().compose_node(parent, index)


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
    is_path = suite.endswith((".yaml", ".yml")) or "/" in suite
    if not is_path and suite not in shipped:
        raise unknown("shipped suite", suite, shipped)
    path = Path(suite) if is_path else shipped[suite]
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{suite}: {error.strerror}; give a suite file or one of {', '.join(shipped)}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{suite}: not UTF-8 text at byte {error.start}") from error
    return parse_source(text, suite if is_path else path.name)


def parse_source(text: str, name: str) -> Source:
    """Plain YAML (no tags, no aliases, no key twice) as a tree with its lines.

    Raises:
        UserError: anything else.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        lines = dict(_lines(node, (), name)) if node else {}
        tree = loader.construct_document(node) if node else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise UserError(f"{name}, line {mark.line + 1 if mark else 1}: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{name}: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise UserError(f"{name}: a suite is a mapping with name, datasets and strategies")
    return Source(name, tree, lines)


def with_settings(source: Source, settings: list[str]) -> Source:
    """The source with `budget.epochs=2`-like settings from the command line laid over it.

    Raises:
        UserError: a setting is not of the form path=value, or its path runs through something that is no mapping.
    """
    for setting in settings:
        path, equals, value = setting.partition("=")
        if not equals or not all(path.split(".")):
            raise UserError(f"--set {setting}: give it as path=value, such as budget.epochs=2")
        *folders, last = path.split(".")
        at: Any = source.tree
        for part in folders:
            at = at.setdefault(part, {}) if isinstance(at, dict) else None
        if not isinstance(at, dict):
            raise UserError(f"--set {setting}: '{'.'.join(folders)}' is no mapping in {source.name}")
        at[last] = parse_source(f"value: {value}", f"--set {setting}").tree["value"]
    return source


def _lines(node: yaml.Node, path: TreePath, name: str) -> Iterator[tuple[TreePath, int]]:
    line = node.start_mark.line + 1
    yield path, line
    if not node.tag.startswith("tag:yaml.org,2002:") or node.tag.startswith("tag:yaml.org,2002:python"):
        raise UserError(f"{name}, line {line}: the tag {node.tag} is not allowed; a suite holds plain values only")
    if isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            yield from _lines(child, (*path, index), name)
    elif isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, child in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise UserError(f"{name}, line {key.start_mark.line + 1}: keys are plain words")
            if key.value in keys:
                raise UserError(f"{name}, line {key.start_mark.line + 1}: '{key.value}' stands here twice")
            keys.add(key.value)
            yield from _lines(child, (*path, key.value), name)
