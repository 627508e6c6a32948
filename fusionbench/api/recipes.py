"""Known data sets by recipe: the layout of their authors becomes a table for the data set `manifest`, and a suite."""

from __future__ import annotations

import importlib
import json
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fusionbench.core.errors import UserError, unknown
from fusionbench.core.files import move_folder, write_new, write_over
from fusionbench.data import recipes
from fusionbench.data.recipes._layout import Recipe

STRATEGIES = ("unimodal", "late", "concat", "gated", "cross_attention")
SEEDS = 6
NOT_REPRODUCED = (
    "No published number was reproduced with this recipe: the data cannot be had where fusionbench is made, and its "
    "tests use small stand-ins of the same form."
)
HEAD = """\
# Written by `fusionbench recipe {name}`: look through it, then `fusionbench run` it.
# {said}
"""


@dataclass(frozen=True)
class Written:
    """What a recipe came to."""

    table: Path
    suite: Path
    is_new: bool
    """Whether the suite was written; one that is there stays."""
    counts: Counter[str]
    """Rows by part; of no part where they are drawn."""
    notes: list[str]


def names() -> list[str]:
    """The recipes that there are."""
    folder = Path(recipes.__path__[0])
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))


def write_recipe(name: str, folder: Path, out: Path | None = None) -> Written:
    """Write the table of a data set, and a suite in the working folder.

    Args:
        name: of the recipe.
        folder: the data set's, as its authors have arranged it.
        out: where the table goes; None: into that folder.

    Raises:
        UserError: no such recipe or folder, or the layout is another one.
        OSError: nothing can be written there.
    """
    if name not in names():
        raise unknown("recipe", name, names())
    if not folder.is_dir():
        raise UserError(f"recipe {name}: no folder {folder}; name the one that holds the data set")
    if out is not None and not out.is_dir():
        raise UserError(f"--out {out}: no such folder; create it (mkdir -p {out})")
    recipe: Recipe = importlib.import_module(f"fusionbench.data.recipes.{name}").recipe(folder)
    place = folder if out is None else out
    rows = _rows(recipe, place / f"{name}_features")
    if not rows:
        raise UserError(f"recipe {name}: no row is whole; {'; '.join(recipe.notes)}")
    table = place / f"{name}.jsonl"
    write_over(table, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode())
    elsewhere = {} if out is None or recipe.makes_files else {"folder": str(folder.resolve())}
    suite = Path(f"{name}.yaml")
    is_new = write_new(suite, _suite(name, recipe, {"file": str(table), **recipe.options, **elsewhere}).encode())
    counts = Counter(str(row.get("part", "")) for row in rows)
    return Written(table, suite, is_new, counts, recipe.notes)


def _rows(recipe: Recipe, own: Path) -> list[dict[str, Any]]:
    """All rows; files of its own stand there whole or not at all."""
    if not recipe.makes_files:
        return list(recipe.rows(own))
    work = own.with_name(f"{own.name}.unfinished")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    rows = list(recipe.rows(work))
    if own.is_dir():  # Of an earlier call.
        shutil.rmtree(own)
    move_folder(work, own, "")
    return rows


def _suite(name: str, recipe: Recipe, options: dict[str, Any]) -> str:
    tree: dict[str, Any] = {"name": name, "datasets": [{"name": "manifest", "options": options}]}
    tree |= {"encoders": dict(recipe.encoders)} if recipe.encoders else {}
    tree |= {"strategies": list(STRATEGIES), "seeds": SEEDS, "budget": {"epochs": 20, "batch_size": 128}}
    text = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    return HEAD.format(name=name, said=NOT_REPRODUCED) + text
