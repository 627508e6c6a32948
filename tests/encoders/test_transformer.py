"""The Transformer encoder: padding is never attended to, positions count, and one layer by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import erf, softmax
from torch import Tensor

from fusionbench.core.batch import Encoded
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalitySpec
from fusionbench.encoders.transformer import Transformer, sinusoids

TOKENS = ModalitySpec("x", "tokens", (9,), vocabulary=13)
SEQUENCE = ModalitySpec("x", "sequence", (9, 5))
LENGTHS = (9, 1, 4, 6)
MASK = torch.arange(9) < torch.tensor(LENGTHS)[:, None]
WIDTH, HIDDEN, HEADS = 8, 10, 2


def built(spec: ModalitySpec, **options: Any) -> Transformer:
    torch.manual_seed(0)
    return Transformer(spec, **{"width": WIDTH, "hidden": HIDDEN, "heads": HEADS} | options).eval()


def encoded(encoder: Transformer, x: Tensor, mask: Tensor | None = None) -> Encoded:
    with torch.no_grad():
        return encoder(x, mask, torch.ones(len(x), dtype=torch.bool))


def inputs(spec: ModalitySpec) -> Tensor:
    draw = torch.Generator().manual_seed(1)
    return torch.randint(1, 13, (4, 9), generator=draw) if spec is TOKENS else torch.randn(4, 9, 5, generator=draw)


@pytest.mark.parametrize("spec", [TOKENS, SEQUENCE], ids=["tokens", "sequence"])
@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
@pytest.mark.parametrize("training", [False, True])
def test_a_padded_sample_is_encoded_as_it_is_alone(spec: ModalitySpec, positions: str, training: bool) -> None:
    encoder, x = built(spec, positions=positions).train(training), inputs(spec)
    found = encoded(encoder, x, MASK)
    for row, length in enumerate(LENGTHS):
        alone = encoded(encoder, x[row : row + 1, :length])
        torch.testing.assert_close(found.pooled[row], alone.pooled[0])
        torch.testing.assert_close(found.tokens[row, :length], alone.tokens[0])
        torch.testing.assert_close(alone.pooled[0], alone.tokens[0].mean(0))
    assert not found.tokens[~MASK].any()


@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
def test_the_order_of_words_matters(positions: str) -> None:
    encoder, ids = built(TOKENS, positions=positions), torch.arange(1, 10)[None]
    assert not torch.allclose(encoded(encoder, ids).pooled, encoded(encoder, ids.flip(1)).pooled, atol=1e-4)


def normed(z: np.ndarray[Any, Any], weight: Any, bias: Any) -> Any:
    return (z - z.mean(-1, keepdims=True)) / np.sqrt(z.var(-1, keepdims=True) + 1e-5) * weight + bias


def test_one_layer_is_pre_norm_attention_by_hand() -> None:
    encoder, x = built(SEQUENCE, layers=1), inputs(SEQUENCE)[:1]
    w = {name: value.numpy().astype(np.float64) for name, value in encoder.state_dict().items()}
    wave = np.arange(9)[:, None] / 10_000 ** (np.arange(0, WIDTH, 2) / WIDTH)
    z = x[0].numpy() @ w["embed.weight"].T + w["embed.bias"]
    z[:, ::2] += np.sin(wave)
    z[:, 1::2] += np.cos(wave)
    layer = "layers.layers.0."
    n = normed(z, w[f"{layer}norm1.weight"], w[f"{layer}norm1.bias"])
    qkv = n @ w[f"{layer}self_attn.in_proj_weight"].T + w[f"{layer}self_attn.in_proj_bias"]
    query, key, value = (part.reshape(9, HEADS, -1).transpose(1, 0, 2) for part in np.split(qkv, 3, 1))
    share = softmax(query @ key.transpose(0, 2, 1) / math.sqrt(WIDTH / HEADS), 2)
    heard = (share @ value).transpose(1, 0, 2).reshape(9, WIDTH)
    z += heard @ w[f"{layer}self_attn.out_proj.weight"].T + w[f"{layer}self_attn.out_proj.bias"]
    n = normed(z, w[f"{layer}norm2.weight"], w[f"{layer}norm2.bias"])
    h = n @ w[f"{layer}linear1.weight"].T + w[f"{layer}linear1.bias"]
    z += (h * 0.5 * (1 + erf(h / math.sqrt(2)))) @ w[f"{layer}linear2.weight"].T + w[f"{layer}linear2.bias"]
    expected = normed(z, w["layers.norm.weight"], w["layers.norm.bias"])
    np.testing.assert_allclose(encoded(encoder, x).tokens[0].numpy(), expected, rtol=1e-4, atol=1e-5)


def test_layers_start_differently() -> None:
    first, second = built(TOKENS, layers=2).layers.layers
    assert not torch.equal(first.linear1.weight, second.linear1.weight)


def test_sinusoids_take_an_odd_width() -> None:
    assert torch.equal(sinusoids(4, 5), sinusoids(4, 5)[:, :5])
    assert sinusoids(4, 5).shape == (4, 5)
    torch.testing.assert_close(sinusoids(4, 5)[:, 0], torch.arange(4).sin())


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
def test_it_has_as_many_parameters_as_its_formula(layers: int, positions: str) -> None:
    d = WIDTH
    for spec, first in ((TOKENS, 13 * d), (SEQUENCE, 6 * d)):
        each = (4 * d + 4) * d + (2 * d + 1) * HIDDEN + d + 4 * d
        expected = first + layers * each + 2 * d + (9 * d if positions == "learned" else 0)
        assert sum(p.numel() for p in built(spec, layers=layers, positions=positions).parameters()) == expected


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(UserError, match="encoder 'transformer': width 8 is no multiple of heads 3"):
        built(TOKENS, heads=3)
