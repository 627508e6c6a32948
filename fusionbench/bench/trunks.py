"""What the frozen trunk of an encoder gives of all rows of a dataset: computed once for all seeds, beside the data.

    <data folder>/encodings/<dataset>-<modality>-trunk-<12 hex>/    as training/trunks.py says

The hex digits are the hash of all that decides it: the data and their rows, the modality, the trunk. The maps behind it
are trained on it, and the encodings of every seed are made from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fusionbench.core.locks import locked
from fusionbench.data.base import MultimodalData
from fusionbench.data.splits import Rows
from fusionbench.data.store import MANIFEST, Array, open_arrays, prepared
from fusionbench.encoders.base import Encoder, Trunk
from fusionbench.fusion.base import FusionModule
from fusionbench.plan.names import slug
from fusionbench.plan.suite import RunSpec
from fusionbench.records.record import RESULTS_VERSION
from fusionbench.training.fit import OnEpoch
from fusionbench.training.torn import refuse_torn
from fusionbench.training.trunks import BehindTrunk, StoredTrunk, TrunkedData, write_trunk

FOLDER = "encodings"


@dataclass
class Trunks:
    """Those that one job reads."""

    tell: OnEpoch = lambda *_: None
    """Told how many rows are done, where one is computed."""
    folders: list[str] = field(default_factory=list)
    """Where those lie that were read."""

    def of(self, run: RunSpec, modality: str, encoder: Encoder, data: MultimodalData) -> StoredTrunk | None:
        """What the encoder's trunk gives of every row, computed now if it is not there; None: it has no frozen trunk.

        Args:
            run: whose dataset it is.
            modality: which of its modalities.
            encoder: of any seed; only its trunk is used.
            data: set up.

        Raises:
            UserError: it is damaged or cannot be written.
        """
        trunk = encoder.frozen_trunk()
        if trunk is None:
            return None
        rows, name = all_rows(data), f"{slug('dataset', run.dataset.bare)}-{modality}-trunk"
        facts = _facts(run, modality, trunk, data, rows)

        def write(folder: Path) -> None:
            with _computing(encoder):
                write_trunk(folder, encoder, modality, data, rows, self.tell)

        folder, arrays = opened(lambda: prepared(data.root, name, facts, None, write, FOLDER), rows)
        self.folders.append(str(folder))
        return StoredTrunk(arrays)


@contextmanager
def through_trunks(run: RunSpec, module: FusionModule, data: MultimodalData) -> Iterator[MultimodalData]:
    """The data with what frozen trunks give in the place of inputs, and until it ends a model of what is behind them.

    For a fusion between the layers of frozen encoders: a trunk is the one layer of its encoder. Encoders without one
    run live.

    Args:
        run: its encoders are frozen.
        module: the run's model, with the weights of its encoders.
        data: the run's, set up and shared out.

    Raises:
        UserError: what is stored is damaged or cannot be written.
    """
    live = {name: one for name, one in module.encoders.items() if isinstance(one, Encoder) and name in data.task.names}
    found = {name: Trunks().of(run, name, encoder, data) for name, encoder in live.items()}
    stored = {name: one for name, one in found.items() if one is not None}
    module.encoders.update({name: BehindTrunk(live[name]) for name in stored})
    try:
        yield TrunkedData(data, stored) if stored else data
    finally:
        module.encoders.update({name: live[name] for name in stored})


def opened(make: Callable[[], Path], rows: Rows) -> tuple[Path, dict[str, Array]]:
    """A folder and its arrays, mapped: what another runner removes meanwhile is made again.

    Args:
        make: makes the folder if it is not there, and says where it is.
        rows: that the arrays have to be of.

    Raises:
        UserError: they are damaged.
    """
    while True:
        folder = make()
        # Under its lock: another runner may be done with it and remove it. What is mapped by then stays.
        with locked(f"{folder}.lock"):
            if (folder / MANIFEST).exists():
                arrays = open_arrays(folder)
                refuse_torn(folder, arrays, rows)
                return folder, arrays


def all_rows(data: MultimodalData) -> Rows:
    """Every row of every part, sorted; also those of the half that the data leave to others."""
    parts = data.whole or data.parts
    assert parts is not None
    return np.unique(np.concatenate([parts.train, parts.validation, parts.test]))


@contextmanager
def _computing(encoder: Encoder) -> Iterator[None]:
    """The encoder in eval mode on the device that computes fastest; then as it was."""
    home, training = next(encoder.parameters()).device, encoder.training
    encoder.eval().to("cuda" if torch.cuda.is_available() else "cpu")
    try:
        yield
    finally:
        encoder.train(training).to(home)


def _facts(run: RunSpec, modality: str, trunk: Trunk, data: MultimodalData, rows: Rows) -> dict[str, Any]:
    parts = data.whole or data.parts
    assert parts is not None
    # A seed decides what a trunk reads only where it draws samples, or where what was fitted to its rows is not undone.
    is_of_a_seed = parts.drawn is not None or not trunk.reads_data_alone
    return {
        "dataset": run.dataset.bare.decisive(),
        "data": data.fingerprint,
        "split": parts.sha256 if is_of_a_seed else "",
        "rows": hashlib.sha256(np.ascontiguousarray(rows, dtype="<i8").tobytes()).hexdigest(),
        "modality": modality,
        "trunk": trunk.sha256(),
        "results_version": RESULTS_VERSION,
    }
