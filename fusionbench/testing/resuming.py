"""Whether a training that is stopped at an epoch's border goes on as if it had not been."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from fusionbench.bench.build import seeded
from fusionbench.core.errors import Interrupted
from fusionbench.data.base import MultimodalData
from fusionbench.fusion.base import FusionModule
from fusionbench.plan.budget import Budget
from fusionbench.training.checkpoint import Checkpoint
from fusionbench.training.fit import evaluate, fit

EPOCHS = 3
BUDGET = Budget(epochs=EPOCHS, batch_size=32, learning_rate=3e-3, dropout=0.3)


@dataclass
class _Trained:
    """What a training gave, to the last bit."""

    numbers: dict[str, str]
    """Scores and curves, written out whole, and the notes."""
    weights: dict[str, Tensor]
    """Those of the best epoch."""
    drawn: float
    """What is drawn next."""


def check_resuming(
    make: Callable[[], FusionModule], data: MultimodalData, folder: Path, budget: Budget = BUDGET
) -> None:
    """Train, and train again with a stop at each border: scores, curves, weights and notes have to be the same bytes.

    Args:
        make: builds the strategy, each time alike.
        data: set up.
        folder: a checkpoint is kept there.
        budget: of few epochs.

    Raises:
        AssertionError: something differs, and what.
    """
    whole = _trained(make(), data, budget, None)
    path = folder / "contract.checkpoint"
    for stop in range(2, budget.epochs + 2):  # The last is beyond the end.
        kept = Checkpoint(path, {"key": "a contract"}, 0.0)
        try:
            resumed = _trained(make(), data, budget, kept, stop)
            break
        except Interrupted:
            assert path.exists(), f"nothing was kept before epoch {stop}"
        finally:
            assert not kept.is_ignored, "the checkpoint was not used"
    path.unlink(missing_ok=True)
    _compare(whole, resumed)


def _trained(
    module: FusionModule, data: MultimodalData, budget: Budget, kept: Checkpoint | None, stop: int = 0
) -> _Trained:
    def on_epoch(epoch: int, _: dict[str, float]) -> None:
        if epoch == stop:  # In the middle of an epoch: what it did so far is lost.
            raise Interrupted

    with seeded(0, "training"):
        fitted = fit(module, data, budget, on_epoch, kept)
        drawn = float(torch.rand(()))
    found = {**fitted.validation, **evaluate(module, data, budget).scores}
    curves = {f"curve of {name}": repr(values) for name, values in fitted.curves.items()}
    numbers = {**{name: repr(value) for name, value in found.items()}, **curves, "notes": repr(module.notes())}
    return _Trained(numbers, {name: x.clone() for name, x in module.state_dict().items()}, drawn)


def _compare(whole: _Trained, resumed: _Trained) -> None:
    at = "stopped after every epoch and resumed"
    other = [name for name in whole.numbers | resumed.numbers if whole.numbers.get(name) != resumed.numbers.get(name)]
    assert not other, f"{at}: {', '.join(other)} differ; what lives from one epoch into the next has to be remembered"
    assert whole.weights.keys() == resumed.weights.keys()
    moved = [name for name, x in whole.weights.items() if not _same(x, resumed.weights[name])]
    assert not moved, f"{at}: {', '.join(moved)} differ"
    assert whole.drawn == resumed.drawn, f"{at}: what is drawn next differs"


def _same(a: Tensor, b: Tensor) -> bool:
    return (a.dtype == b.dtype and torch.equal(a, b)) or bool(a.isnan().any() and torch.equal(a.isnan(), b.isnan()))
