"""Manifest: a table of the user's own in a file (CSV, JSON lines, Parquet), whose columns are modalities and labels.

Columns are pictures, sounds, sequences and vectors by the paths of their files, texts, numbers and categories; an empty
cell is a missing modality, in training as well. The test rows are as a column says, or a fixed part of every class;
validation rows too, or an eighth of the rest, drawn by seed. All that is fitted is fitted on the training rows.

Source: the user's own.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.errors import UserError
from fusionbench.core.task import TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.buckets import LengthBuckets
from fusionbench.data.columns import Columns
from fusionbench.data.manifests.columns import columns_of
from fusionbench.data.manifests.conversion import Plan, Reading, write_table
from fusionbench.data.manifests.files import write_files
from fusionbench.data.manifests.parts import split_of
from fusionbench.data.manifests.paths import found_table, missing_table
from fusionbench.data.manifests.rows import Rows as TableRows
from fusionbench.data.orders import EpochOrder
from fusionbench.data.ragged import padded
from fusionbench.data.splits import Rows, Split
from fusionbench.data.store import prepared_folder
from fusionbench.data.subwords import subword_names
from fusionbench.data.targets import in_memory

CONVERSION = 1
"""Raised when `convert` writes other arrays from the same file."""


class Manifest(MultimodalData):
    """Whatever the columns are."""

    display = "Own table"
    modalities_from = "columns"
    default_encoders = {
        "vector": {"name": "table", "options": {"width": 64}},
        "sequence": {"name": "lstm", "options": {"width": 64, "hidden": 64}},
        "image": {"name": "small_cnn", "options": {"width": 64, "channels": [16, 32, 64]}},
        "audio": {"name": "logmel_cnn", "options": {"width": 64}},
        "tokens": {"name": "lstm", "options": {"width": 64, "hidden": 64, "embed": 64}},
        "text": {"name": "sentence_transformer", "options": {"width": 64}},
    }
    licence, home = "the owner's", "a file of the user's own"

    def __init__(
        self,
        root: Path | str | None = None,
        seed: int = 0,
        batch_size: int = 128,
        *,
        file: str,
        columns: dict[str, str | dict[str, str | int | float | tuple[str, ...]]],
        label: str | tuple[str, ...],
        kind: Literal["multiclass", "multilabel", "regression"] = "multiclass",
        separator: str = "",
        split: str = "",
        group: str = "",
        test: float = 0.2,
        folder: str = "",
        encoding: str = "utf-8",
        delimiter: str = "",
    ) -> None:
        super().__init__(root, seed, batch_size)
        if not 0 < test < 1:
            raise UserError(f"{self.name}: option test: {test} is no fraction between 0 and 1")
        self.file, self.columns, self.task_kind, self.folder = file, columns, kind, folder
        self.modalities = columns_of(self.name, columns)
        self.form = {"encoding": encoding, "delimiter": delimiter}
        self.reading = Reading(
            (label,) if isinstance(label, str) else tuple(label), kind, separator, split, group, test
        )

    # --- what there is -------------------------------------------------------------------------------------------

    @property
    def task(self) -> TaskSpec:
        """Modalities by name; known after `setup`."""
        classes = len(self.arrays["targets.names"])
        return TaskSpec(tuple(map(self.stored.spec, self.stored.kinds)), classes, self.task_kind)

    @cached_property
    def stored(self) -> Columns:
        """The modalities as they lie there."""
        arrays = {name: np.asarray(array) for name, array in self.arrays.items()}
        kinds = {one.name: one.kind for one in self.modalities}
        lengths = {one.name: int(one.options["length"]) for one in self.modalities if "length" in one.options}
        pictures = [one.name for one in self.modalities if one.options.get("channels") == 3]
        return Columns(self.name, arrays, kinds, lengths, pictures)

    @cached_property
    def table(self) -> Path | None:
        """Where the file lies: in the working folder, else in the data folder; None: it is not there any more."""
        return found_table(self.file, self.root)

    def identity(self) -> dict[str, Any]:
        """The file and how it is read; not how many steps of a text or sequence models meet."""
        options = {one.name: {k: v for k, v in one.options.items() if k != "length"} for one in self.modalities}
        columns = {one.name: [one.kind, one.column, one.numbers, one.categories] for one in self.modalities}
        # Files of one name in two working folders are two; one in the data folder is the same wherever that lies.
        here = Path(self.file).expanduser().absolute()
        inside = self.table is not None and not here.is_file()
        found = {"file": self.file, "place": "" if inside else str(here)}
        read = {"columns": columns, "options": options, "folder": self.folder, **asdict(self.reading), **self.form}
        return {**found, **read, "conversion": CONVERSION}

    def origin(self) -> list[Any] | None:
        """Size and time of the file; None when it is gone, which is no matter once it is converted."""
        if self.table is None:
            return None
        facts = self.table.stat()
        return [facts.st_size, facts.st_mtime_ns]

    def convert(self, folder: Path) -> None:
        """Labels, parts and modalities of every row; files that were read before a stop are not read again."""
        plan = self.plan().against_file()
        rows = len(write_table(plan, folder))
        of_files = [column for column in plan.columns if column.is_of_files]
        if of_files:
            place = prepared_folder(self.root, self.name, self.decided_by())
            work = place.with_name(f"{place.name}.unfinished")
            write_files(plan.table, of_files, plan.paths, work, folder, self.origin(), rows)

    def plan(self) -> Plan:
        """What the options say of the file.

        Raises:
            UserError: it is not there, or a delimiter or encoding that there is not.
        """
        if self.table is None:
            raise missing_table(self.name, self.file, self.root)
        table = TableRows(self.table, **self.form)
        paths = (self.table.parent / Path(self.folder).expanduser()).resolve()
        if not paths.is_dir():
            raise UserError(f"{self.name}: option folder: no folder {paths}; name the one that the files lie in")
        return Plan(self.name, table, self.modalities, self.reading, paths)

    def split(self) -> Split:
        """Test: as stored; validation: as stored, or an eighth of the rest by seed."""
        return split_of(self.arrays, self.seed, self.name)

    @property
    def class_names(self) -> list[str]:
        """As the table has them."""
        return [str(name) for name in self.arrays["targets.names"]]

    def input_names(self, modality: str) -> list[str]:
        """Columns of numbers and categories, or subwords; none where the file is gone."""
        if modality in self.stored.decided:
            return subword_names(self.root, self.name, self.stored.decided[modality])
        if modality not in self.stored.tables or self.table is None:
            return []
        (column,) = (one for one in self.plan().against_file().columns if one.name == modality)
        return self.stored.tables[modality].column_names(column.numbers, column.categories)

    def groups(self, rows: Rows) -> NDArray[np.int64] | None:
        """As the column says, if there is one."""
        return self.arrays["rows.groups"][rows] if "rows.groups" in self.arrays else None

    # --- reading -------------------------------------------------------------------------------------------------

    def load_memory(self) -> None:
        """Targets; values stay in the memory maps, which all runs share. What is fitted is fitted here."""
        assert self.parts is not None
        self.arrays = {name: np.asarray(array) for name, array in self.arrays.items()}
        if "targets" in self.arrays:
            self.tensors["targets"] = in_memory(self.arrays["targets"], self.task_kind)
        self.stored.fit(self.root, self.parts, {"fingerprint": self.fingerprint})
        self.standard = self.stored.standard

    def train_order(self) -> EpochOrder:
        """Batches of rows of like length, where lengths differ."""
        assert self.parts is not None
        lengths = self.stored.step_counts()
        if lengths is None:
            return super().train_order()
        return LengthBuckets(self.parts.train, self.batch_size, self.seed, lengths)

    def batch(self, rows: Rows) -> MultimodalBatch:
        """The samples of those rows, sequences padded to the longest of them."""
        return self._assembled(*self.stored.inputs(rows), rows)

    def labels(self, rows: Rows) -> MultimodalBatch:
        """Without reading a sample."""
        return self._assembled({}, {}, rows)

    def _assembled(self, inputs: dict[str, Tensor], masks: dict[str, Tensor], rows: Rows) -> MultimodalBatch:
        present = {name: torch.from_numpy(self.stored.present(name, rows)) for name in self.stored.kinds}
        return MultimodalBatch(inputs, masks, present, self._targets(rows), torch.from_numpy(rows))

    def _targets(self, rows: Rows) -> Tensor:
        if "targets" in self.tensors:
            return self.tensors["targets"][torch.from_numpy(rows)]
        offsets = self.arrays["labels.offsets"]
        ids, real = padded(self.arrays["labels"], offsets[rows], offsets[rows + 1] - offsets[rows])  # (B, T)
        found = torch.zeros(len(rows), len(self.arrays["targets.names"]))
        found[torch.from_numpy(real.nonzero()[0]), torch.from_numpy(ids[real].astype(np.int64))] = 1.0
        return found
