"""MMCosine: against the loss of the authors' training loop, and what lengths do not do."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
import torch
from parity_fixtures import Parity, parity
from torch import Tensor, nn

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.fusion.base import Setting, task_loss
from fusionbench.fusion.cosine import CosineFusion
from fusionbench.plan.suite import Choice
from fusionbench.testing.samples import built, setting_of, task_of

NAMES, WIDE = ("audio", "visual"), 512
PAIR = task_of(("vector", "vector"))


def vectors(pooled: Tensor) -> Encoded:
    present = torch.ones(len(pooled), dtype=torch.bool)
    return Encoded(pooled, pooled[:, None], present[:, None], present)


def as_theirs(found: Parity) -> tuple[CosineFusion, dict[str, Tensor], MultimodalBatch]:
    """Ours with the authors' class weights, right on their features."""
    task = TaskSpec(tuple(ModalitySpec(name, "vector", (WIDE,)) for name in NAMES), 3)
    encoders = {name: Choice("linear", {"width": WIDE}) for name in NAMES}
    module = CosineFusion(Setting(task, encoders, WIDE, WIDE))
    module.layers = nn.ModuleDict({name: nn.Identity() for name in NAMES})
    with torch.no_grad():
        for name, part in zip(NAMES, torch.split(found["weight"].float(), WIDE, 1), strict=True):
            cast(nn.Linear, module.classes[name]).weight.copy_(part)
    features = {name: found[f"features.{name}"].float().requires_grad_() for name in NAMES}
    labels = found["labels"]
    here = dict.fromkeys(NAMES, torch.ones_like(labels, dtype=torch.bool))
    return module, features, MultimodalBatch({}, {}, here, labels, torch.arange(len(labels)))


def test_losses_and_gradients_are_those_of_the_authors_training_loop() -> None:
    found = parity("cosine")
    module, features, batch = as_theirs(found)
    prediction = module.fuse({name: vectors(x) for name, x in features.items()})
    loss = module.loss(prediction, batch)
    torch.testing.assert_close(loss, found["loss"], check_dtype=False)
    for name, part in zip(NAMES, torch.split(found["gradient.weight"], WIDE), strict=True):
        own = task_loss(prediction.unimodal[name], batch.targets, module.task)
        torch.testing.assert_close(own, found[f"loss.{name}"], check_dtype=False)
        asked = (features[name], cast(nn.Linear, module.classes[name]).weight)
        gradient, of_weight = torch.autograd.grad(loss, asked, retain_graph=True)
        torch.testing.assert_close(gradient[0], found[f"gradient.{name}"])
        torch.testing.assert_close(of_weight[0], part, rtol=1e-4, atol=1e-8)


class Unnormalised(CosineFusion):
    """A broken copy: a plain linear layer, in which the larger modality decides."""

    def cosines(self, features: Tensor, weights: Tensor) -> Tensor:
        return features @ weights.T


@pytest.mark.parametrize(("kind", "sound"), [(CosineFusion, True), (Unnormalised, False)])
def test_lengths_of_features_and_weights_decide_nothing(kind: type[CosineFusion], sound: bool) -> None:
    torch.manual_seed(0)
    module = kind(setting_of(PAIR)).eval()
    draw = torch.Generator().manual_seed(0)
    encoded = {name: vectors(torch.randn(6, module.setting.width, generator=draw)) for name in PAIR.names}
    before = module.fuse(encoded).logits
    with torch.no_grad():
        for parameter in module.layers["m1"].parameters():
            parameter.mul_(50)
        for parameter in module.classes["m0"].parameters():
            parameter.mul_(0.1)
    assert torch.allclose(module.fuse(encoded).logits, before, atol=1e-5) == sound


def test_an_absent_modality_adds_nothing_and_one_that_is_there_the_scale_at_most() -> None:
    module = CosineFusion(setting_of(PAIR), scale=3.0).eval()
    one, other = (vectors(100 * torch.randn(6, module.setting.width)) for _ in PAIR.names)
    gone = replace(other, pooled=torch.zeros_like(other.pooled), present=~other.present)
    prediction = module.fuse({"m0": one, "m1": gone})
    torch.testing.assert_close(prediction.logits, prediction.unimodal["m0"])
    assert prediction.logits.abs().max() <= 3 + 1e-5


def test_of_several_labels_training_starts_near_the_chance_of_a_class() -> None:
    module = built("cosine", replace(PAIR, classes=3862, kind="multilabel", metric="gap20")).eval()
    encoded = {name: vectors(torch.randn(64, module.setting.width)) for name in PAIR.names}
    chances = module.fuse(encoded).logits.sigmoid().median()
    assert 0.3 / 3862 < chances < 3 / 3862


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_a_scale_that_is_no_size_is_refused(scale: float) -> None:
    with pytest.raises(UserError, match=r"'cosine': scale is .*finite number above 0"):
        CosineFusion(setting_of(PAIR), scale=scale)
