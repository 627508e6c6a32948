"""A suite to start from, for a table of one's own that was looked at."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

import yaml

from fusionbench.api.inspecting import taken_for
from fusionbench.api.own_data import budget_for
from fusionbench.core.errors import UserError
from fusionbench.core.files import write_new
from fusionbench.core.modalities import CELLS
from fusionbench.data.array_files import VALIDATION
from fusionbench.data.inspection import Inspection
from fusionbench.data.roles import refuse_no_label

MANY = 8
"""Columns of numbers whose names differ in a number at their end: from so many on they are one modality."""
STRATEGIES = ("unimodal", "late", "concat", "gated", "cross_attention")
LARGE, LARGE_BUDGET = 100_000, {"batch_size": 256, "epochs": 5}
"""Rows to train on, from which on a budget is small."""
TEST = 0.2
HEAD = """\
# Written by `fusionbench inspect`: look through it, then `fusionbench run` it. A column that is left out is not read.
# tokens: a text cut into subwords; `text` leaves it whole for a pretrained encoder. numbers and categories are together
# the modality `table`; {kind: vector, numbers: ["a_*"]} makes a modality of its own of some.
"""


def write_suite(found: Inspection, file: str, path: Path, options: Mapping[str, Any]) -> None:
    """Write a suite to start from.

    Args:
        found: the table.
        file: as the user wrote it.
        path: of the suite; nothing may be there.
        options: of the data set besides what was found: encoding, delimiter and so on; empty ones are left out.

    Raises:
        UserError: there is no label, too few modalities, or a file of that name.
        OSError: it cannot be written.
    """
    refuse_no_label(str(found.table.path), found.roles)
    columns = _columns(found)
    modalities = len({name for name, kind in columns.items() if kind not in CELLS}) + bool(set(CELLS) & _plain(columns))
    if modalities < 2:
        raise UserError(f"{found.table.path}: {modalities} modality; to be fused there must be at least 2: {columns}")
    roles = found.roles
    stated = {
        "file": file,
        "columns": columns,
        "label": roles.labels[0] if len(roles.labels) == 1 else list(roles.labels),
        "kind": roles.kind,
        "separator": roles.separator,
        "split": roles.split,
        "group": roles.group,
        **options,
    }
    rows = round(len(found.places) * (1 - VALIDATION) * (1 - TEST))
    tree = {
        "name": re.sub(r"[^A-Za-z0-9_]+", "_", found.table.path.stem).strip("_").lower() or "mine",
        "datasets": [
            {"name": "manifest", "options": {key: one for key, one in stated.items() if one not in ("", None)}}
        ],
        "strategies": list(STRATEGIES),
        "seeds": 3,
        "budget": LARGE_BUDGET if rows > LARGE else budget_for(rows),
    }
    text = HEAD + yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    if not write_new(path, text.encode()):
        raise UserError(f"{path} is there already; name another file, or remove it")


def _plain(columns: Mapping[str, Any]) -> set[Any]:
    return {kind for kind in columns.values() if isinstance(kind, str)}


def _columns(found: Inspection) -> dict[str, Any]:
    """The option `columns`: many numbers that are counted through are one modality of their own."""
    kinds = {name: taken_for(found, name) for name in found.profiles}
    kinds = {name: kind for name, kind in kinds.items() if kind not in ("label", "split", "group", "left out")}
    families: dict[str, list[str]] = {}
    for name, kind in kinds.items():
        stem = re.sub(r"[0-9]+$", "", name)
        if kind == "number" and stem not in ("", name):
            families.setdefault(stem, []).append(name)
    many = {stem: names for stem, names in families.items() if len(names) >= MANY}
    inside = {name for names in many.values() for name in names}
    stated: dict[str, Any] = {
        _modality(name, kinds): _stated(name, kind, kinds) for name, kind in kinds.items() if name not in inside
    }
    for stem, names in many.items():
        fits = [name for name in found.profiles if re.fullmatch(re.escape(stem) + ".*", name)]
        numbers = [f"{stem}*"] if set(fits) == set(names) and not set(stem) & set("*?[") else names
        stated[_free(stem.strip("_-. ") or "numbers", stated)] = {"kind": "vector", "numbers": numbers}
    return stated


def _modality(name: str, kinds: Mapping[str, str]) -> str:
    """A name that a modality may have."""
    if kinds[name] in CELLS:
        return name
    plain = re.sub(r"[./\\]+", "_", name).strip() or "column"
    return f"{plain}_" if plain in ("targets", "table") else plain


def _stated(name: str, kind: str, kinds: Mapping[str, str]) -> Any:
    return kind if _modality(name, kinds) == name else {"kind": kind, "column": name}


def _free(name: str, taken: Container[str]) -> str:
    return name if name not in taken and name != "table" else _free(f"{name}_", taken)
