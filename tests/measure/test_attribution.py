"""Integrated gradients: of a linear model by hand, and adding up to the difference of logits for others."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.extras import EXPLAIN
from fusionbench.core.task import ModalityKind
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.measure.attribution import NEAR, attributed
from fusionbench.testing.samples import batch_of, built, rows_of, setting_of, task_of

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in EXPLAIN), reason="captum is not installed (extra `explain`)"
)
STRATEGIES = ("late", "concat", "gated", "low_rank", "sum", "cross_attention", "unimodal", "early")


class Linear(FusionModule):
    """A weighted sum of all numbers of both vectors."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.head = nn.Linear(2 * setting.width, setting.task.classes)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        return Prediction(self.head(torch.cat([encoded[name].pooled for name in self.task.names], 1)))


def sample(module: FusionModule, seed: int = 0) -> MultimodalBatch:
    return rows_of(batch_of(module.task, 3, seed), torch.tensor([1]))


def test_of_a_linear_model_each_number_adds_its_weight_times_itself() -> None:
    module = Linear(setting_of(task_of(("vector", "vector")))).eval()
    for name in module.task.names:
        module.encoders[name] = Plain(module.encoders[name].spec)
    module.head = nn.Linear(10, 3)
    batch = sample(module)
    found = attributed(module, batch, 2)
    weights: Tensor = module.head.weight[2].detach()
    for at, name in enumerate(module.task.names):
        expected = weights[5 * at : 5 * at + 5] * batch.inputs[name][0]
        torch.testing.assert_close(found.inputs[name], expected, atol=1e-5, rtol=1e-4)
    assert found.baseline == pytest.approx(float(module.head.bias[2].detach()))
    assert found.gap < 1e-3


class Plain(nn.Module):
    """A vector as it is."""

    def __init__(self, spec: object) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, x: Tensor, mask: Tensor | None, present: Tensor) -> Encoded:
        return Encoded(x, x[:, None], present[:, None], present)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("kinds", [("sequence", "image"), ("tokens", "tokens"), ("bag", "vector")])
def test_attributions_add_up_to_the_difference_of_logits(strategy: str, kinds: tuple[ModalityKind, ...]) -> None:
    if strategy == "early" and "bag" in kinds:
        pytest.skip("early does not join them")
    module = built(strategy, task_of(kinds))
    batch = sample(module)
    found = attributed(module, batch, 1)
    assert module.training
    with torch.no_grad():
        logits = module.eval()(batch.inputs, batch.masks, batch.present)
    assert found.logit == pytest.approx(float(logits[0, 1]), abs=1e-5)
    assert found.gap <= NEAR
    assert abs(found.total) > 0 or abs(found.logit - found.baseline) < 1e-4
    names = {"joint"} if (strategy, kinds[0]) == ("early", "tokens") else set(module.task.names)
    assert set(found.inputs) <= names


def test_nothing_is_attributed_to_padding_nor_to_what_is_missing() -> None:
    module = built("concat", task_of(("tokens", "sequence", "vector")))
    batch = sample(module)
    batch = replace(batch, present={**batch.present, "m2": torch.tensor([False])})
    found = attributed(module, batch, 0)
    for name in ("m0", "m1"):
        assert not found.inputs[name][~batch.masks[name][0]].any()
        assert found.inputs[name][batch.masks[name][0]].any()
    assert not found.inputs["m2"].any()
    assert found.ids["m0"].shape == batch.inputs["m0"][0].shape
