"""Features of CMU-MOSI and CMU-MOSEI as MMSA gives them: steps of text, sound and face of each segment, and sentiment.

    aligned_50.pkl, or unaligned_50.pkl     {"train" | "valid" | "test": {"id": (n,), "raw_text": (n,),
                                             "text": (n, T, F), "audio": (n, T, F), "vision": (n, T, F),
                                             "regression_labels": (n,), ...}}

Steps of nothing but zeros before the first and after the last real one are padding and go. What is not finite becomes
0, as MMSA does with -infinity in audio. A segment's id is `video$_$number`.

Source: https://github.com/thuiar/MMSA, src/MMSA/data_loader.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionbench.data.progress import progress
from fusionbench.data.recipes._layout import Layout, Recipe, Row
from fusionbench.data.recipes._pickles import UNREADABLE, read

HOME = "get Processed/aligned_50.pkl or unaligned_50.pkl from https://github.com/thuiar/MMSA (its README has the links)"
FILES = ("aligned_50.pkl", "unaligned_50.pkl", "Processed/aligned_50.pkl", "Processed/unaligned_50.pkl")
PARTS = {"train": "train", "valid": "validation", "test": "test"}
MODALITIES = ("text", "audio", "vision")
FIELDS = ("id", "raw_text", *MODALITIES, "regression_labels")


def features(name: str, folder: Path) -> Recipe:
    """The table of that folder.

    Args:
        name: of the recipe.
        folder: of the data set; its aligned features go before the others.

    Raises:
        UserError: no such file, or it holds something else.
    """
    layout = Layout(name, folder, HOME)
    path = layout.file(*FILES)
    notes = [f"features of {path.name}; papers report MAE, Pearson's r and accuracies of the rounded sentiment"]
    columns = dict.fromkeys(MODALITIES, "sequence")
    options = {"columns": columns, "label": "sentiment", "kind": "regression", "split": "part"}
    return Recipe(lambda own: _rows(layout, path, own, notes), options, makes_files=True, notes=notes)


def _rows(layout: Layout, path: Path, own: Path, notes: list[str]) -> Iterator[Row]:
    found, mended = _read(layout, path), 0
    segments = [(part, number) for part in PARTS for number in range(len(found[part]["id"]))]
    with progress(layout.name, len(segments), lines=10) as show:
        for done, (part, number) in enumerate(segments, 1):
            show(done, "writing features")
            of_part, row = found[part], _named(found[part], number, PARTS[part])
            for modality in MODALITIES:
                steps, bad = _steps(of_part[modality][number])
                mended += bad
                row[modality] = _written(own, f"{row['part']}_{number:05}_{modality}.npy", steps)
            yield row
    notes += [f"{mended:,} numbers were not finite and are 0 now"] if mended else []


def _named(of_part: dict[str, Any], number: int, part: str) -> Row:
    """A segment without its features."""
    name = str(of_part["id"][number])
    said = {"words": str(of_part["raw_text"][number]), "sentiment": of_part["sentiment"][number]}
    return {"id": name, "video": name.partition("$_$")[0], "part": part, **said}


def _read(layout: Layout, path: Path) -> dict[str, dict[str, Any]]:
    """The three parts, all that is needed of them there and of one length."""
    try:
        found = read(path)
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise layout.refused(f"{path} is not a pickle of arrays ({reason})") from error
    for part in PARTS:
        held = found.get(part) if isinstance(found, dict) else None
        if not isinstance(held, dict) or any(field not in held for field in FIELDS):
            missing = [field for field in FIELDS if not isinstance(held, dict) or field not in held]
            raise layout.refused(f"{path}: part '{part}' lacks {', '.join(missing)}")
        found[part] = _checked(layout, f"{path}: part '{part}'", held)
    return {part: found[part] for part in PARTS}


def _checked(layout: Layout, where: str, held: dict[str, Any]) -> dict[str, Any]:
    try:
        labels = np.asarray(held["regression_labels"], dtype=np.float64).reshape(-1)
        arrays = {name: np.asarray(held[name]) for name in MODALITIES}
    except (TypeError, ValueError) as error:
        raise layout.refused(f"{where}: not arrays of numbers") from error
    for name, array in arrays.items():
        if array.ndim != 3 or array.dtype.kind not in "fiu":
            raise layout.refused(f"{where}: '{name}' is {array.dtype} {array.shape}; steps of segments are (n, T, F)")
    lengths = {len(labels), len(held["id"]), len(held["raw_text"]), *map(len, arrays.values())}
    if len(lengths) > 1 or not np.isfinite(labels).all():
        raise layout.refused(f"{where}: {sorted(lengths)} segments; of each there is one number, finite")
    return {**arrays, "id": held["id"], "raw_text": held["raw_text"], "sentiment": labels.tolist()}


def _steps(values: NDArray[Any]) -> tuple[NDArray[np.float32], int]:
    """(T, F) without padding, and how many numbers were not finite."""
    steps = np.asarray(values, dtype=np.float32)
    bad = ~np.isfinite(steps)
    steps = np.where(bad, np.float32(0), steps)
    real = np.flatnonzero(steps.any(1))
    return (steps[real[0] : real[-1] + 1] if len(real) else steps[:0]), int(bad.sum())


def _written(folder: Path, name: str, steps: NDArray[np.float32]) -> str | None:
    """The path of the file, from the table; None where there is no step: a missing modality."""
    if not len(steps):
        return None
    np.save(folder / name, steps)
    return f"{folder.name.removesuffix('.unfinished')}/{name}"
