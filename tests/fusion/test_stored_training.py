"""After full training too, stored encodings move a run no more than live encoders do that take other rows at a time."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.core.catalogue import load
from fusionbench.data.base import MultimodalData
from fusionbench.fusion.base import FusionModule, Setting
from fusionbench.plan.budget import Budget, Pretraining
from fusionbench.plan.suite import Choice
from fusionbench.testing.stored import CLOSE, with_encodings
from fusionbench.training.fit import evaluate, fit

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:lightning")  # Frozen encoders are in eval mode, for good.
BUDGET = Budget(epochs=5, dropout=0.1)
CHUNK = 37
"""Rows that the other live encoder takes at a time: no divisor of a batch."""


class InChunks(nn.Module):
    """An encoder that encodes a batch in several parts."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor, mask: Tensor | None, present: Tensor) -> Encoded:
        """As the encoder's; there are no masks here."""
        assert mask is None
        parts = [self.encoder(x[i : i + CHUNK], None, present[i : i + CHUNK]) for i in range(0, len(x), CHUNK)]
        stages = tuple(torch.cat(maps) for maps in zip(*(part.stages for part in parts), strict=True))
        whole = {of: torch.cat([getattr(part, of) for part in parts]) for of in ("pooled", "tokens", "mask", "present")}
        return Encoded(**whole, stages=stages)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> MultimodalData:
    """Digits, whose two halves are pictures."""
    found: MultimodalData = load("dataset", "digits")(tmp_path_factory.mktemp("data"), 0, BUDGET.batch_size)
    found.prepare_data()
    found.setup()
    return found


def made(strategy: str, encoder: str, options: dict[str, Any], data: MultimodalData) -> FusionModule:
    choice = Choice(encoder, {"width": 32, **options}, pretrain=Pretraining())
    setting = Setting(data.task, dict.fromkeys(data.task.names, choice), 32, 32, dropout=BUDGET.dropout)
    torch.manual_seed(0)
    module: FusionModule = load("strategy", strategy)(setting)
    return module


def logits(module: FusionModule, data: MultimodalData) -> Tensor:
    """Of the test rows, once it is trained."""
    torch.manual_seed(1)
    fit(module, data, BUDGET, lambda *_: None)
    return torch.from_numpy(evaluate(module, data, BUDGET).predictions["logits"]).double()


@pytest.mark.parametrize(
    ("strategy", "encoder", "options"),
    [
        ("concat", "mlp", {"depth": 2}),
        ("central", "mlp", {"depth": 2}),
        ("modality_dropout", "small_cnn", {"channels": [8, 16]}),
        ("cross_attention", "small_cnn", {"channels": [8, 16]}),
    ],
)
def test_logits_after_full_training_differ_no_more_than_for_other_batches_of_the_encoder(
    strategy: str, encoder: str, options: dict[str, Any], whole: MultimodalData
) -> None:
    def trained(data: MultimodalData | None = None, in_chunks: bool = False) -> Tensor:
        module = made(strategy, encoder, options, whole)
        if in_chunks:
            for name, one in list(module.encoders.items()):
                module.encoders[name] = InChunks(one)
        return logits(module, data or whole)

    live = trained()
    stored = trained(with_encodings(made(strategy, encoder, options, whole), whole))
    gap, usual = ((found - live).abs().amax().item() for found in (stored, trained(in_chunks=True)))
    assert live.abs().amax() > 1
    assert gap <= max(usual, CLOSE)
