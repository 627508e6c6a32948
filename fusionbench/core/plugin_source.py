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
            bases = {one.attr if isinstance(one, ast.Attribute) else getattr(one, "id", "") for one in node.bases}
            found.extend([node] if base in bases else [])
    return found[0] if len(found) == 1 else None


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
