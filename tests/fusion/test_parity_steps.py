"""Strategies that attend to steps against numbers that came from running their authors' files (parity/)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from parity_fixtures import parity
from parity_models import close, ours, pair, put, read_by_head, steps
from torch import Tensor

from fusionbench.fusion._attention import CrossAttention, FeedForward, TransformerBlock


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


def test_hierarchical_attention_is_the_authors_for_one_question() -> None:
    found, weights = parity("hierarchical_attention"), parity("hierarchical_attention").under("weights")
    module: Any = ours("hierarchical_attention", {"a": (5, 6), "b": (3, 6)}, hidden=7)
    own = {key.split(".", 1)[1]: value for key, value in weights.items()}  # Scopes of theirs begin by name.
    ask = found["query"][0]  # What a decoder's state would ask at each word; here it is a constant.
    for m, name in enumerate(module.task.names):
        within = module.within[m]
        asked = ask @ own[f"{name}.Attention.attn_query_projection"] + own[f"{name}.attn_projection_bias"]
        put(within.key, weights[f"{name}.{name}.attn_key_projection"].T, asked)
        put(within.score, own[f"{name}.attn_similarity_v"][None])
        put(module.keys[m], own[f"{name}_logit.vector_projection.kernel"].T)
        put(module.values[m], own[f"proj_attn_{name}.kernel"].T)
    with torch.no_grad():
        module.constant.copy_(ask @ own["dense.kernel"] + own["dense.bias"])
    put(module.score, own["a_logit.top.attn_v"][0])
    encoded = {name: steps(found[name], found[f"{name}_mask"]) for name in module.task.names}
    close(read_by_head(module, encoded), found["out"])
    close(module.fuse(encoded).weights, found["trust"])
