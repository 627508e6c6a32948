"""A class or function of a notebook or a script, with all that it uses, as a file of its own.

Workers never run the program that called: it would begin anew in each of them. So the source of what is given is read,
and with it what its names stand for now: modules are imported, other classes and functions of the same program come
along, constants are written out. What cannot be written down (an array, an open file) is refused in one line.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import os
import symtable
import sys
from collections.abc import Iterator
from inspect import isclass, isfunction, ismodule
from pathlib import Path
from typing import Any

from fusionbench.api.definitions import definition, stated_import
from fusionbench.core.errors import UserError, shown
from fusionbench.core.files import write_over
from fusionbench.core.sources import file_of

FUTURE = "from __future__ import annotations\n"
WAY = "put it in a file with what it uses, and name it there: 'path/to/file.py:Net'"


def saved(given: Any, folder: Path) -> str:
    """Write it to `<folder>/own/<hash>/<where>.py`; its name as a suite writes it.

    Args:
        given: a class or function of the main program.
        folder: of the suite's records: what made them stays beside them.

    Raises:
        UserError: its source cannot be found, or it uses what cannot be written down.
    """
    source, where = _Source(given.__name__), _where()
    source.add(given)
    head = f'"""{given.__name__}, as it stood in the program `{where}` when it was compared."""\n\n'
    text = head + FUTURE + "\n" + source.text()
    path = folder / "own" / hashlib.sha256(text.encode()).hexdigest()[:12] / f"{where}.py"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_over(path, text.encode())
    return f"{_short(path)}:{given.__name__}"


def _where() -> str:
    """What the main program is called: its file, or `notebook`."""
    if hasattr(builtins, "__IPYTHON__"):
        return "notebook"
    place = getattr(sys.modules.get("__main__"), "__file__", None)
    return Path(place).stem if place else "main"


def _short(path: Path) -> str:
    """Relative to the working folder where it lies below: records need not say where that is."""
    whole = path.absolute()
    return os.path.relpath(whole) if whole.is_relative_to(Path.cwd()) else str(whole)


class _Source:
    """Statements that make a module, what is used before what uses it."""

    def __init__(self, owner: str) -> None:
        self.owner, self.imports, self.parts = owner, dict[str, str](), dict[str, str]()
        self._begun: set[str] = set()

    def text(self) -> str:
        """The module."""
        return "\n".join(sorted(set(self.imports.values()))) + "\n\n" + "\n\n".join(self.parts.values()) + "\n"

    def add(self, given: Any) -> None:
        """A class or function, and before it what it uses."""
        name = given.__name__
        if name in self._begun:  # It may use itself.
            return
        self._begun.add(name)
        text = definition(given)
        if not text:
            used = "" if name == self.owner else f" uses {name}:"
            raise UserError(f"strategies: {self.owner}{used or ':'} its source cannot be read here; {WAY}")
        program = given.__module__
        known = sys.modules[program].__dict__
        for used in _globals(text):
            if used in known and used != name:
                self._add_value(used, known[used], program)
        self.parts[name] = f"\n{text}"

    def _add_value(self, name: str, value: Any, program: str) -> None:
        """What a name stands for in the program."""
        if getattr(builtins, name, self) is value:
            return
        module, own_name = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
        if ismodule(value):
            self.imports[name] = _import(name, value.__name__)
        elif module and own_name and _found(module, own_name) is value:
            self.imports[name] = f"from {module} import {_as(own_name, name)}"
        elif (isclass(value) or isfunction(value)) and module == program and value.__name__ == name:
            self.add(value)
        elif _is_constant(value):
            self.parts[name] = f"{name} = {value!r}"
        elif stated := stated_import(name, value):
            self.imports[name] = stated
        else:
            what = f"strategies: {self.owner} uses '{name}', {type(value).__name__} {shown(value)}"
            raise UserError(f"{what}, which no file can say; make it an argument with a default, or {WAY}")


def _globals(text: str) -> Iterator[str]:
    """The names that a definition looks up outside of itself; annotations are not looked up."""
    waiting = [symtable.symtable(FUTURE + text, "definition", "exec")]
    found = dict[str, None]()
    while waiting:
        table = waiting.pop()
        outer = table.get_type() == "module"
        names = [s.get_name() for s in table.get_symbols() if (s.is_referenced() if outer else s.is_global())]
        found.update(dict.fromkeys(names))
        waiting += table.get_children()
    return iter(sorted(found))


def _import(name: str, module: str) -> str:
    package, _, last = module.rpartition(".")
    return f"from {package} import {_as(last, name)}" if package else f"import {_as(module, name)}"


def _as(there: str, here: str) -> str:
    return there if there == here else f"{there} as {here}"


def _found(module: str, name: str) -> Any:
    """What a module has of a name, where a worker can import it."""
    if module == "__main__" or (module not in sys.builtin_module_names and file_of(module) is None):
        return None
    return getattr(sys.modules.get(module), name, None)


def _is_constant(value: Any) -> bool:
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        return False
