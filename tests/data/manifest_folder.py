"""Tables as a user may have them, small."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fusionbench.data.manifest import Manifest

ROWS = 60
NOTES = ("feels well", "is often tired", "sleeps badly")
COLUMNS: dict[str, Any] = {"age": "number", "weight": "number", "city": "category", "note": "tokens"}


def people(rows: int = ROWS) -> list[dict[str, Any]]:
    """Age, weight and city, a note, and a diagnosis; some cells are empty."""
    rng = np.random.default_rng(0)
    found: list[dict[str, Any]] = [
        {
            "age": int(rng.integers(20, 80)),
            "weight": round(float(rng.normal(70, 10)), 2),
            "city": ("Rome", "Oslo", "Lima")[row % 3],
            "note": f"{NOTES[row % 3]} since {row} days",
            "ill": ("yes", "no")[row % 2],
        }
        for row in range(rows)
    ]
    for row in range(0, rows, 7):
        found[row]["note"] = None
    for row in range(3, rows, 10):
        found[row]["weight"] = None
    return found


def write_csv(path: Path, rows: Sequence[dict[str, Any]], encoding: str = "utf-8", delimiter: str = ",") -> Path:
    """With a header; None is an empty cell."""
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_jsonl(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """None is a key that is not there."""
    lines = [json.dumps({key: value for key, value in row.items() if value is not None}) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def opened(path: Path, columns: dict[str, Any] = COLUMNS, label: Any = "ill", **options: Any) -> Manifest:
    """Converted into a data folder beside it."""
    seed = options.pop("seed", 0)
    data = Manifest(path.parent / "data", seed, 16, file=str(path), columns=columns, label=label, **options)
    data.prepare_data()
    data.setup()
    return data
