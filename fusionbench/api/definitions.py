"""Where the running program defines a class or function, and how it imports a name: read from its own text.

The text of a notebook's cell, as of a script, is in Python's cache of lines; `inspect` finds no class of a notebook.
"""

from __future__ import annotations

import ast
import importlib
import linecache
import sys
import textwrap
from collections.abc import Iterator
from inspect import isclass, unwrap
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any


def definition(given: Any) -> str:
    """The statement that defines a class or function, with its decorators; empty where no text shows it."""
    codes = list(_codes(given))
    for place in dict.fromkeys([code.co_filename for code in codes] or _main_file()):
        lines = linecache.getlines(place)
        numbers = [code.co_firstlineno for code in codes if code.co_filename == place]
        for first, last in _spans(lines, given, numbers):
            return textwrap.dedent("".join(lines[first - 1 : last])).rstrip() + "\n"
    return ""


def stated_import(name: str, value: Any) -> str:
    """The program's own `from module import name` that gives the value; empty where it has none."""
    cells = [place for place in list(linecache.cache) if "ipykernel" in place or "ipython-input" in place]
    for place in [*_main_file(), *cells]:
        imports = [node for node in ast.walk(_tree(linecache.getlines(place))) if isinstance(node, ast.ImportFrom)]
        stated = [(node.module, one) for node in imports if node.module and not node.level for one in node.names]
        for module, alias in stated:
            if (alias.asname or alias.name) == name and _has(module, alias.name) is value:
                return f"from {module} import {alias.name}" + (f" as {name}" if alias.asname else "")
    return ""


def _has(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name, None)  # It is imported already.


def _main_file() -> list[str]:
    place = getattr(sys.modules.get("__main__"), "__file__", None)
    return [place] if place and Path(place).is_file() else []


def _spans(lines: list[str], given: Any, numbers: list[int]) -> Iterator[tuple[int, int]]:
    """The first and last lines of definitions of that name, that have one of these lines among them if any are known.

    The last of several comes first: it is what a program runs on with.
    """
    kind = ast.ClassDef if isclass(given) else ast.FunctionDef
    found = [node for node in ast.walk(_tree(lines)) if isinstance(node, kind) and node.name == given.__name__]
    for node in reversed(found):
        first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
        last = node.end_lineno or first
        if not numbers or any(first <= number <= last for number in numbers):
            yield first, last


def _tree(lines: list[str]) -> ast.Module:
    try:
        return ast.parse("".join(lines))
    except (SyntaxError, ValueError):  # A cell with a `%magic`, say.
        return ast.Module([], [])


def _codes(given: Any) -> Iterator[CodeType]:
    """The code of a function, or of a class's own methods: where they were read from, and at which lines."""
    for one in vars(given).values() if isclass(given) else (given,):
        found = getattr(one, "__func__", None) or getattr(one, "fget", None) or one
        found = unwrap(found) if callable(found) else found
        if isinstance(found, FunctionType) and found.__module__ == given.__module__:
            yield found.__code__
