"""The strategies that change how a model is trained, against authors' own files' numbers: steps of plain SGD."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from parity_fixtures import Parity, parity
from torch import Tensor, nn

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.catalogue import load
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.fusion import pmr
from fusionbench.fusion._balance import true_probability
from fusionbench.fusion.base import Setting, task_loss
from fusionbench.testing.samples import setting_of, task_of

NAMES = ("audio", "visual")
CLOSE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}


def module_of(strategy: str, classes: int, encoders: dict[str, nn.Module], **options: Any) -> Any:
    """A strategy on encodings of 4 numbers, heads of 5 units as they come, with the authors' encoders."""
    task = TaskSpec(tuple(ModalitySpec(name, "vector", (3,)) for name in NAMES), classes)
    choices = dict.fromkeys(NAMES, setting_of(task_of(("vector",))).encoders["m0"])
    module: Any = load("strategy", strategy)(Setting(task, choices, 4, 5, head_norm=False), **options)
    module.encoders = nn.ModuleDict(encoders)
    module.encode = lambda batch: {name: encoding(encoders[name](batch.inputs[name])) for name in NAMES}
    return module.train()


def encoding(x: Tensor) -> Encoded:
    """(B, ...) as one step of (B, D)."""
    x, here = x.flatten(1), torch.ones(len(x), dtype=torch.bool)
    return Encoded(x, x[:, None], here[:, None], here)


def batch_at(kept: Parity, step: int) -> MultimodalBatch:
    """The samples that the authors' code got."""
    targets = kept[f"y.{step}"]
    here = torch.ones(len(targets), dtype=torch.bool)
    inputs = {name: kept[f"{name}.{step}"] for name in NAMES}
    return MultimodalBatch(inputs, {}, dict.fromkeys(NAMES, here), targets, torch.arange(len(targets)))


def take(layer: nn.Module, kept: Parity, prefix: str) -> Any:
    """A layer with the authors' weights."""
    layer.load_state_dict(kept.under(prefix))
    return layer


def assert_same(layer: nn.Module, kept: Parity, prefix: str) -> None:
    for name, value in kept.under(prefix).items():
        torch.testing.assert_close(layer.get_parameter(name), value, **CLOSE)
        assert not torch.equal(value, kept[f"before{prefix.removeprefix('after')}.{name}"]), "nothing was trained"


def stepped(module: Any, sgd: torch.optim.SGD, batch: MultimodalBatch) -> None:
    """A step as Lightning does it."""
    sgd.zero_grad()
    module.backward(module.training_step(batch, 0))
    module.on_before_optimizer_step(sgd)
    sgd.step()


def test_ogm_trains_as_the_authors_code_does() -> None:
    kept = parity("ogm_ge")
    sizes = {"audio": (2, 3), "visual": (3, 2)}
    encoders: dict[str, nn.Module] = {
        name: take(nn.Conv2d(1, 4, size, bias=False), kept, f"before.{name}_net") for name, size in sizes.items()
    }
    module = module_of("ogm_ge", 3, encoders, alpha=0.4, noise=False)
    module.hidden = nn.ModuleDict({name: nn.Identity() for name in NAMES})
    module.last = take(nn.Linear(8, 3), kept, "before.fusion_module.fc_out")
    sgd = torch.optim.SGD(module.parameters(), lr=0.5)
    sgd.register_step_post_hook(module._steps.after)
    for step in range(3):
        batch = batch_at(kept, step)
        # Their loader gives spectra, to which the code adds a channel, and pictures that have one.
        batch.inputs["audio"] = batch.inputs["audio"][:, None]
        stepped(module, sgd, batch)
    for name in NAMES:
        assert_same(encoders[name], kept, f"after.{name}_net")
    assert_same(module.last, kept, "after.fusion_module.fc_out")


def test_agm_trains_as_the_authors_code_does() -> None:
    kept = parity("agm")
    encoders: dict[str, nn.Module] = {name: take(nn.Linear(3, 4), kept, f"before.{name}") for name in NAMES}
    module = module_of("agm", 6, encoders)
    take(module.head[1], kept, "before.fusion_module.hidden")
    take(module.head[4], kept, "before.fusion_module.fc_out")
    sgd = torch.optim.SGD(module.parameters(), lr=0.2)
    sgd.register_step_post_hook(module._modulated.after)
    for step in range(4):
        batch = batch_at(kept, step)
        shares = torch.stack(list(module.predict(batch).unimodal.values()), 1).detach()
        before = module.usual.clone(), module.steps.clone()
        found = module.kappa(shares, torch.ones(len(batch), 2, dtype=torch.bool), batch)
        torch.testing.assert_close(found, kept["coefficients"][step], **CLOSE)
        module.usual.copy_(before[0])
        module.steps.copy_(before[1])
        stepped(module, sgd, batch)
    for name in NAMES:
        assert_same(encoders[name], kept, f"after.{name}")
    assert_same(module.head[1], kept, "after.fusion_module.hidden")
    assert_same(module.head[4], kept, "after.fusion_module.fc_out")


def test_mmpareto_trains_as_the_authors_code_does() -> None:
    kept = parity("mmpareto")
    assert kept["conflicts"] > 0
    linear = {name: take(nn.Linear(3, 4), kept, f"before.{name}_net") for name in NAMES}
    module = module_of("mmpareto", 3, {name: nn.Sequential(layer, nn.ReLU()) for name, layer in linear.items()})
    heads = module.heads
    heads.joint = take(nn.Linear(8, 3), kept, "before.head")
    heads.own["audio"] = take(nn.Linear(4, 3), kept, "before.head_audio")
    heads.own["visual"] = take(nn.Linear(4, 3), kept, "before.head_video")
    sgd = torch.optim.SGD(module.parameters(), lr=0.3)
    sgd.register_step_post_hook(module._steps.after)
    for step in range(3):
        stepped(module, sgd, batch_at(kept, step))
    for name, layer in linear.items():
        assert_same(layer, kept, f"after.{name}_net")
    for layer, prefix in (
        (heads.joint, "head"),
        (heads.own["audio"], "head_audio"),
        (heads.own["visual"], "head_video"),
    ):
        assert_same(layer, kept, f"after.{prefix}")


def test_prototypes_and_what_they_say_are_those_of_the_authors() -> None:
    kept = parity("pmr")
    module = module_of("pmr", 6, {name: take(nn.Linear(3, 4), kept, f"{name}_net") for name in NAMES}, mu=0.0)
    module.head = take(nn.Linear(8, 6), kept, "fusion")
    with torch.no_grad():
        module.update([batch_at(kept, 0)])
        torch.testing.assert_close(module.prototypes, kept["first"], **CLOSE)
        module.update([batch_at(kept, 1)])
        torch.testing.assert_close(module.prototypes, kept["again"], **CLOSE)
    batch = batch_at(kept, 2)
    prediction = module.predict(batch)
    torch.testing.assert_close(task_loss(prediction.logits, batch.targets, module.task), kept["loss"], **CLOSE)
    near = torch.stack(list(prediction.unimodal.values()), 1)
    own = torch.stack([task_loss(one, batch.targets, module.task) for one in near.unbind(1)])
    torch.testing.assert_close(own, kept["own"], **CLOSE)
    scores = true_probability(near, batch.targets, module.task)[0].mean(0).detach()
    torch.testing.assert_close(scores[0] / scores[1], kept["ratio"], **CLOSE)
    # Their file counts alpha in full for the modality that is behind; the paper, and ours, as far as it is behind.
    behind, ahead = pmr.coefficients(scores, torch.tensor([True, True]))
    assert behind.tolist() == pytest.approx([1 / kept["ratio"].item() - 1, 0], abs=1e-5)
    assert ahead.tolist() == pytest.approx([0, 1 / kept["ratio"].item() - 1], abs=1e-5)
    in_full = (kept["modulated"] - kept["loss"]).item()
    assert module.loss(prediction, batch).item() == pytest.approx(
        kept["loss"].item() + behind[0].item() * in_full, rel=1e-5
    )
