"""Robustness: what is left of a model when one modality is noisy, or is missing.

    noise     each modality by itself, in each way that fits its kind (corruptions.py), at severities 0.1 to 1.0
    missing   each modality by itself in a share of the rows, 0.1 to 1.0: a row that lacks it at a share lacks it at all
              higher ones; and in all rows at once, for every subset of the modalities that stays

The score that ranks and NLL, or RMSE, of each; corrupted passes compute no more. Inputs are the same for every strategy
and worker; where what frozen encoders give is stored, what they give of noisy rows is, too. Relative and effective
robustness need several runs: stats make them.

Source: Liang et al. 2021, "MultiBench", arXiv:2107.07502 (curves over severities).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.row_numbers import row_numbers
from fusionbench.core.task import ModalitySpec
from fusionbench.data.splits import Rows
from fusionbench.fusion.base import sample_losses
from fusionbench.measure.bank import Bank, Places, spans
from fusionbench.measure.corruptions import BY_KIND, Spread, corrupted, spread_of
from fusionbench.measure.noisy_encodings import Step, noisy_encodings
from fusionbench.measure.shapley import subsets
from fusionbench.measure.trained import Trained

needs = "trained"
least = {"rows": 2}
encodes = {"image": 30, "vector": 20, "sequence": 20, "tokens": 30, "bag": 10, "audio": 20, "text": 10}
paper = "liang2021multibench, hendrycks2019benchmarking"
TENTHS = [round(0.1 * tenth, 1) for tenth in range(1, 11)]
SPREAD_ROWS = 1000
"""Rows that means and deviations are of."""
MOST_SUBSETS = 5
"""Modalities of which every subset is tried."""
Change = Callable[[MultimodalBatch], MultimodalBatch]
Curve = dict[str, list[float | None]]


def measure(trained: Trained, *, rows: int = 1000) -> dict[str, Any]:
    """Scores under noise and where modalities are missing.

    Args:
        trained: the model and its data.
        rows: test rows at most; drawn once for the data.
    """
    parts = trained.inputs.parts
    assert parts is not None
    chosen = trained.some(parts.test, rows, "robustness")
    with trained.opened():
        return _Passes(trained, Bank(trained, chosen)).all()


@dataclass
class _Passes:
    """All passes over some rows; those that cannot change anything are left out."""

    trained: Trained
    bank: Bank
    done: int = 0
    total: int = 1
    """Scores that are known, and that there are, as far as it is known."""

    def all(self) -> dict[str, Any]:
        """Every score."""
        specs = self.trained.task.modalities
        clean = self.scores()
        ways = {spec.name: BY_KIND[spec.kind] for spec in specs}
        self.total = sum(len(TENTHS) * (len(ways[spec.name]) + 1) for spec in specs if self.reads(spec.name))
        names = self.trained.task.names
        return {
            "metric": self.trained.task.metric,
            "rows": len(self.bank),
            "severities": TENTHS,
            "clean": clean,
            "noise": {spec.name: self.noise(spec, ways[spec.name], clean) for spec in specs},
            "missing": {name: self.share(name, clean) for name in names},
            "present": {"+".join(kept): self.scores(self.only(kept)) for kept in _proper(names)},
        }

    def reads(self, name: str) -> bool:
        """Whether the model looks at a modality."""
        module = self.trained.module
        return module.uses == "all" or name in module.modalities_used()

    def noise(self, spec: ModalitySpec, ways: tuple[str, ...], clean: dict[str, float]) -> dict[str, Curve]:
        """By corruption, the scores at every severity."""
        if not self.reads(spec.name):
            return {how: _curve([clean] * len(TENTHS)) for how in ways}
        steps = [(how, severity) for how in ways for severity in TENTHS]
        found = self.at(steps, spec, self.spread(spec))
        return {
            how: _curve([scores for (way, _), scores in zip(steps, found, strict=True) if way == how]) for how in ways
        }

    def at(self, steps: list[Step], spec: ModalitySpec, spread: Spread | None) -> list[dict[str, float]]:
        """The scores under each kind of noise; from stored encodings where the run reads such."""
        stored = noisy_encodings(self.trained, spec, steps, spread, self.bank.rows)
        if stored is None:
            return [self.scores(self.noisy(spec, how, severity, spread), spec.name) for how, severity in steps]
        return [self.scores(partial(stored.at, number)) for number in range(len(steps))]

    def share(self, name: str, clean: dict[str, float]) -> Curve:
        """The scores at every share of rows that lack a modality: those whose own number is below it.

        No sample sees another, so two passes tell what is said of each row with the modality, and without it. NLL is
        the mean of rows: each row's is computed twice, not at every share; of thousands of classes that is a fifth.
        """
        if not self.reads(name):
            return _curve([clean] * len(TENTHS))
        trained, task = self.trained, self.trained.task
        is_mean = trained.tie == "nll" != task.metric
        counted, nll = [trained.counted(ties=not is_mean) for _ in TENTHS], [0.0] * len(TENTHS)
        without = self.only(tuple(other for other in task.names if other != name))
        for batch in self.batches(""):
            there, gone = trained.outputs(batch), trained.outputs(without(batch))
            if is_mean:
                loss_there, loss_gone = (sample_losses(one, batch.targets, task).double() for one in (there, gone))
            numbers = torch.from_numpy(row_numbers(["missing", trained.seed, name], batch.ids.numpy()))
            for step, rate in enumerate(TENTHS):
                stays = numbers >= rate
                counted[step].add(torch.where(stays[:, None], there, gone), batch.targets)
                if is_mean:
                    nll[step] += float(torch.where(stays, loss_there, loss_gone).sum())
        self.tell(len(TENTHS))
        found = zip(counted, nll, strict=True)
        return _curve([one.scores() | ({"nll": total / len(self.bank)} if is_mean else {}) for one, total in found])

    def scores(self, change: Change = lambda batch: batch, name: str = "") -> dict[str, float]:
        """Of all rows, after a change to their batches.

        Args:
            change: made to every batch.
            name: of the modality whose inputs it changes; the others may come encoded. Empty: none.
        """
        self.tell(1)
        return self.trained.scores((self.trained.outputs(change(batch)), batch.targets) for batch in self.batches(name))

    def tell(self, more: int) -> None:
        """So many more scores are known."""
        self.done += more
        self.trained.tell(min(self.done, self.total), self.total)

    def batches(self, name: str) -> Iterator[MultimodalBatch]:
        """The rows; the modality of that name as inputs, others as they cost least."""
        names = self.trained.task.names
        for span in spans(len(self.bank)):
            places: Places = np.arange(len(self.bank))[span]
            batch = self.bank.batch(dict.fromkeys(names, places), places)
            yield self.with_inputs(batch, name, self.bank.rows[span]) if name else batch

    def with_inputs(self, batch: MultimodalBatch, name: str, rows: Rows) -> MultimodalBatch:
        """A batch in which the modality is not encoded."""
        if name in batch.inputs:
            return batch
        whole = self.trained.inputs.batch(rows)
        masks = {name: whole.masks[name]} if name in whole.masks else {}
        return replace(
            batch,
            inputs={**batch.inputs, name: whole.inputs[name]},
            masks={**batch.masks, **masks},
            present={**batch.present, name: whole.present[name]},
            encoded={other: one for other, one in batch.encoded.items() if other != name},
        )

    def noisy(self, spec: ModalitySpec, how: str, severity: float, spread: Spread | None) -> Change:
        """One modality corrupted."""
        seed = self.trained.seed
        return lambda batch: corrupted(batch, spec, how, severity, seed, spread)

    def spread(self, spec: ModalitySpec) -> Spread | None:
        """Of rows that are not tested, whatever the seed keeps for validation."""
        data = self.trained.inputs
        parts = data.whole or data.parts
        assert parts is not None
        rows = self.trained.some(np.union1d(parts.train, parts.validation), SPREAD_ROWS, "spread")
        return spread_of(data.batch(rows), spec, data.standard.get(spec.name))

    def only(self, kept: tuple[str, ...]) -> Change:
        """All other modalities absent."""

        def change(batch: MultimodalBatch) -> MultimodalBatch:
            gone = {name: torch.zeros_like(here) for name, here in batch.present.items() if name not in kept}
            return replace(batch, present={**batch.present, **gone})

        return change


def _curve(found: list[dict[str, float]]) -> Curve:
    """By score, what it was at each step; None where it was not defined."""
    names = dict.fromkeys(name for one in found for name in one)
    return {name: [one.get(name) for one in found] for name in names}


def _proper(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Every subset of them but for none and all, in their order; of many modalities each alone and all but each."""
    found = [tuple(name for name in names if name in some) for some in subsets(names) if 0 < len(some) < len(names)]
    few = len(names) <= MOST_SUBSETS
    return [some for some in found if few or len(some) in (1, len(names) - 1)]
