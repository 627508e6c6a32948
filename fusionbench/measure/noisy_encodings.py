"""What a frozen encoder makes of noisy rows: each kind of noise, each severity, encoded once for all runs of a seed.

Strategies of a seed read the same encodings, and all meet the same noise, so the first run that asks has them stored.
The rows of one way and severity stand behind those of the one before; the k-th row of the s-th step is number s n + k.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.task import ModalitySpec
from fusionbench.data.splits import Rows
from fusionbench.data.store import Array, fingerprint_of
from fusionbench.measure.corruptions import Spread, corrupted
from fusionbench.measure.trained import ReadsEncodings, Trained
from fusionbench.training.encodings import pieces_of

Step = tuple[str, float]
"""A way of `corruptions.BY_KIND`, and its severity."""


@dataclass(frozen=True)
class NoisyEncodings:
    """Of one modality, at some steps."""

    spec: ModalitySpec
    rows: Rows
    stored: ReadsEncodings

    def at(self, step: int, batch: MultimodalBatch) -> MultimodalBatch:
        """The batch with the modality as the encoder sees it at the step of that number."""
        name = self.spec.name
        places = step * len(self.rows) + np.searchsorted(self.rows, batch.ids.numpy())
        return replace(batch, encoded={**batch.encoded, name: self.stored.of(places, batch.present[name])})


def noisy_encodings(
    trained: Trained, spec: ModalitySpec, steps: Sequence[Step], spread: Spread | None, rows: Rows
) -> NoisyEncodings | None:
    """Those of a modality; None where encodings are not stored.

    Args:
        trained: the model and its data.
        spec: of the modality.
        steps: ways of its kind, with their severities.
        spread: of its numbers; None: it has none.
        rows: (n,) of the dataset, in rising order.

    Raises:
        UserError: the disk is full, or what is stored is damaged.
    """
    if trained.shared is None:
        return None
    arrays = {"rows": rows}
    if spread is not None:
        arrays |= {"mean": spread.mean, "deviation": spread.deviation, "shares": spread.shares}
    what = {"noise": [list(step) for step in steps], "seed": trained.seed, "arrays": fingerprint_of(arrays)}

    def pieces(encoder: nn.Module) -> Iterator[dict[str, Array]]:
        for number, (how, severity) in enumerate(steps):
            trained.tell(number + 1, len(steps))
            done = number * len(rows)
            for piece in pieces_of(encoder, spec.name, _Noisy(trained, spec, how, severity, spread), rows):
                count = len(piece["rows"])
                yield {**piece, "rows": np.arange(done, done + count)}
                done += count

    stored = trained.shared.of(spec.name, what, np.arange(len(steps) * len(rows)), pieces)
    return NoisyEncodings(spec, rows, stored)


@dataclass(frozen=True)
class _Noisy:
    """The data with noise in one modality."""

    trained: Trained
    spec: ModalitySpec
    how: str
    severity: float
    spread: Spread | None

    def batch(self, rows: Rows) -> MultimodalBatch:
        """Rows (B,) as a batch."""
        clean = self.trained.inputs.batch(rows)
        return corrupted(clean, self.spec, self.how, self.severity, self.trained.seed, self.spread)
