"""A file of the user's own as a module, named by its path: found, and imported under a name that hides no other."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from fusionbench.core.errors import UserError

MARK = "@"
"""Between the file's own name and its hash, in the name of its module."""


def found_file(place: str) -> Path:
    """The file of a path; its folder is searched for modules from now on, last, so that it hides no other.

    Raises:
        UserError: there is no such file.
    """
    try:
        path = Path(place).expanduser()
        is_there = path.is_file()
    except (OSError, RuntimeError) as error:  # A name too long; no home folder.
        raise UserError(f"{place} is no path: {getattr(error, 'strerror', None) or error}") from error
    if not is_there:
        raise UserError(f"no file {place} (in {Path.cwd()}); name one that is there")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    return path


def module_name(path: Path) -> str:
    """What the module of a file is called: `nets@1f0c2a`, by place and content, so that an edited one is another."""
    found = hashlib.sha256(f"{path.resolve()}\n".encode() + path.read_bytes()).hexdigest()
    return f"{path.stem}{MARK}{found[:6]}"


def imported(path: Path) -> ModuleType:
    """The file's module; imported once, as Python does."""
    name = module_name(path)
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Before it runs: dataclasses look their own module up.
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
