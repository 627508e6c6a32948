"""Fusion between the layers of encoders: against formulas written out with numpy, and how it is measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from token_samples import normed, shaken
from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.catalogue import describe, load
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalityKind
from fusionbench.fusion._stages import level_widths
from fusionbench.fusion.base import FusionModule, Setting
from fusionbench.fusion.central import CentralFusion
from fusionbench.fusion.channel_attention import ChannelAttention
from fusionbench.fusion.early import EarlyFusion
from fusionbench.measure.latency import measure as measure_latency
from fusionbench.measure.size import measure as measure_size
from fusionbench.plan.budget import Pretraining
from fusionbench.plan.suite import Choice
from fusionbench.testing.samples import CLASSES, HEAD_WIDTH, WIDTH, batch_of, built, setting_of, task_of
from fusionbench.testing.sizes import check_size
from fusionbench.testing.strategies import check_learning, check_missing_modalities, check_samples_are_independent

Array = NDArray[Any]
BETWEEN = ("central", "channel_attention")
DEEP = {
    "image": Choice("small_cnn", {"width": WIDTH, "channels": [4, 6, 10]}),
    "vector": Choice("mlp", {"width": WIDTH, "depth": 2}),
    "sequence": Choice("transformer", {"width": WIDTH, "layers": 3, "heads": 2, "hidden": 9}),
    "tokens": Choice("lstm", {"width": WIDTH, "hidden": 3, "embed": 4, "layers": 2}),
}
MIXED: tuple[ModalityKind, ...] = ("image", "vector", "sequence", "tokens")


def deep_setting(kinds: tuple[ModalityKind, ...] = MIXED) -> Setting:
    setting = setting_of(task_of(kinds))
    return replace(setting, encoders={spec.name: DEEP[spec.kind] for spec in setting.task.modalities})


def deep(strategy: str, kinds: tuple[ModalityKind, ...] = MIXED, **options: Any) -> FusionModule:
    """On encoders of three, two, three and two stages, so that two levels go together."""
    module: FusionModule = load("strategy", strategy)(deep_setting(kinds), **options).eval()
    shaken(module)
    return module


def some_absent(batch: MultimodalBatch) -> MultimodalBatch:
    """Sample 1 has no m0, sample 2 only m1."""
    for name, present in batch.present.items():
        present[1] = name != "m0"
        present[2] = name == "m1"
    return batch


def numbers(tensor: Tensor) -> Array:
    return tensor.detach().numpy().astype(np.float64)


def affine(layer: nn.Module, x: Array) -> Array:
    assert isinstance(layer, nn.Linear)
    return x @ numbers(layer.weight).T + numbers(layer.bias)


def mlp(head: nn.Module, x: Array) -> Array:
    assert isinstance(head, nn.Sequential)
    return affine(head[4], np.maximum(affine(head[1], normed(x)), 0))


def means(x: Tensor, real: Tensor) -> Array:
    """One sample's map (K,), (T, K) or (K, H, W), averaged over what is real."""
    if x.dim() == 1:
        return numbers(x)
    return numbers(x[real]).mean(0) if x.dim() == 2 else numbers(x).mean((1, 2))


def test_levels_go_together_from_the_last_layers_backwards() -> None:
    found = level_widths(deep("central").encoders)
    assert found == [{"m0": 6, "m1": 8, "m2": 8, "m3": 6}, {"m0": 10, "m1": 8, "m2": 8, "m3": 6}]


def central_by_hand(module: CentralFusion, batch: MultimodalBatch, row: int) -> Array:
    """Logits (C,) of one sample by the paper's sums, over the modalities that it has."""
    encoded = module.encode(batch)
    names = module.task.names
    here = [i for i, name in enumerate(names) if batch.present[name][row]]
    read, keep = numbers(module.read), numbers(module.keep)
    central: Array | None = None
    for level in (0, 1):
        width = max((6, 8, 8, 6) if level == 0 else (10, 8, 8, 6))
        total = np.zeros(width) if central is None else keep[level - 1] * central
        for i in here:
            one = encoded[names[i]]
            hidden = normed(means(one.stages[len(one.stages) - 2 + level][row], one.mask[row]))
            total[: len(hidden)] += read[level, i] * hidden
        layer: Any = module.layers[0][0] if level == 0 else None  # type: ignore[index]
        central = np.maximum(affine(layer, total), 0) if level == 0 else mlp(module.head, total)
    assert central is not None
    own = [read[2, i] * mlp(module.heads[names[i]], numbers(encoded[names[i]].pooled[row])) for i in here]
    return keep[1] * central + np.sum(own, 0)


def test_central_is_the_weighted_sums_of_the_paper_written_out() -> None:
    module = deep("central")
    assert isinstance(module, CentralFusion)
    batch = some_absent(batch_of(module.task))
    found = numbers(module.predict(batch).logits)
    for row in range(len(batch)):
        np.testing.assert_allclose(found[row], central_by_hand(module, batch, row), rtol=1e-4, atol=1e-5)


def test_central_trains_the_sum_of_its_own_loss_and_of_those_of_the_modalities() -> None:
    module = deep("central", unimodal_weight=0.3)
    batch = some_absent(batch_of(module.task))
    prediction = module.predict(batch)
    expected = F.cross_entropy(prediction.logits, batch.targets)
    for name, logits in prediction.unimodal.items():
        here = batch.present[name]
        expected = expected + 0.3 * F.cross_entropy(logits[here], batch.targets[here])
    torch.testing.assert_close(module.loss(prediction, batch), expected)


def test_weights_of_central_start_between_0_and_1() -> None:
    module = load("strategy", "central")(deep_setting())
    weights = torch.cat([module.read.flatten(), module.keep])
    assert len(weights) == 3 * 4 + 2
    assert 0 <= weights.min() < 0.4 < 0.6 < weights.max() < 1


def test_a_transfer_module_squeezes_all_and_excites_each_by_hand() -> None:
    module = deep("channel_attention", ("vector", "vector"), ratio=3)
    assert isinstance(module, ChannelAttention)
    batch = some_absent(batch_of(module.task))
    for row in range(len(batch)):
        here = [name for name in module.task.names if batch.present[name][row]]
        h = {name: numbers(batch.inputs[name][row]) for name in module.task.names}
        for level, part in enumerate(module.levels):
            for name in here:
                layers: Any = module.encoders[name].layers
                h[name] = np.maximum(affine(layers[level][0], h[name]), 0)
            squeeze: Any = part.squeeze
            assert squeeze.out_features == int(2 * 2 * WIDTH / 3)
            squeezed = [h[name] if name in here else np.zeros(WIDTH) for name in module.task.names]
            joint = np.maximum(affine(squeeze, np.concatenate(squeezed)), 0)
            for name, excite in zip(module.task.names, part.excite, strict=True):  # type: ignore[arg-type]
                h[name] = 2 / (1 + np.exp(-affine(excite, joint))) * h[name] if name in here else h[name]
        expected = np.mean([mlp(module.heads[name], h[name]) for name in here], 0)
        np.testing.assert_allclose(numbers(module.predict(batch).logits[row]), expected, rtol=1e-4, atol=1e-5)


def squeeze_and_excite(maps: list[Tensor], part: Any) -> list[Tensor]:
    """A transfer module on pictures by einsum, as the paper writes it."""
    means = torch.cat([one.flatten(2).sum(2) / one[0, 0].numel() for one in maps], 1)
    joint = torch.einsum("bk,ek->be", means, part.squeeze.weight).add(part.squeeze.bias).clamp(min=0)
    gates = [torch.einsum("be,ke->bk", joint, one.weight) + one.bias for one in part.excite]
    return [torch.einsum("bkhw,bk->bkhw", one, 1 + (gate / 2).tanh()) for one, gate in zip(maps, gates, strict=True)]


def test_recalibrated_pictures_go_on_to_the_next_convolution() -> None:
    module = deep("channel_attention", ("image", "image"))
    assert isinstance(module, ChannelAttention)
    batch = batch_of(module.task)
    maps = [batch.inputs[name] for name in module.task.names]
    networks: list[Any] = [module.encoders[name] for name in module.task.names]
    for level, part in enumerate(module.levels):
        maps = [F.relu(net.norms[level](net.convolutions[level](x))) for net, x in zip(networks, maps, strict=True)]
        maps = squeeze_and_excite([F.max_pool2d(x, 2) if x.shape[-1] >= 4 else x for x in maps], part)
    encoded = module.encode(batch)
    for name, net, x in zip(module.task.names, networks, maps, strict=True):
        torch.testing.assert_close(
            encoded[name].pooled, net.project(F.layer_norm(x.amax((2, 3)), x.shape[1:2])), rtol=1e-4, atol=1e-5
        )


def test_gates_that_say_nothing_leave_the_encoders_as_they_are() -> None:
    module = deep("channel_attention")
    assert isinstance(module, ChannelAttention)
    batch = some_absent(batch_of(module.task))
    for part in module.levels:
        for parameter in part.excite.parameters():  # type: ignore[union-attr]
            nn.init.zeros_(parameter)  # A gate is 2 sigmoid(0) = 1.
    found, plain = module.encode(batch), FusionModule.encode(module, batch)
    for name, one in found.items():
        torch.testing.assert_close(one.pooled, plain[name].pooled)
        torch.testing.assert_close(one.tokens, plain[name].tokens)


@pytest.mark.parametrize("strategy", BETWEEN)
def test_deep_encoders_keep_the_contract_too(strategy: str) -> None:
    module, batch = deep(strategy), batch_of(task_of(MIXED))
    check_samples_are_independent(module, batch)
    check_missing_modalities(module, batch)
    check_learning(load("strategy", strategy)(deep_setting()), batch_of(task_of(MIXED), size=32))


@pytest.mark.parametrize("strategy", BETWEEN)
@pytest.mark.parametrize("kind", ["vector", "sequence"])
def test_sizes_are_those_of_the_formulas_where_encoders_have_several_stages(strategy: str, kind: ModalityKind) -> None:
    module = deep(strategy, (kind,) * 3)
    plugin = describe("strategy", strategy)
    options = {name: option.default for name, option in plugin.options.items()}
    check_size(module, plugin.doc, options, batch_of(module.task))


def test_flops_between_layers_are_the_fusions_and_those_of_a_joint_input_are_not() -> None:
    task = task_of(("vector", "vector"))
    batch = batch_of(task, 1)
    found = measure_size(built("channel_attention", task), batch)
    joint, heads = 2 * 2 * WIDTH // 4, 2 * 2 * (WIDTH * HEAD_WIDTH + HEAD_WIDTH * CLASSES)
    assert found["fusion_flops_per_sample"] == 2 * 2 * (2 * WIDTH * joint) + heads
    assert found["flops_per_sample"] - found["fusion_flops_per_sample"] == 2 * 2 * 5 * WIDTH
    early = measure_size(EarlyFusion(setting_of(task)), batch)
    assert early["fusion_flops_per_sample"] == 2 * (WIDTH * HEAD_WIDTH + HEAD_WIDTH * CLASSES)


def test_fusion_between_layers_has_no_time_of_its_own_but_what_only_reads_them_has() -> None:
    task = task_of(("vector", "vector"))
    modules, batches = {name: built(name, task) for name in BETWEEN}, {1: batch_of(task, 1)}
    rng = np.random.default_rng(0)
    rows = measure_latency(modules, batches, rng, lambda *_: None, seconds=0.01, batch_sizes=(1,), threads=(1,))
    assert {(row["strategy"], row["scope"]) for row in rows} == {
        ("central", "end_to_end"),
        ("central", "fusion"),
        ("channel_attention", "end_to_end"),
    }


@pytest.mark.parametrize("strategy", [*BETWEEN, "bottleneck"])
def test_what_is_the_fusions_own_is_trained_around_frozen_encoders(strategy: str) -> None:
    setting = deep_setting()
    frozen = {
        name: replace(choice, pretrain=Pretraining(epochs=1, batch_size=8)) for name, choice in setting.encoders.items()
    }
    module = load("strategy", strategy)(replace(setting, encoders=frozen)).train()
    batch = batch_of(setting.task, 32)
    torch.autograd.backward(module.loss(module.predict(batch), batch))
    assert not any(part.training for part in module.encoders.modules() if part is not module.encoders)
    for path, parameter in module.named_parameters():
        assert (parameter.grad is None) == path.startswith("encoders."), path
        assert parameter.grad is None or bool(parameter.grad.any()), path


@pytest.mark.parametrize("strategy", BETWEEN)
def test_an_encoder_without_any_layer_is_refused_by_name(strategy: str) -> None:
    setting = deep_setting()
    bare = {**setting.encoders, "m1": Choice("mlp", {"width": 5, "depth": 0})}
    with pytest.raises(UserError, match="the encoder of 'm1' has no layer"):
        load("strategy", strategy)(replace(setting, encoders=bare))


@pytest.mark.parametrize(
    ("strategy", "options", "words"),
    [
        ("central", {"unimodal_weight": -0.5}, ["unimodal_weight is -0.5", "at least 0"]),
        ("channel_attention", {"ratio": 0}, ["ratio is 0", "at least 1"]),
    ],
)
def test_an_option_out_of_range_is_refused_in_words(strategy: str, options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        load("strategy", strategy)(deep_setting(), **options)
    assert all(word in str(error.value) for word in words)
