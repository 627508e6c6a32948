"""Encoders, all of the folder: shapes, masks, and that no sample's encoding depends on another."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from fusionbench.core.catalogue import load, names
from fusionbench.core.errors import UserError
from fusionbench.encoders.linear import Linear
from fusionbench.encoders.mlp import MLP
from fusionbench.encoders.small_cnn import SmallCNN
from fusionbench.measure.size import count_flops
from fusionbench.testing.encoders import (
    SMALL,
    SPECS,
    WIDTH,
    WITH_STEPS,
    built,
    check_batch_mates,
    check_bfloat16,
    check_gradients,
    check_no_real_step,
    check_padding,
    check_padding_id,
    check_shapes,
    encoded,
    kinds_of,
    samples,
)

PAIRS = [(name, kind) for name in names("encoder") for kind in kinds_of(name) if kind in SPECS]


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_an_encoding_has_the_shapes_that_fusion_expects(name: str, kind: str) -> None:
    check_shapes(built(name, kind), kind)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_an_encoding_does_not_depend_on_batch_mates_even_in_training(name: str, kind: str) -> None:
    check_batch_mates(built(name, kind), kind)


@pytest.mark.parametrize(("name", "kind"), [pair for pair in PAIRS if pair[1] in WITH_STEPS])
@pytest.mark.parametrize("garbage", [1e6, torch.nan])
def test_padding_is_never_read(name: str, kind: str, garbage: float) -> None:
    check_padding(built(name, kind), kind, garbage)


@pytest.mark.parametrize(("name", "kind"), [pair for pair in PAIRS if pair[1] in WITH_STEPS])
def test_a_sample_without_any_real_step_is_encoded_as_finite_numbers(name: str, kind: str) -> None:
    check_no_real_step(built(name, kind), kind)


@pytest.mark.parametrize(("name", "kind"), [pair for pair in PAIRS if pair[1] in ("tokens", "bag")])
def test_the_id_0_is_padding_even_where_no_mask_says_so(name: str, kind: str) -> None:
    check_padding_id(built(name, kind), kind)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_bfloat16_autocast_stays_close(name: str, kind: str) -> None:
    check_bfloat16(built(name, kind), kind)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_every_parameter_of_an_encoder_gets_a_gradient(name: str, kind: str) -> None:
    encoder = built(name, kind)
    check_gradients(encoder, kind)
    assert all(parameter.requires_grad for parameter in encoder.parameters())


def test_mlp_takes_the_mean_over_real_steps() -> None:
    encoder = built("mlp", "sequence", {"depth": 2})
    assert isinstance(encoder, MLP)
    x, lengths = samples("sequence"), [7, 1, 3, 5]
    mask = torch.arange(7) < torch.tensor(lengths)[:, None]
    matrices = [p.detach().numpy().astype(np.float64) for p in encoder.parameters()]
    rows = []
    for sample, length in zip(x.numpy().astype(np.float64), lengths, strict=True):
        h = sample[:length]
        for weight, bias in zip(matrices[::2], matrices[1::2], strict=True):
            h = np.maximum(h @ weight.T + bias, 0)
        rows.append(h.mean(0))
    np.testing.assert_allclose(encoded(encoder, x, mask).pooled.numpy(), np.stack(rows), rtol=1e-5, atol=1e-6)


def test_linear_is_the_affine_map_it_says() -> None:
    encoder, x = built("linear", "vector"), samples("vector")
    assert isinstance(encoder, Linear)
    weight, bias = (p.detach().numpy() for p in encoder.project.parameters())
    np.testing.assert_allclose(encoded(encoder, x).pooled.numpy(), x.numpy() @ weight.T + bias, rtol=1e-5, atol=1e-6)


def test_small_cnn_is_convolutions_group_norm_and_max_by_hand() -> None:
    encoder = built("small_cnn", "image", {"channels": (4,), "groups": 2})
    assert isinstance(encoder, SmallCNN)
    x = samples("image")
    kernel = next(encoder.convolutions.parameters()).detach().numpy()
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)))
    maps = np.zeros((4, 4, 8, 6))
    for i, j in product(range(8), range(6)):
        maps[:, :, i, j] = np.einsum("bcij,ocij->bo", padded[:, :, i : i + 3, j : j + 3], kernel)
    groups = maps.reshape(4, 2, -1)
    normed = (groups - groups.mean(2, keepdims=True)) / np.sqrt(groups.var(2, keepdims=True) + 1e-5)
    pooled = np.maximum(normed.reshape(maps.shape), 0).reshape(4, 4, 4, 2, 3, 2).max((3, 5))
    weight, bias = (p.detach().numpy() for p in encoder.project.parameters())
    one = encoded(encoder, x)
    np.testing.assert_allclose(one.stages[0].numpy(), pooled, rtol=1e-4, atol=1e-5)
    steps = pooled.reshape(4, 4, 12).transpose(0, 2, 1)
    for found, read in ((one.pooled, steps.max(1)), (one.tokens, steps)):
        centred = read - read.mean(-1, keepdims=True)
        normed = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        np.testing.assert_allclose(found.numpy(), normed @ weight.T + bias, rtol=1e-4, atol=1e-5)


def test_small_cnn_halves_a_map_only_while_it_is_large_enough() -> None:
    stages = encoded(built("small_cnn", "image", {"channels": (4, 4, 4)}), samples("image")).stages
    assert [tuple(stage.shape[2:]) for stage in stages] == [(4, 3), (4, 3), (4, 3)]


def test_flops_of_the_mlp_are_two_for_each_weight() -> None:
    encoder, x = built("mlp", "vector", {"depth": 2}), samples("vector")
    assert count_flops(lambda: encoded(encoder, x)) == 4 * 2 * (5 * WIDTH + WIDTH * WIDTH)


def test_dropout_acts_in_training_and_never_in_eval() -> None:
    for name, kind in PAIRS:  # At 0.9, nothing was left of what a ReLU had left, twice in thirty runs.
        encoder = load("encoder", name)(SPECS[kind], 0.5, width=WIDTH, **SMALL.get(name, {}))
        x = samples(kind)
        assert not torch.equal(encoded(encoder.train(), x).pooled, encoded(encoder, x).pooled)
        assert torch.equal(encoded(encoder.eval(), x).pooled, encoded(encoder, x).pooled)


def test_a_kind_that_an_encoder_cannot_read_is_refused_by_name() -> None:
    with pytest.raises(UserError, match="encoder 'small_cnn' reads image; 'x' is of kind vector"):
        load("encoder", "small_cnn")(SPECS["vector"], width=WIDTH)
