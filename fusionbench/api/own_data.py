"""The user's arrays as the data set `arrays`, and the suite that compares strategies on them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fusionbench.api.inputs import Given, given
from fusionbench.api.labels import Labels, labels_of
from fusionbench.api.rows import groups_of, refuse_few, refuse_no_validation, rows_for_test
from fusionbench.core.errors import UserError, shown
from fusionbench.data.array_files import GROUPS, NAME, NAMES, TARGETS, TEST, VALIDATION, contents_of, write
from fusionbench.data.store import Array, data_root

STEPS, EPOCHS = 400, (20, 100)
"""Steps of training at least, as far as so many epochs allow."""
BATCHES = {4000: 128, 1000: 64, 0: 32}
"""Samples in a batch, from so many rows to train on."""
SMALL_PICTURE, SMALL_CNN = 16, {"name": "small_cnn", "options": {"width": 64, "channels": [16, 32]}}
"""Pictures with a side below so many pixels need no more."""


@dataclass(frozen=True)
class OwnData:
    """What was given, checked."""

    columns: Mapping[str, str]
    """By modality its kind."""
    kind: str
    """Of the task."""
    arrays: Mapping[str, Array]
    """By file name; see data/array_files.py."""
    contents: str
    """Their hash."""
    about: str
    """What all was taken for, in a sentence."""

    def suite(
        self, name: str, metric: str | None, text_length: int, budget: Mapping[str, Any], parts: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What a suite file would hold.

        Args:
            name: of the suite.
            metric: what ranks; None: the task's own.
            text_length: subwords of a text that are read.
            budget: what is set of it; the rest follows from the number of rows.
            parts: other parts of a suite; those that are None are left out.
        """
        options = {"contents": self.contents, "columns": dict(self.columns), "kind": self.kind, "length": text_length}
        rows = round(np.count_nonzero(~self.arrays[TEST]) * (1 - VALIDATION))
        ranks = {} if metric is None else {"metric": metric}
        tree = {
            "name": name,
            "datasets": [{"name": NAME, "options": options, "title": name.replace("_", " "), **ranks}],
            "budget": {**budget_for(rows), **budget},
            **{part: value for part, value in parts.items() if value is not None},
            "encoders": self._encoders(parts.get("encoders") or {}),
        }
        if isinstance(tree.get("strategies"), str) and tree["strategies"] != "all":
            tree["strategies"] = [tree["strategies"]]
        return {part: _json(part, value) for part, value in tree.items()}

    def _encoders(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Those that are given; the rest are the data set's own, but for small pictures."""
        pictures = [name for name, kind in self.columns.items() if kind == "image" and "image" not in given]
        small = [name for name in pictures if min(self.arrays[name].shape[2:]) < SMALL_PICTURE]
        return {**dict.fromkeys(small, SMALL_CNN), **given}

    def write(self, data: Path | None) -> None:
        """Into the data folder, unless the same arrays are there; UserError where that cannot be written."""
        write(data_root(data), self.contents, self.arrays)


def understood(
    inputs: Any,
    targets: Any,
    kind: str | None,
    masks: Mapping[str, Any],
    kinds: Mapping[str, str],
    groups: Any,
    test: Any,
) -> OwnData:
    """What was given to `compare`, which says what its arguments are.

    Raises:
        UserError: something that no model can be trained on, in a line that names argument and row.
    """
    found, labels = given(inputs, masks, kinds), labels_of(targets, kind)
    rows = len(labels.values)
    _refuse_other_counts({**found.counts, "targets": rows})
    refuse_few(rows)
    together = groups_of(groups, rows)
    chosen = rows_for_test(test, labels, together)
    refuse_no_validation(labels, together, chosen, VALIDATION)
    arrays = {**found.arrays, TARGETS: labels.values, NAMES: labels.names, TEST: chosen}
    arrays |= {} if together is None else {GROUPS: together}
    about = _about(found, labels, int(chosen.sum()), 0 if together is None else int(together.max()) + 1)
    return OwnData(found.columns, labels.kind, arrays, contents_of(arrays), about)


def budget_for(rows: int) -> dict[str, int]:
    """Batch size and epochs for so many rows to train on: few rows are gone through more often.

    >>> budget_for(280), budget_for(1257), budget_for(50_000)
    ({'batch_size': 32, 'epochs': 50}, {'batch_size': 64, 'epochs': 22}, {'batch_size': 128, 'epochs': 20})
    """
    batch = next(size for least, size in BATCHES.items() if rows >= least)
    steps = max(1, rows // batch)
    return {"batch_size": batch, "epochs": min(max(math.ceil(STEPS / steps), EPOCHS[0]), EPOCHS[1])}


def _refuse_other_counts(counts: Mapping[str, int]) -> None:
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        raise UserError(f"arrays of unequal length: {told} rows; row i of each is sample i")


def _about(found: Given, labels: Labels, test: int, groups: int) -> str:
    modalities = "; ".join(f"{name}: {shape}" for name, shape in found.shapes.items())
    count = len(labels.names)
    what = {
        "multiclass": f"{count:,} classes",
        "multilabel": f"{count:,} classes, each true or not",
        "regression": f"{count:,} numbers to predict" if count > 1 else "a number to predict",
    }
    together = f" in {groups:,} groups" if groups else ""
    return f"{modalities}; {what[labels.kind]}; {len(labels.values):,} rows{together}, {test:,} of them for the test"


def _json(where: str, value: Any) -> Any:
    """The value as JSON holds it: NumPy's numbers are numbers; anything else is a mistake."""
    if isinstance(value, Mapping):
        return {name: _json(f"{where}.{name}", one) for name, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_json(f"{where}.{place}", one) for place, one in enumerate(value)]
    value = value.item() if isinstance(value, np.generic) else value
    if value is not None and not isinstance(value, str | bool | int | float):
        raise UserError(f"{where}: {shown(value)} cannot stand in a suite: give names, numbers, lists and mappings")
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{where}: give a finite number, got {value}")
    return value
