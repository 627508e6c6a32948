"""Strategies over steps, gates and layers against numbers that came from running their authors' files (parity/)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from parity_fixtures import Parity, parity
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.core.catalogue import load
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.encoders.base import Hidden
from fusionbench.fusion._attention import CrossAttention, FeedForward, TransformerBlock
from fusionbench.fusion._stages import scaled, squeezed
from fusionbench.fusion.base import FusionModule, Setting
from fusionbench.fusion.channel_attention import Recalibration
from fusionbench.fusion.embrace import EmbraceNet, embraced
from fusionbench.fusion.memory import MemoryFusion
from fusionbench.fusion.shift_gate import ShiftGateFusion
from fusionbench.plan.suite import Choice


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def ours(strategy: str, modalities: dict[str, tuple[int, int]], classes: int = 2, **options: Any) -> FusionModule:
    """The strategy over sequences of (steps, features), without the norm before its head, which is ours alone."""
    specs = tuple(ModalitySpec(name, "sequence", shape) for name, shape in modalities.items())
    width = specs[0].shape[1]
    encoders = {spec.name: Choice("linear", {"width": width}) for spec in specs}
    kind = "multiclass" if classes > 1 else "multilabel"
    setting = Setting(TaskSpec(specs, classes, kind), encoders, width, 7, head_norm=False)  # type: ignore[arg-type]
    module: FusionModule = load("strategy", strategy)(setting, **options)
    return module.eval()


def steps(tokens: Tensor, mask: Tensor | None = None) -> Encoded:
    """Steps (B, T, D) as an encoder gives them; all are real where no mask says otherwise."""
    mask = torch.ones(tokens.shape[:2], dtype=torch.bool) if mask is None else mask
    return Encoded(tokens.mean(1), tokens, mask, torch.ones(len(tokens), dtype=torch.bool))


def read_by_head(module: FusionModule, encoded: dict[str, Encoded]) -> Tensor:
    """What enters the head."""
    seen: list[Tensor] = []
    head: Any = module.head
    handle = head.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    with torch.no_grad():
        module.fuse(encoded)
    handle.remove()
    return seen[0]


def put(layer: nn.Module, weight: Tensor, bias: Tensor | None = None) -> None:
    """Weights and, where there is one, bias."""
    with torch.no_grad():
        layer.get_parameter("weight").copy_(weight)
        if bias is not None:
            layer.get_parameter("bias").copy_(bias)


def put_attention(attention: CrossAttention, weights: dict[str, tuple[Tensor, Tensor]]) -> None:
    """Weights (out, in) and biases of query, key, value and out.

    A key's bias adds the same to all scores of a query; a value's passes to the output, since weights sum to one.
    """
    (query, key, value, out) = (weights[name] for name in ("query", "key", "value", "out"))
    put(attention.query, *query)
    put(attention.key_value, torch.cat([key[0], value[0]]))
    put(attention.out, out[0], out[1] + out[0] @ value[1])


def put_forward(part: FeedForward, norm: Any, expand: Any, contract: Any) -> None:
    """(weight, bias) of each."""
    for layer, both in ((part.norm, norm), (part.expand, expand), (part.contract, contract)):
        put(layer, *both)


def pair(arrays: dict[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    """A torch layer's weight and bias."""
    return arrays[f"{name}.weight"], arrays[f"{name}.bias"]


def test_channel_attention_is_twice_the_authors_transfer_module() -> None:
    found = parity("channel_attention")
    module, weights = Recalibration([6, 4], 4), found.under("weights")
    for layer, name in ((module.squeeze, "fc_squeeze"), *zip(module.excite, ("fc_visual", "fc_skeleton"), strict=True)):
        put(layer, *pair(weights, name))
    there, mask = torch.ones(3, dtype=torch.bool), torch.ones(3, 5, dtype=torch.bool)
    maps = found["picture"], found["sequence"].mT  # Steps before channels, here.
    means = torch.cat([squeezed(maps[0], None, there), squeezed(maps[1], mask, there)], 1)
    with torch.no_grad():
        gates = module(means)
        out = [scaled(Hidden(x, mask, there), gate).map for x, gate in zip(maps, gates, strict=True)]
    # The factor 2 is the paper's; the code has none.
    close(out[0], 2 * found["picture_out"])
    close(out[1].mT, 2 * found["sequence_out"])


def test_cross_attention_is_the_authors_stream_without_positions() -> None:
    found, weights = parity("cross_attention"), parity("cross_attention").under("a_weights")
    module = ours("cross_attention", {"a": (4, 8), "b": (5, 8)}, heads=2, layers=2)
    stream: Any = module.streams[0]  # type: ignore[index]
    for number, block in enumerate(stream.blocks):
        one = {key.removeprefix(f"layers.{number}."): value for key, value in weights.items()}
        names, split = ("query", "key", "value"), (one["self_attn.in_proj_weight"], one["self_attn.in_proj_bias"])
        parts = dict(zip(names, zip(*(both.chunk(3) for both in split), strict=True), strict=True))
        put_attention(block.attention, {**parts, "out": pair(one, "self_attn.out_proj")})
        put(block.before_attention, *pair(one, "layer_norms.0"))
        put(block.before_forward, *pair(one, "layer_norms.1"))
        put(block.expand, *pair(one, "fc1"))
        put(block.contract, *pair(one, "fc2"))
    put(stream.norm, *pair(weights, "layer_norm"))
    seen: list[Tensor] = []
    stream.norm.register_forward_hook(lambda *given: seen.append(given[2].detach()))
    read = read_by_head(module, {"a": steps(found["a"]), "b": steps(found["b"])})
    close(seen[0], found["a_out"])
    close(read[:, :8], found["a_out"].mean(1))


def test_memory_is_the_authors_whole_network() -> None:
    found, weights = parity("memory"), parity("memory").under("weights")
    shapes = dict.fromkeys(("l", "a", "v"), (5, 4))
    module = ours("memory", shapes, classes=1, steps=5, hidden=3, memory=6, inner=5)
    assert isinstance(module, MemoryFusion)
    for name, cell in zip(shapes, module.cells, strict=True):
        cell.load_state_dict(
            {key.removeprefix(f"lstm_{name}."): v for key, v in weights.items() if f"lstm_{name}" in key}
        )
    networks = {"att1": module.attention, "att2": module.proposal, "gamma1": module.retain, "gamma2": module.write}
    for name, network in networks.items():
        put(network[0], *pair(weights, f"{name}_fc1"))
        put(network[-1], *pair(weights, f"{name}_fc2"))
    put(module.head[1], *pair(weights, "out_fc1"))
    put(module.head[-1], *pair(weights, "out_fc2"))
    parts = torch.split(found["x"].transpose(0, 1), 4, -1)  # (T, B, 12), which holds words, sound and pictures.
    encoded = {name: steps(x) for name, x in zip(shapes, parts, strict=True)}
    close(module.fuse(encoded).logits.detach(), found["out"])


def test_shift_gate_is_the_authors_adaptation_gate() -> None:
    found, weights = parity("shift_gate"), parity("shift_gate").under("weights")
    module = ours("shift_gate", dict.fromkeys(("visual", "text", "acoustic"), (1, 8)), anchor="text", beta=0.7)
    assert isinstance(module, ShiftGateFusion)
    for layers, names in ((module.gates, ("W_hv", "W_ha")), (module.shifts, ("W_v", "W_a"))):
        for layer, name in zip(layers, names, strict=True):
            put(layer, *pair(weights, name))
    put(module.norm, *pair(weights, "LayerNorm"))
    encoded = {name: steps(found[name][:, None]) for name in module.task.names}
    close(read_by_head(module, encoded), found["out"])


def embrace(found: Parity) -> tuple[EmbraceNet, dict[str, Encoded]]:
    """Our network with the authors' weights, and their inputs."""
    module, weights = ours("embrace", {f"m{i}": (1, 5) for i in range(3)}, hidden=6), found.under("weights")
    assert isinstance(module, EmbraceNet)
    for number, layer in enumerate(module.docking):
        put(layer, *pair(weights, f"docking_{number}"))
    return module, {f"m{i}": steps(x[:, None]) for i, x in enumerate(found["x"].unbind(1))}


def absent(encoded: dict[str, Encoded], there: Tensor) -> dict[str, Encoded]:
    """The same where only some modalities are there: bool (B, M)."""
    named = zip(encoded.items(), there.unbind(1), strict=True)
    return {name: replace(one, pooled=one.pooled * here[:, None], present=here) for (name, one), here in named}


def test_embrace_with_one_modality_is_the_authors_network_in_training_and_after() -> None:
    found = parity("embrace")
    module, encoded = embrace(found)
    for mode in (True, False):
        read = read_by_head(module.train(mode), absent(encoded, found["there"]))
        close(read, found["alone"])


def test_embrace_draws_what_the_authors_draw_and_predicts_from_their_mean() -> None:
    found = parity("embrace")
    module, encoded = embrace(found)
    some = absent(encoded, found["some"])
    with torch.no_grad():
        alone = [read_by_head(module, absent(some, torch.eye(3)[[m] * 4].bool())) for m in range(3)]
    docked = torch.stack(alone, 1)  # (B, M, H)
    near = ((found["drawn"][:, :, None] - docked).abs() < 1e-5) & found["some"][
        ..., None
    ]  # Each unit is of a present one.
    assert near.any(2).all()
    torch.manual_seed(0)
    drawn = torch.stack([embraced(docked, found["some"]) for _ in range(20_000)]).mean(0)
    read = read_by_head(module, some)
    # Means of 20,000 draws, each: off by some multiples of a standard deviation over 141.
    tolerance = 6 * float(docked.max()) / 141
    torch.testing.assert_close(read, found["mean"], rtol=0, atol=tolerance)
    torch.testing.assert_close(drawn, found["mean"], rtol=0, atol=2 * tolerance)


def test_early_transformer_is_the_authors_inference_over_words_and_patches() -> None:
    found, weights = parity("early_transformer"), parity("early_transformer").under("weights")
    module: Any = ours("early_transformer", {"words": (3, 8), "patches": (5, 8)}, heads=2, layers=2)
    for number, block in enumerate(module.transformer.blocks):
        one = {key.removeprefix(f"blocks.{number}."): value for key, value in weights.items()}
        split = (one["attn.qkv.weight"].chunk(3), one["attn.qkv.bias"].chunk(3))
        parts = dict(zip(("query", "key", "value"), zip(*split, strict=True), strict=True))
        put_attention(block.attention, {**parts, "out": pair(one, "attn.proj")})
        put(block.norm, *pair(one, "norm1"))
        put_forward(block.forward_part, pair(one, "norm2"), pair(one, "mlp.fc1"), pair(one, "mlp.fc2"))
    put(module.transformer.norm, *pair(weights, "norm"))
    with torch.no_grad():
        module.modality_embedding.copy_(found["types"])
        module.transformer.token.copy_(found["cls"] + found["types"][0])  # There it is a word; words are of type 0.
    encoded = {
        "words": steps(found["words"], found["word_mask"]),
        "patches": steps(found["patches"], found["patch_mask"]),
    }
    close(read_by_head(module, encoded), found["out"])


def haiku(weights: dict[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of a linear layer, or scale and offset of a norm."""
    if f"{name}.w" in weights:
        return weights[f"{name}.w"].T, weights[f"{name}.b"]
    return weights[f"{name}.scale"], weights[f"{name}.offset"]


def test_perceiver_is_the_authors_encoder_in_one_round() -> None:
    found, weights = parity("perceiver"), parity("perceiver").under("weights")
    module: Any = ours("perceiver", {"x": (6, 8)}, latents=3, rounds=1, layers=2, heads=2)
    layers = ("query", "key", "value", "out")

    def attention_of(part: str) -> dict[str, tuple[Tensor, Tensor]]:
        named = zip(layers, ("linear", "linear_1", "linear_2", "linear_3"), strict=True)
        return {name: haiku(weights, f"{part}.attention.{their}") for name, their in named}

    def forward_of(part: str, norm: str) -> list[tuple[Tensor, Tensor]]:
        return [haiku(weights, f"{part}.{name}") for name in (norm, "mlp.linear", "mlp.linear_1")]

    look = module.looks[0]
    put_attention(look.attention, attention_of("cross_attention"))
    put(look.before_asking, *haiku(weights, "cross_attention.layer_norm"))
    put(look.before_answering, *haiku(weights, "cross_attention.layer_norm_1"))
    put_forward(look.forward_part, *forward_of("cross_attention", "layer_norm_2"))
    for block in module.blocks:  # There one layer, twice.
        put_attention(block.attention, attention_of("self_attention"))
        put(block.norm, *haiku(weights, "self_attention.layer_norm"))
        put_forward(block.forward_part, *forward_of("self_attention", "layer_norm_1"))
    with torch.no_grad():
        module.latents.copy_(weights["trainable_position_encoding.pos_embs"])
        seen = module.seen(found["x"], found["mask"])
    close(seen, found["out"])


def put_flax_block(block: TransformerBlock, weights: dict[str, Tensor], at: int) -> None:
    """One of the blocks that lie in the first dimension of each array, their heads apart."""
    theirs = {"query": (4, 4), "key": (4, 4), "value": (4, 4), "out": (4, 4)}
    attention = {}
    for name, shape in theirs.items():
        kernel = weights[f"MultiHeadDotProductAttention_0.{name}.kernel"][at].reshape(shape)
        attention[name] = (kernel.T, weights[f"MultiHeadDotProductAttention_0.{name}.bias"][at].flatten())
    put_attention(block.attention, attention)

    def norm(name: str) -> tuple[Tensor, Tensor]:
        return weights[f"{name}.scale"][at], weights[f"{name}.bias"][at]

    def dense(name: str) -> tuple[Tensor, Tensor]:
        return weights[f"MlpBlock_0.{name}.kernel"][at].T, weights[f"MlpBlock_0.{name}.bias"][at]

    put(block.norm, *norm("LayerNorm_0"))
    put_forward(block.forward_part, norm("LayerNorm_1"), dense("Dense_0"), dense("Dense_1"))


@pytest.mark.parametrize("names", [("spectrogram", "rgb"), ("rgb", "spectrogram")])
def test_bottleneck_is_the_authors_transformer_from_embedded_patches_to_class_tokens(names: tuple[str, str]) -> None:
    found = parity("bottleneck")
    rest = found.under("rest")
    shapes = {name: tuple(found[name].shape[1:]) for name in names}
    # Told of two bottlenecks, the code takes three where it reads class tokens.
    module: Any = ours("bottleneck", shapes, heads=2, own_layers=1, layers=2, bottlenecks=3)  # type: ignore[arg-type]
    order = ("spectrogram", "rgb")
    for level, blocks in enumerate(module.layers):
        for name, block in zip(names, blocks, strict=True):
            put_flax_block(block, found.under("blocks"), 2 * level + order.index(name))
    put(module.norm, rest["Transformer.encoder_norm.scale"], rest["Transformer.encoder_norm.bias"])
    with torch.no_grad():
        module.bottlenecks.copy_(rest["bottleneck"])
        for name, positions in zip(names, module.positions, strict=True):
            suffix = {"rgb": ("", ""), "spectrogram": ("spectrogram", "_spectrogram")}[name]
            theirs = rest[f"Transformer.posembed_input{suffix[1]}.pos_embedding"][0].clone()
            theirs[0] += rest[f"cls{suffix[0]}"][0, 0]  # A class token and its position are one vector here.
            positions.copy_(theirs)
    read = read_by_head(module, {name: steps(found[name]) for name in names})
    close(read, torch.stack([found[f"{name}_out"] for name in names], 1))
