"""Data that no model can be trained on: refused in one line each, before anything trains.

Names, rows and types are looked at whenever a dataset is set up, and of every part a few samples; labels in memory, and
values that are not finite, over all rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.errors import UserError, shown
from fusionbench.core.modalities import kinds_of_columns
from fusionbench.core.scores import OF_KIND
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.data.splits import Rows, Split

if TYPE_CHECKING:
    from fusionbench.data.base import MultimodalData

SAMPLES = 8
"""So many rows from either end of a part are looked at as a batch."""
AT_ONCE = 512
"""So many rows that may hold values that are not finite."""
STEPS = ("tokens", "bag", "sequence", "text")
"""Kinds whose samples may be shorter than the longest."""
TYPES = {"tokens": torch.int64, "text": torch.uint8}
"""Of the inputs of a kind, where it is not float32."""


def refuse_names(where: str, names: Sequence[str]) -> None:
    """Raises UserError if modalities cannot be called so; `where` is the dataset."""
    for name in names:
        try:
            nn.ModuleDict({name: nn.Identity()})  # Encoders and heads are kept so, under these names.
        except (KeyError, TypeError) as error:
            raise UserError(
                f"{where}: a modality cannot be named {shown(name)}: torch refuses it; rename it"
            ) from error
        if name == "targets" or "/" in name or "\\" in name:
            raise UserError(f"{where}: a modality cannot be named {shown(name)}: its file could not be; rename it")
    if not names or len(set(names)) < len(names):
        raise UserError(f"{where}: its modalities are {shown(', '.join(names))}; there must be some, each named once")


def stated_kinds(data: MultimodalData) -> dict[str, str]:
    """By modality the kind that plans read, of the first view where there is no choice; empty of a dataset without."""
    if data.modalities_from:
        return dict(kinds_of_columns(data.name, getattr(data, data.modalities_from)))
    view = getattr(data, "view", None) or next(iter(data.views), "")
    return dict(data.views.get(view, {}))


def refuse_task(where: str, task: TaskSpec, stated: Mapping[str, str]) -> None:
    """Raises UserError for a task that contradicts itself, or the view that plans read.

    Args:
        where: the dataset's name.
        task: what it says.
        stated: by modality, the kind that its view says; empty: it has no views.
    """
    refuse_names(where, task.names)
    found = {modality.name: modality.kind for modality in task.modalities}
    if stated and found != dict(stated):
        raise UserError(f"{where}: its task has the modalities {found}, its views say {dict(stated)}; make them one")
    if task.metric not in OF_KIND.get(task.kind, ()):
        known = "; ".join(f"{kind} by {', '.join(names)}" for kind, names in OF_KIND.items())
        raise UserError(f"{where}: no task is {task.kind} and ranked by {task.metric}; there are {known}")
    least = 2 if task.kind == "multiclass" else 1
    if task.classes < least:
        what = "numbers" if task.kind == "regression" else "classes"
        raise UserError(f"{where}: a {task.kind} task of {task.classes} {what}; it must have at least {least}")
    for spec in task.modalities:
        if spec.kind in ("tokens", "bag") and not spec.vocabulary:
            raise UserError(f"{where}: '{spec.name}' states no vocabulary: how many ids there are, with 0 for padding")


def refuse_rows(where: str, parts: Split, count: int | None) -> None:
    """Raises UserError if a part is empty or no list of row numbers, or if a row is outside or comes twice.

    Args:
        where: the dataset's name.
        parts: what `split` gave.
        count: how many rows there are; None: not known.
    """
    of_part = {"train": parts.train, "validation": parts.validation, "test": parts.test}
    for part, rows in of_part.items():
        found = f"{rows.dtype} {rows.shape}" if isinstance(rows, np.ndarray) else type(rows).__name__
        if not isinstance(rows, np.ndarray) or rows.ndim != 1 or rows.dtype.kind not in "iu":
            raise UserError(f"{where}: split gives {found} for {part}; give row numbers, an int64 array (n,)")
        if not len(rows):
            raise UserError(f"{where}: split gives no row for {part}; each part needs some")
        low, high = int(rows.min()), int(rows.max())
        if low < 0 or (count is not None and high >= count):
            last = "" if count is None else f" to {count - 1}"
            raise UserError(f"{where}: split gives row {low if low < 0 else high} for {part}; rows are 0{last}")
    owner = np.zeros(1 + max(int(rows.max()) for rows in of_part.values()), dtype=np.int8)
    for number, (part, rows) in enumerate(of_part.items(), 1):
        shared = rows[owner[rows] > 0]
        if len(shared):
            other = list(of_part)[owner[shared[0]] - 1]
            raise UserError(
                f"{where}: {other} and {part} share {len(shared)} rows, the first is {shared[0]}; a row may be in one "
                f"part only, else scores are of what was trained on"
            )
        owner[rows] = number  # Marks, not sorted lists: this is done for every run.
        if np.count_nonzero(owner == number) < len(rows):
            values, times = np.unique(rows, return_counts=True)
            raise UserError(f"{where}: split gives row {values[times > 1][0]} twice for {part}; give each row once")


def refuse_arrays(where: str, task: TaskSpec, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Raises UserError if `convert` left an array out, or they are not of numbers, one length and the stated shapes."""
    for name in (*task.names, "targets"):
        if name not in arrays:
            raise UserError(f"{where}: convert wrote no {name}.npy; it wrote {', '.join(sorted(arrays)) or 'nothing'}")
        if arrays[name].dtype.kind not in "biuf":
            raise UserError(f"{where}: {name}.npy is of type {arrays[name].dtype}; it must hold numbers")
    lengths = {name: arrays[name].shape[:1] for name in (*task.names, "targets")}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length[0] if length else 'none'}" for name, length in lengths.items())
        raise UserError(f"{where}: arrays of unequal length ({told} rows); row i of each is sample i")
    for spec in task.modalities:
        if arrays[spec.name].shape[1:] != spec.shape:
            raise UserError(
                f"{where}: '{spec.name}' has samples of {arrays[spec.name].shape[1:]}, its task says {spec.shape}"
            )


def refuse_batches(data: MultimodalData, parts: Split, not_finite: Mapping[str, Sequence[int]]) -> None:
    """Raises UserError if batches are not as `MultimodalBatch` says, labels no classes, or a value is not finite.

    Args:
        data: in memory.
        parts: its split.
        not_finite: by array, the rows that hold NaN or infinity: no matter where the modality is absent.
    """
    of_part = {"train": parts.train, "validation": parts.validation, "test": parts.test}
    for part, rows in of_part.items():
        ends = np.unique(np.r_[np.arange(SAMPLES), -1 - np.arange(SAMPLES)] % len(rows))
        some = rows[ends].astype(np.int64)
        _refuse_batch(f"{data.name}: a batch of {part}", data.task, data.batch(some), some)
    if "targets" in data.tensors:
        used = torch.from_numpy(np.concatenate(list(of_part.values())).astype(np.int64))
        _refuse_targets(data.name, data.task, data.tensors["targets"][used], used)
    suspects = [np.asarray(rows, dtype=np.int64) for name, rows in not_finite.items() if name in data.task.names]
    suspects += [_rows_not_finite(data.tensors[name]) for name in data.task.names if name in data.tensors]
    suspected = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *suspects]))
    for part, rows in of_part.items():
        found = np.intersect1d(suspected, rows) if len(suspected) else suspected
        for start in range(0, len(found), AT_ONCE):
            _refuse_values(data.name, part, data.batch(found[start : start + AT_ONCE]))


def _rows_not_finite(values: Tensor) -> Rows:
    # A sum is quick, and finite only if all values are.
    if not values.is_floating_point() or values.sum().isfinite():
        return np.zeros(0, dtype=np.int64)
    found: Rows = (~values.flatten(1).isfinite().all(1)).nonzero()[:, 0].numpy()
    return found


def _refuse_batch(where: str, task: TaskSpec, batch: MultimodalBatch, rows: Rows) -> None:
    if batch.ids.tolist() != rows.tolist():
        raise UserError(f"{where}: its ids are not the rows that were asked for, in their order")
    for spec in task.modalities:
        if spec.name not in batch.inputs or spec.name not in batch.present:
            raise UserError(f"{where}: '{spec.name}' is not in its inputs and present")
        _refuse_inputs(f"{where}: '{spec.name}'", spec, batch, len(rows))
    _refuse_targets(where, task, batch.targets, batch.ids)


def _refuse_inputs(where: str, spec: ModalitySpec, batch: MultimodalBatch, count: int) -> None:
    x, mask, present = batch.inputs[spec.name], batch.masks.get(spec.name), batch.present[spec.name]
    wanted = TYPES.get(spec.kind, torch.float32)
    if x.dtype != wanted:
        raise UserError(f"{where} is {_type(x)}; {spec.kind} inputs are {str(wanted).removeprefix('torch.')}")
    fits = x.shape[1:] == spec.shape
    if spec.kind in STEPS:
        fits = x.ndim == 1 + len(spec.shape) and x.shape[1] <= spec.shape[0] and x.shape[2:] == spec.shape[1:]
    if len(x) != count or not fits:
        raise UserError(f"{where} is {_type(x)}; {count} samples of {spec.shape} were expected, as its task says")
    if present.dtype != torch.bool or present.shape != (count,):
        raise UserError(f"{where}: present is {_type(present)}; it must be bool ({count},)")
    if mask is not None and (mask.dtype != torch.bool or mask.shape != x.shape[:2]):
        raise UserError(f"{where}: its mask is {_type(mask)}; it must be bool {tuple(x.shape[:2])}")
    ids = x[..., 0] if spec.kind == "bag" else x
    if spec.vocabulary and not ((ids >= 0) & (ids < spec.vocabulary))[present].all():
        raise UserError(f"{where} holds ids outside of 0 to {spec.vocabulary - 1}, its vocabulary")


def _refuse_targets(where: str, task: TaskSpec, targets: Tensor, rows: Tensor) -> None:
    """Targets (B, ...) of the rows (B,) all of the stated type, and classes that exist, or finite numbers."""
    single = task.kind == "multiclass"
    shape = (len(rows),) if single else (len(rows), task.classes)
    if tuple(targets.shape) != shape or (targets.dtype != torch.int64 if single else not targets.is_floating_point()):
        wanted = "int64 (n,)" if single else f"float (n, {task.classes})"
        raise UserError(f"{where}: targets are {_type(targets)}; a {task.kind} task of {len(rows)} rows needs {wanted}")
    if task.kind == "regression":
        wrong = ~targets.isfinite().all(1)
    else:
        wrong = ((targets < 0) | (targets >= task.classes)) if single else ((targets != 0) & (targets != 1)).any(1)
    if wrong.any():
        raise UserError(f"{where}: {_wrong_target(task, targets, int(rows[wrong][0]), targets[wrong][0])}")


def _wrong_target(task: TaskSpec, targets: Tensor, row: int, value: Tensor) -> str:
    """What is wrong with the target of a row."""
    if task.kind == "multiclass":
        counted = "; count classes from 0" if int(targets.min()) == 1 and int(targets.max()) == task.classes else ""
        return f"row {row} has the target {int(value)}, classes are 0 to {task.classes - 1}{counted}"
    if task.kind == "regression":
        return (
            f"row {row} has the target {float(value[~value.isfinite()][0])}; leave the row out, or mend it in convert"
        )
    other = value[(value != 0) & (value != 1)][0]
    return f"row {row} has the target {float(other):g}; a {task.kind} task has zeros and ones"


def _refuse_values(where: str, part: str, batch: MultimodalBatch) -> None:
    for name, x in batch.inputs.items():
        if not x.is_floating_point() or name not in batch.present:
            continue
        mask = batch.masks.get(name)
        here = batch.present[name][:, None] if mask is None else mask & batch.present[name][:, None]  # (B, 1 or T)
        steps = x.flatten(1)[:, None] if mask is None else x.flatten(2)
        wrong = (~steps.isfinite().all(2) & here).any(1)
        if wrong.any():
            raise UserError(
                f"{where}: '{name}' of row {int(batch.ids[wrong][0])} ({part}) is NaN or infinite; mend it in convert, "
                f"or let batch say in `present` that it is absent"
            )


def _type(x: Tensor) -> str:
    return f"{str(x.dtype).removeprefix('torch.')} {tuple(x.shape)}"
