"""What a plug-in may be called, seen from its name alone.

gated               shipped: the file fusion/gated.py
mine.weighted       a module of the user's own, and the one plug-in in it
mine.nets:Net       what a module calls so
models/nets.py      a file, and the one plug-in in it
models/nets.py:Net  what a file calls so
"""

from __future__ import annotations

import re
from pathlib import PurePath

WORD = r"[A-Za-z_][A-Za-z0-9_]*"
MODULE = re.compile(rf"{WORD}(\.{WORD})*(:{WORD})?")
FILE = re.compile(rf"[^:\x00-\x1f\x7f]+\.py(:{WORD})?")
FORMS = "a shipped one, package.module, package.module:Net or path/to/file.py:Net"


def is_name(name: str) -> bool:
    """Whether a plug-in may be called so."""
    return MODULE.fullmatch(name) is not None or is_file(name)


def is_shipped(name: str) -> bool:
    """Whether it is a plug-in of fusionbench's own."""
    return "." not in name and ":" not in name


def is_file(name: str) -> bool:
    """Whether a file is named, by its path.

    >>> is_file("nets.py:Net"), is_file("models/nets.py"), is_file("mine.nets:Net")
    (True, True, False)
    """
    return FILE.fullmatch(name) is not None


def parts_of(name: str) -> tuple[str, str]:
    """The module or path, and what is meant there; empty where it is the only plug-in."""
    place, _, attribute = name.partition(":")
    return place, attribute


def folder_name(name: str) -> str:
    """As folders of records and rows of tables call it.

    >>> folder_name("mine.nets:Net"), folder_name("../models/nets.py:Net"), folder_name("gated")
    ('mine.nets.Net', 'nets.Net', 'gated')
    """
    place, attribute = parts_of(name)
    module = re.sub(r"[^A-Za-z0-9_.-]", "_", PurePath(place).stem) if is_file(name) else place
    return f"{module}.{attribute}" if attribute else module


def portable(name: str) -> str:
    """The name as a key holds it: where a file lies decides no result.

    >>> portable("/home/ann/models/nets.py:Net")
    'nets.py:Net'
    """
    return PurePath(name).name if is_file(name) else name


def in_words(name: str) -> str:
    """The last part of the name in words: `softmax attention` for `mine.softmax_attention`."""
    return folder_name(name).rpartition(".")[2].replace("_", " ").strip()
