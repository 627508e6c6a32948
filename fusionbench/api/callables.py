"""Strategies that are given as objects: named so that workers, which know nothing of this program, can import them.

a class or function of a module     `module:Name`
one of a notebook or a script       its source, and what that uses, saved to a file (extracted.py): `file.py:Name`
functools.partial of either         its name, and the keywords as options
"""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fusionbench.api.extracted import saved
from fusionbench.core.errors import UserError, shown
from fusionbench.core.sources import file_of
from fusionbench.plan.source import read_source
from fusionbench.plan.suite_file import NAME

Strategy = str | Mapping[str, Any] | Callable[..., Any]
"""A name, a name with options, or what builds a network: see `fusionbench.compare`."""
WAY = "put it in a file and name it there: 'path/to/file.py:Net'"


def named(strategies: Strategy | Sequence[Strategy], folder: Path) -> Any:
    """As a suite names them: a word such as "all", or a list.

    Args:
        strategies: one or several; names stay as they are.
        folder: where sources are saved that have no module.

    Raises:
        UserError: something that cannot be named, or whose source cannot be saved.
    """
    if isinstance(strategies, Sequence) and not isinstance(strategies, str):
        return [_named(one, folder) for one in strategies]
    return strategies if isinstance(strategies, str) else [_named(strategies, folder)]


def named_in(suite: str | os.PathLike[str] | Mapping[str, Any], results: Path) -> Any:
    """A suite that is given as a dict, its strategies named; any other as it is."""
    if not isinstance(suite, Mapping) or "strategies" not in suite:
        return suite
    return {**suite, "strategies": named(suite["strategies"], results / name_of(suite))}


def name_of(suite: str | os.PathLike[str] | Mapping[str, Any]) -> str:
    """What the folder of a suite's records is called."""
    tree = suite if isinstance(suite, Mapping) else read_source(os.fspath(suite)).tree
    name = tree.get("name")
    return name if isinstance(name, str) and re.fullmatch(NAME, name) else "suite"  # A wrong one is refused later.


def _named(given: Any, folder: Path) -> Any:
    if isinstance(given, Mapping):
        name = given.get("name")
        return given if isinstance(name, str) or not callable(name) else {**given, "name": _name(name, folder)}
    if isinstance(given, functools.partial):
        if given.args:
            raise UserError(f"strategies: {shown(given)}: of a partial give keywords alone, which are its options")
        return {"name": _name(given.func, folder), "options": dict(given.keywords)}
    return given if isinstance(given, str) else _name(given, folder)


def _name(given: Any, folder: Path) -> str:
    name, module = getattr(given, "__qualname__", ""), getattr(given, "__module__", "")
    if not callable(given) or not name or not module:
        what = f"strategies: {type(given).__name__} {shown(given)}"
        raise UserError(f"{what}; give a name, or a class or function (widths, classes) -> torch.nn.Module, not called")
    if "<" in name or "." in name:
        kind = "a lambda has no name" if "<lambda>" in name else "it is defined inside of something else"
        raise UserError(f"strategies: {name}: {kind}, where no worker finds it; {WAY}, or define it at the top level")
    if module == "__main__" or not _is_in_file(given, name, module):
        return saved(given, folder)
    return f"{module}:{name}"


def _is_in_file(given: Any, name: str, module: str) -> bool:
    """Whether a worker that imports the module finds the same there."""
    return getattr(sys.modules.get(module), name, None) is given and file_of(module) is not None
