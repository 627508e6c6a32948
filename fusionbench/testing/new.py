"""A file to begin a plug-in with: it passes the contract as it stands."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template

from fusionbench.core.errors import UserError, shown
from fusionbench.core.files import write_new
from fusionbench.core.plugin_names import WORD, is_file
from fusionbench.core.sources import file_of

TEMPLATES = Path(__file__).parent / "templates"
KINDS = ("strategy", "dataset", "encoder")


def new_file(kind: str, name: str) -> tuple[Path, str]:
    """Write the file, and say how a suite names it.

    Args:
        kind: strategy, dataset or encoder.
        name: `weighted` (weighted.py, here), `mine.weighted` (mine/weighted.py), or the path of a file.

    Returns:
        The file, and the name of the plug-in.

    Raises:
        UserError: no name for a module, or the file is there already.
    """
    path = Path(name) if is_file(name) and ":" not in name else Path(*name.split(".")).with_suffix(".py")
    words = [path.stem] if is_file(name) else name.split(".")
    for word in words:
        if not re.fullmatch(WORD, word) or keyword.iskeyword(word):
            raise UserError(f"{shown(name)} is no name for a Python module; give one such as weighted or mine.weighted")
    _refuse_hidden(words)
    text = Template((TEMPLATES / f"{kind}.txt").read_text(encoding="utf-8"))
    title = path.stem.replace("_", " ").strip().capitalize()
    content = text.substitute(title=title, name=_class_name(path.stem), module=path.stem)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not write_new(path, content.encode()):
        raise UserError(f"{path}: there is a file already; give another name, or move it away")
    return path, name if len(words) > 1 else f"{path.as_posix()}"


def _refuse_hidden(words: list[str]) -> None:
    """A package of the name that Python finds first would hide the file."""
    other = file_of(words[0]) if len(words) > 1 else None
    if other is not None and other.parent != Path.cwd() / words[0]:
        raise UserError(f"Python finds another '{words[0]}' first, {other}; give the folder another name")


def _class_name(stem: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in stem.split("_")) or "Mine"
