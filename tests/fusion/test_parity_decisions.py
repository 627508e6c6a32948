"""The strategies that fuse decisions, against numbers that authors' own files gave."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from parity_fixtures import Parity, parity
from torch import Tensor, nn

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.catalogue import load
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.fusion.conflictive import conflict_degree
from fusionbench.fusion.shared_private import moment_distance
from fusionbench.testing.samples import setting_of, task_of

CLOSE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5}


def module_of(strategy: str, names: tuple[str, ...], classes: int = 3, **options: Any) -> Any:
    """A strategy whose modalities have the authors' names; tests put the authors' layers in the place of its heads."""
    task = TaskSpec(tuple(ModalitySpec(name, "vector", (5,)) for name in names), classes)
    torch.manual_seed(0)
    setting = setting_of(task_of(("vector",)))
    encoders = dict.fromkeys(names, setting.encoders["m0"])
    return load("strategy", strategy)(type(setting)(task, encoders, setting.width, setting.head_width), **options)


def encoded_of(inputs: dict[str, Tensor]) -> dict[str, Encoded]:
    """Vectors as encodings of one step, all present."""
    found = {}
    for name, x in inputs.items():
        here = torch.ones(len(x), dtype=torch.bool)
        found[name] = Encoded(x, x[:, None], here[:, None], here)
    return found


def batch_of(names: tuple[str, ...], targets: Tensor, ids: Tensor | None = None) -> MultimodalBatch:
    """Labels and presence; what the inputs are does not matter here."""
    here = torch.ones(len(targets), dtype=torch.bool)
    rows = torch.arange(len(targets)) if ids is None else ids
    return MultimodalBatch({}, {}, dict.fromkeys(names, here), targets, rows)


def linear(kept: Parity, prefix: str) -> nn.Linear:
    """The authors' layer."""
    weights = kept.under(prefix)
    outputs, inputs = weights["weight"].shape
    layer = nn.Linear(inputs, outputs)
    layer.load_state_dict(weights)
    return layer


def test_trusted_classification_is_that_of_the_authors(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, names = parity("evidential"), ("0", "1", "2")
    module = module_of("evidential", names)
    for name in names:
        module.heads[name] = linear(kept, f"classifier.{name}")
    encoded = encoded_of(kept.under("x"))
    evidence, _ = module.heads(encoded)
    prediction = module.fuse(encoded)
    for m, name in enumerate(names):
        torch.testing.assert_close(evidence[:, m], kept[f"evidence.{name}"], **CLOSE)
    torch.testing.assert_close(prediction.logits.expm1(), kept["joint"], rtol=1e-5, atol=1e-4)  # It reaches 100.
    for epoch in (1, 20, 60):  # The authors count from 1.
        monkeypatch.setattr(type(module), "current_epoch", epoch - 1)
        module.zero_grad()
        loss = module.loss(module.fuse(encoded), batch_of(names, kept["y"]))
        torch.autograd.backward(loss)
        torch.testing.assert_close(loss, kept[f"loss.{epoch}"], **CLOSE)
        torch.testing.assert_close(module.heads["0"].weight.grad, kept[f"gradient.{epoch}"], rtol=1e-4, atol=1e-5)


def test_the_pseudo_view_is_that_of_the_authors(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, names = parity("pseudo_view"), ("rgb", "depth")
    module = module_of("pseudo_view", names)

    def classifier(prefix: str) -> nn.Sequential:
        return nn.Sequential(linear(kept, f"{prefix}.0"), nn.ReLU(), linear(kept, f"{prefix}.3"))

    module.heads["rgb"], module.heads["depth"] = classifier("clf_rgb"), classifier("clf_depth")
    module.together = classifier("clf")
    encoded = encoded_of({name: kept[name] for name in names})
    prediction = module.fuse(encoded)
    torch.testing.assert_close(prediction.logits.exp(), kept["alpha.joint"], **CLOSE)
    for name in names:
        torch.testing.assert_close(prediction.unimodal[name].exp(), kept[f"alpha.{name}"], **CLOSE)
    for epoch in (0, 4, 30):  # Here they count from 0.
        monkeypatch.setattr(type(module), "current_epoch", epoch)
        module.zero_grad()
        loss = module.loss(module.fuse(encoded), batch_of(names, kept["y"]))
        torch.autograd.backward(loss)
        torch.testing.assert_close(loss, kept[f"loss.{epoch}"], **CLOSE)
        torch.testing.assert_close(module.together[0].weight.grad, kept[f"gradient.{epoch}"], rtol=1e-4, atol=1e-5)


def test_conflictive_learning_is_that_of_the_authors(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, names = parity("conflictive"), ("0", "1")
    module = module_of("conflictive", names)
    for name in names:
        module.heads[name] = linear(kept, f"collector.{name}")
    encoded = encoded_of(kept.under("x"))
    torch.testing.assert_close(module.fuse(encoded).logits.expm1(), kept["joint"], **CLOSE)
    for epoch in (1, 20, 60):
        monkeypatch.setattr(type(module), "current_epoch", epoch - 1)
        module.zero_grad()
        loss = module.loss(module.fuse(encoded), batch_of(names, kept["y"]))
        torch.autograd.backward(loss)
        torch.testing.assert_close(loss, kept[f"loss.{epoch}"], **CLOSE)
        torch.testing.assert_close(module.heads["0"].weight.grad, kept[f"gradient.{epoch}"], rtol=1e-4, atol=1e-5)
    for views, said in (("evidence", "conflict"), ("three", "conflict_of_three")):
        alpha = torch.stack(list(kept.under(views).values()), 1) + 1
        present = torch.ones(alpha.shape[:2], dtype=torch.bool)
        torch.testing.assert_close(conflict_degree(alpha, present).mean(), kept[said], **CLOSE)


def test_quality_aware_training_is_step_by_step_that_of_the_authors() -> None:
    kept, names = parity("quality_aware"), ("text", "image")
    module = module_of("quality_aware", names)
    for name in names:
        module.heads[name] = linear(kept, name)
    sgd = torch.optim.SGD(module.heads.parameters(), lr=0.5)
    for step in range(4):
        ids = kept[f"ids.{step}"]
        prediction = module.fuse(encoded_of({name: kept[name][ids] for name in names}))
        loss = module.loss(prediction, batch_of(names, kept["y"][ids], ids))
        torch.testing.assert_close(prediction.logits, kept[f"logits.{step}"], **CLOSE)
        torch.testing.assert_close(loss, kept[f"loss.{step}"], **CLOSE)
        sgd.zero_grad()
        torch.autograd.backward(loss)
        torch.testing.assert_close(module.heads["image"].weight.grad, kept[f"gradient.{step}"], **CLOSE)
        sgd.step()
    torch.testing.assert_close(module.history, kept["history"], **CLOSE)


def test_late_fusion_is_that_of_the_authors() -> None:
    kept, names = parity("late"), ("text", "modal")
    module = module_of("late", names)
    for name in names:
        module.heads[name] = linear(kept, f"{name}_classifier")
    prediction = module.fuse(encoded_of({name: kept[name] for name in names}))
    torch.testing.assert_close(prediction.logits, kept["scores"], **CLOSE)
    torch.autograd.backward(module.loss(prediction, batch_of(names, kept["y"])))
    torch.testing.assert_close(module.heads["text"].weight.grad, kept["gradient"], **CLOSE)


@pytest.mark.parametrize("count", [2, 3])
def test_certainty_weighs_modalities_as_in_the_code_of_alternating_adaptation(count: int) -> None:
    kept, names = parity("alternating"), ("0", "1", "2")[:count]
    module = module_of("alternating", names, classes=4)
    for name in names:
        module.layers[name] = nn.Identity()
    module.head = nn.Identity()
    logits = kept["logits"]
    prediction = module.fuse(encoded_of({name: logits[:, m] for m, name in enumerate(names)}))
    torch.testing.assert_close(prediction.weights, kept["two" if count == 2 else "three"], **CLOSE)


def test_the_contrast_is_that_of_clip() -> None:
    kept, names = parity("contrastive"), ("image", "text")
    module = module_of("contrastive", names)
    found = module.contrast.similarities(kept["image"], kept["text"])
    torch.testing.assert_close(found, kept["logits_per_image"], **CLOSE)
    torch.testing.assert_close(found.T, kept["logits_per_text"], **CLOSE)


def misa(kept: Parity, detach_lengths: bool) -> Any:
    """The strategy with the authors' layers and weights."""
    module = module_of(
        "shared_private", ("t", "v", "a"), common=4, feedforward=6, dropout=0.0, detach_lengths=detach_lengths
    )
    for m, name in enumerate("tva"):
        norm = nn.LayerNorm(4)
        norm.load_state_dict(kept.under(f"inputs.{m}.project_{name}_layer_norm"))
        module.inputs[m] = nn.Sequential(linear(kept, f"inputs.{m}.project_{name}"), nn.ReLU(), norm)
        (own,) = {key.partition(".")[0] for key in kept.under(f"private.{m}")}
        module.private[m] = linear(kept, f"private.{m}.{own}")
        module.decoders[m] = linear(kept, f"decoders.{m}.recon_{name}_1")
    module.shared = linear(kept, "shared.shared_1")
    layer, given = module.layer, kept.under("layer")
    query, rest = torch.split(given["self_attn.in_proj_weight"], [4, 8])
    assert not given["self_attn.in_proj_bias"].any()  # Ours has none of keys and values.
    layer.attention.query.load_state_dict({"weight": query, "bias": torch.zeros(4)})
    layer.attention.key_value.load_state_dict({"weight": rest})
    layer.attention.out = linear(kept, "layer.self_attn.out_proj")
    layer.expand, layer.contract = linear(kept, "layer.linear1"), linear(kept, "layer.linear2")
    layer.first.load_state_dict(kept.under("layer.norm1"))
    layer.second.load_state_dict(kept.under("layer.norm2"))
    first, last = linear(kept, "fusion.fusion_layer_1"), linear(kept, "fusion.fusion_layer_3")
    module.head = nn.Sequential(first, nn.ReLU(), last)
    return module


def test_shared_and_private_parts_are_those_of_misa() -> None:
    kept = parity("shared_private")
    module, here = misa(kept, detach_lengths=True), torch.ones(7, dtype=torch.bool)
    x = {name: kept[f"x.{m}"].clone().requires_grad_() for m, name in enumerate("tva")}
    prediction = module.train().fuse(encoded_of(x))
    torch.testing.assert_close(prediction.logits, kept["logits"], **CLOSE)
    total = 0.3 * kept["difference"] + kept["similarity"] + kept["reconstruction"]
    torch.testing.assert_close(prediction.penalty, total, **CLOSE)
    torch.autograd.backward(prediction.penalty)
    for m, name in enumerate("tva"):
        torch.testing.assert_close(x[name].grad, kept[f"gradient.{m}"], rtol=1e-4, atol=1e-5)
    shared = [module.shared(layer(kept[f"x.{m}"])).sigmoid() for m, layer in enumerate(module.inputs)]
    pairs = [moment_distance(shared[m], shared[n], here, here) for m, n in ((0, 1), (0, 2), (2, 1))]
    torch.testing.assert_close(torch.stack(pairs).mean(), kept["similarity"], **CLOSE)


def test_the_losses_of_misa_are_the_same_where_their_gradient_goes_through_lengths() -> None:
    kept = parity("shared_private")
    encoded = encoded_of({name: kept[f"x.{m}"] for m, name in enumerate("tva")})
    found = misa(kept, detach_lengths=False).train().fuse(encoded).penalty
    torch.testing.assert_close(found, 0.3 * kept["difference"] + kept["similarity"] + kept["reconstruction"], **CLOSE)
