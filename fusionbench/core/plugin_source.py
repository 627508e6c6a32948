"""What makes a Python file a plug-in, and which facts its class states: found by reading, nothing is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from contextlib import suppress
from typing import Any


def entry_of(tree: ast.Module, base: str | None) -> ast.ClassDef | ast.FunctionDef | None:
    """The one definition that makes a file a plug-in, or None.

    Args:
        tree: of the file.
        base: the class that its public class derives from; None: it is a function `measure` that is looked for.
    """
    found: list[ast.ClassDef | ast.FunctionDef] = []
    for node in tree.body:
        if base is None and isinstance(node, ast.FunctionDef) and node.name == "measure":
            found.append(node)
        if base is not None and isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            found.extend([node] if derives(node, base) else [])
    return found[0] if len(found) == 1 else None


def named(tree: ast.Module, name: str) -> ast.stmt | None:
    """What makes a name known in a module, the last of several: a class, function, assignment or import, or None.

    Also where it stands in an `if`, a `try` or a `with`. A star that is imported may give any name.
    """
    found = [node for node in _statements(tree.body) if name in _made_known(node)]
    return found[-1] if found else None


def made_known(tree: ast.Module) -> list[str]:
    """The public classes and functions of a module."""
    found = (node.name for node in _statements(tree.body) if isinstance(node, ast.ClassDef | ast.FunctionDef))
    return sorted({name for name in found if not name.startswith("_")})


def derives(node: ast.stmt | None, base: str) -> bool:
    """Whether it is a class that names the base among those that it derives from."""
    return isinstance(node, ast.ClassDef) and base in _bases(node)


def _bases(node: ast.ClassDef) -> set[str]:
    return {one.attr if isinstance(one, ast.Attribute) else getattr(one, "id", "") for one in node.bases}


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _statements([one for one in ast.iter_child_nodes(node) if isinstance(one, ast.stmt)])


def _made_known(node: ast.stmt) -> set[str]:
    match node:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
            return {name}
        case ast.Assign(targets=targets):
            return {one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
            return {name}
        case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
            return {alias.asname or alias.name.partition(".")[0] for alias in aliases}
    return set()


def literals(body: list[ast.stmt]) -> Iterator[tuple[str, Any]]:
    """`name = literal` and `a, b = literal, literal` of a class; anything else is a fact only of the imported class."""
    for node in body:
        pairs: list[tuple[ast.expr, ast.expr]] = []
        match node:
            case ast.Assign(targets=[ast.Name() as assigned], value=value):
                pairs = [(assigned, value)]
            case ast.AnnAssign(target=annotated, value=ast.expr() as value):
                pairs = [(annotated, value)]
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                pairs = list(zip(targets, values, strict=False))
        for target, value in pairs:
            with suppress(ValueError, TypeError):
                yield ast.unparse(target), ast.literal_eval(value)
