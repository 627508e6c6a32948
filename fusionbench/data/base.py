"""What every dataset is: a LightningDataModule over arrays that were converted once and are read by whole batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from lightning import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.errors import UserError
from fusionbench.core.own_files import MARK
from fusionbench.core.ranks import ALONE, Ranks
from fusionbench.core.sources import own_source
from fusionbench.core.task import MetricName, TaskKind, TaskSpec
from fusionbench.data.checks import refuse_arrays, refuse_batches, refuse_names, refuse_rows, refuse_task, stated_kinds
from fusionbench.data.missing import Left, left_of
from fusionbench.data.orders import Batches, EpochOrder, InOrder
from fusionbench.data.splits import Rows, Split
from fusionbench.data.standard import Standardiser
from fusionbench.data.store import Array, data_root, not_finite, open_arrays, prepared, read_manifest
from fusionbench.data.targets import in_memory, refuse_constant


class MultimodalData(LightningDataModule):
    """One dataset. A subclass states facts, and implements `convert`, `task`, `split` and mostly nothing else.

    Options of a subclass are keyword-only arguments; the suite checks them against its signature.
    """

    views: ClassVar[dict[str, dict[str, str]]] = {}
    """By view, the modalities in their order and their kinds; literal, since plans read it from the source."""
    modalities_from: ClassVar[str] = ""
    """In the place of views: an option, and attribute, that says the kind of each (core/modalities.py); literal."""
    default_encoders: ClassVar[dict[str, Any]] = {}
    """By modality or kind: an encoder's name, or {"name": .., "options": {..}}; literal."""
    auxiliary_classes: ClassVar[dict[str, int]] = {}
    """By modality that has labels of its own (`MultimodalBatch.auxiliary`): how many classes; literal."""
    kind: ClassVar[TaskKind] = "multiclass"
    metric: ClassVar[str] = ""
    """Of its task; literals. Where an option decides the kind, it is called so; no metric is the kind's own."""
    display: ClassVar[str] = ""  # As papers write it, e.g. "CIFAR-10"; empty: its name. A suite's `title` goes first.
    paper: ClassVar[str] = ""  # Its key in references.bib.
    licence: ClassVar[str] = ""
    home: ClassVar[str] = ""  # Where it comes from: a package or a URL.

    def __init__(self, root: Path | str | None = None, seed: int = 0, batch_size: int = 128) -> None:
        super().__init__()
        self.root, self.seed, self.batch_size, self.ranks = data_root(root), seed, batch_size, ALONE
        self.arrays, self.tensors = dict[str, Array](), dict[str, Tensor]()
        self.standard: dict[str, Standardiser] = {}  # By modality, what brought its numbers to one scale.
        self.parts: Split | None = None
        self.whole: Split | None = None  # The parts before `data.halves` cut the training rows in two, if it did.
        self.fingerprint = ""
        self.ranked_by: MetricName | None = None  # What a suite names in the place of the task's own metric.
        self.train_missing: dict[str, float] = {}  # By modality, the share of training rows that lack it.
        self.augments = True  # False where every encoder is frozen: training rows are seen as validation rows then.

    # --- a dataset says ------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:  # type: ignore[override]  # A plain attribute in Lightning.
        """The file's name."""
        return type(self).__module__.removeprefix("fusionbench.data.").partition(MARK)[0]

    @property
    def task(self) -> TaskSpec:
        """Modalities and classes; known after `setup`."""
        raise TypeError(f"{type(self).__name__} states its task")

    @property
    def asked(self) -> TaskSpec:
        """The task, by the metric that ranks here."""
        return replace(self.task, metric=self.ranked_by) if self.ranked_by else self.task

    def identity(self) -> Any:
        """JSON of what decides the converted arrays: options, and in a shipped file a number for `convert` itself.

        What changes in a file of the user's own is seen by its hash.
        """
        return {}

    def decided_by(self) -> Any:
        """What names the folder of converted arrays: `identity`, and the source of a dataset of the user's own."""
        source = own_source(type(self).__module__)
        return {"identity": self.identity(), "source": source} if source else self.identity()

    def origin(self) -> Any:
        """JSON of the files that the arrays are made from (names, sizes, times); None where there are none."""
        return None

    def convert(self, folder: Path) -> None:
        """Write `<modality>.npy` (n, *shape), `targets.npy` and what else is needed into the folder."""
        raise TypeError(f"{type(self).__name__} implements convert")

    def split(self) -> Split:
        """The rows of train, validation and test; only validation may depend on the seed."""
        raise TypeError(f"{type(self).__name__} implements split")

    def preprocess(self, modality: str, values: Array, train: Rows) -> Array:
        """All rows of a modality as the model gets them, float32; what is fitted is fitted on the training rows."""
        return np.asarray(values, dtype=np.float32)

    def load_memory(self) -> None:
        """Bring modalities and targets into memory as tensors; data too large for that overrides this and `batch`."""
        assert self.parts is not None
        refuse_arrays(self.name, self.task, self.arrays)
        for name in self.task.names:
            values = self.preprocess(name, self.arrays[name], self.parts.train)
            dtype = {"tokens": np.int64, "text": np.uint8}.get(self.task.modality(name).kind, np.float32)
            self.tensors[name] = torch.from_numpy(np.array(values, dtype=dtype))
        self.tensors["targets"] = in_memory(self.arrays["targets"], self.task.kind)

    def batch(self, rows: Rows) -> MultimodalBatch:
        """The samples of those rows, gathered at once; no sample is ever fetched alone."""
        index = torch.from_numpy(rows)
        return MultimodalBatch(
            inputs={name: self.tensors[name][index] for name in self.task.names},
            masks={},
            present=dict.fromkeys(self.task.names, torch.ones(len(rows), dtype=torch.bool)),
            targets=self.tensors["targets"][index],
            ids=index,
        )

    def labels(self, rows: Rows) -> MultimodalBatch:
        """The batch of those rows but for its inputs: for models that read stored encodings.

        A dataset whose inputs take time to read overrides it.
        """
        return replace(self.batch(rows), inputs={}, masks={})

    def train_batch(self, rows: Rows, epoch: int) -> MultimodalBatch:
        """The samples of those rows for training in an epoch, from 0: a dataset that augments overrides it.

        What it draws depends on (seed, epoch, row) alone, so that resuming or more devices change nothing. Not asked
        where `augments` is off.
        """
        return self.batch(rows)

    def train_order(self) -> EpochOrder:
        """In which batches an epoch meets the training rows: a dataset that sorts them by length overrides it."""
        assert self.parts is not None
        return EpochOrder(self.parts.train, self.batch_size, self.seed)

    def groups(self, rows: Rows) -> NDArray[np.int64] | None:
        """(n,): a number for each of those rows, the same where rows belong together and are not independent.

        Reviews of one film, pictures of one person: they are resampled together. None: every row is for itself.
        """
        return None

    def share_out(self, ranks: Ranks) -> None:
        """From now on give this process's part alone: of every training batch, and of the validation and test rows.

        Raises:
            UserError: there are too few rows, or a batch that cannot be cut into equal parts.
        """
        assert self.parts is not None
        together = min(self.batch_size, len(self.parts.train))
        if together % ranks.world_size:
            among = f"{ranks.world_size} devices"
            raise UserError(
                f"{self.name}: a training batch of {together} samples cannot be shared out among {among};\n"
                f"take a number of devices that divides it, or a smaller budget.batch_size that it divides"
            )
        for part, count in self.parts.counts.items():
            if count < ranks.world_size:
                raise UserError(
                    f"{self.name}: {part} has {count} rows, fewer than {ranks.world_size} devices; take fewer devices"
                )
        self.ranks = ranks

    # --- Lightning -----------------------------------------------------------------------------------------------

    def prepare_data(self) -> None:
        """Download, verify and convert what is not there yet; safe to call from many processes."""
        if self.views or self.modalities_from:
            refuse_names(self.name, tuple(stated_kinds(self)))
        prepared(self.root, self.name, self.decided_by(), self.origin(), self.convert)

    def setup(self, stage: str | None = None) -> None:
        """Map the arrays and split them; once, however many stages."""
        if self.parts is None:
            folder = prepared(self.root, self.name, self.decided_by(), self.origin(), self.convert)
            self.fingerprint = read_manifest(folder)["fingerprint"]
            self.arrays = open_arrays(folder)
            self.take_parts(not_finite(folder))

    def take_parts(self, not_finite: Mapping[str, Sequence[int]] = {}) -> None:
        """Split and bring into memory, and refuse what no model can be trained on; arrays are open.

        Args:
            not_finite: by array, the rows that hold NaN or infinity.

        Raises:
            UserError: names, rows, shapes, types or values are not as `data.checks` says.
        """
        refuse_task(self.name, self.asked, stated_kinds(self))
        parts = self.split()
        targets = self.arrays.get("targets")
        refuse_rows(self.name, parts, None if targets is None else len(targets))
        self.parts = parts
        self.load_memory()
        refuse_batches(self, parts, not_finite)
        refuse_constant(self)

    def train_dataloader(self) -> DataLoader[MultimodalBatch]:
        """Shuffled anew every epoch from (seed, epoch)."""
        self._take_ranks()
        order, left = self.train_order(), left_of(self)
        # batch_size=None: the sampler gives whole batches of rows, so no worker processes and no collating.
        return DataLoader(Batches(order, partial(self._training_batch, order, left)), batch_size=None, sampler=order)

    def val_dataloader(self) -> DataLoader[MultimodalBatch]:
        """In order, every row once, over all devices together."""
        assert self.parts is not None
        return self._loader(self.parts.validation)

    def test_dataloader(self) -> DataLoader[MultimodalBatch]:
        """In order, every row once, over all devices together."""
        assert self.parts is not None
        return self._loader(self.parts.test)

    def predict_dataloader(self) -> DataLoader[MultimodalBatch]:
        """The test rows: what `trainer.predict` gives is in the order of `parts.test`."""
        return self.test_dataloader()

    def _loader(self, rows: Rows) -> DataLoader[MultimodalBatch]:
        self._take_ranks()
        order = InOrder(rows[self.ranks.span(len(rows))])
        return DataLoader(Batches(order, self.batch), batch_size=None, sampler=order)

    def _training_batch(self, order: EpochOrder, left: Left, rows: Rows) -> MultimodalBatch:
        batch = left(self.train_batch(rows, order.epoch) if self.augments else self.batch(rows))
        # Made whole, then cut: padding and augmentation are those of one process.
        return batch if self.ranks.world_size == 1 else batch.part(self.ranks.span(len(batch)))

    def _take_ranks(self) -> None:
        """Under a Trainer with several devices, share out among them, unless our own runner has done so."""
        found = getattr(self, "trainer", None)
        if found is not None and found.world_size > 1 and self.ranks.world_size == 1:
            self.share_out(Ranks(found.global_rank, found.world_size))
