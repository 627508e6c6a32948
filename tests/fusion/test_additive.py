"""What the fact `interaction: none` says of logits: f(a,b) - f(a',b) - f(a,b') + f(a',b') is 0, trained or not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from shipped import TRAINED
from torch import Tensor, nn
from torch.utils.data import DataLoader

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.catalogue import describe
from fusionbench.fusion.base import FusionModule, Prediction
from fusionbench.testing.samples import batch_of, built, quiet_trainer, task_of


def own_logits(prediction: Prediction) -> Tensor:
    """Each modality's own, (B, M, C)."""
    return torch.stack(list(prediction.unimodal.values()), 1)


SUMS = [name for name in TRAINED if describe("strategy", name).facts["interaction"] == "none"]
LINKS: dict[str, Callable[[Prediction], Tensor]] = {
    "unimodal_ensemble": lambda prediction: prediction.logits.exp(),  # It averages probabilities.
    "alternating": own_logits,  # Its weights say which modality is sure; what each says, it says alone.
}
"""What is a sum over modalities, where it is not the logits."""


def crossed(task_batch: MultimodalBatch) -> MultimodalBatch:
    """Two samples' m0 with both samples' m1, all four ways; the others' are those of the first."""
    rows = {"m0": [0, 0, 1, 1], "m1": [0, 1, 0, 1]}
    inputs = {name: x[rows.get(name, [0] * 4)] for name, x in task_batch.inputs.items()}
    here = {name: torch.ones(4, dtype=torch.bool) for name in inputs}
    return MultimodalBatch(inputs, {}, here, task_batch.targets[:1].expand(4), torch.arange(4))


def interaction(module: FusionModule, name: str, batch: MultimodalBatch) -> float:
    """How far from a sum over modalities its logits are, beside their size."""
    with torch.no_grad():
        prediction = module.eval().predict(crossed(batch))
    said = LINKS[name](prediction) if name in LINKS else prediction.logits
    return ((said[0] - said[1] - said[2] + said[3]).abs().max() / said.abs().max().clamp(min=1)).item()


@pytest.mark.filterwarnings("ignore:.*in eval mode at the start of training:UserWarning")  # frozen encoders
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("name", SUMS)
def test_without_interaction_logits_are_a_sum_over_modalities_before_and_after_training(name: str, count: int) -> None:
    task = task_of(("vector",) * count)  # type: ignore[arg-type]
    module, batches = built(name, task), [batch_of(task, 16, seed) for seed in range(8)]
    assert interaction(module, name, batches[0]) < 1e-5
    loader: DataLoader[MultimodalBatch] = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
    quiet_trainer(3, limit_val_batches=0).fit(module.train(), loader, loader)
    assert interaction(module, name, batches[0]) < 1e-5


def test_one_norm_over_all_modalities_would_be_found() -> None:
    """What was wrong with a LayerNorm on a concatenation: each modality's size entered the other's."""
    task = task_of(("vector", "vector"))
    module, batch = built("ogm_ge", task), batch_of(task, 16)

    class Whole(FusionModule):
        def fuse(self, encoded: dict) -> Prediction:  # type: ignore[type-arg]
            x = torch.cat([one.pooled for one in encoded.values()], 1)
            return Prediction(nn.functional.layer_norm(x, x.shape[-1:]) @ torch.ones(x.shape[1], 3).cumsum(0))

    assert interaction(Whole(module.setting), "late", batch) > 1e-3
