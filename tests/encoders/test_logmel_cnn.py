"""The network over spectrograms, against its formula in numpy."""

from __future__ import annotations

from itertools import product

import numpy as np
import torch

from fusionbench.core.task import ModalitySpec
from fusionbench.encoders.logmel_cnn import LogMelCNN

SPEC = ModalitySpec("x", "audio", (9, 8))


def built(**options: tuple[int, ...] | int) -> LogMelCNN:
    torch.manual_seed(0)
    return LogMelCNN(SPEC, width=6, **options).eval()  # type: ignore[arg-type]


def samples(size: int = 3) -> torch.Tensor:
    return torch.randn(size, *SPEC.shape, generator=torch.Generator().manual_seed(1))


def test_it_is_convolutions_group_norm_and_max_over_bands_then_moments() -> None:
    encoder, x = built(channels=(4,), groups=2), samples()
    kernel = next(encoder.convolutions.parameters()).detach().numpy()[:, 0]
    padded = np.pad(x.numpy(), ((0, 0), (1, 1), (1, 1)))
    maps = np.zeros((3, 4, 9, 8))
    for i, j in product(range(9), range(8)):
        maps[:, :, i, j] = np.einsum("bij,oij->bo", padded[:, i : i + 3, j : j + 3], kernel)
    groups = maps.reshape(3, 2, -1)
    normed = (groups - groups.mean(2, keepdims=True)) / np.sqrt(groups.var(2, keepdims=True) + 1e-5)
    halved = np.maximum(normed.reshape(maps.shape), 0)[:, :, :8].reshape(3, 4, 4, 2, 4, 2).max((3, 5))
    moments = halved.max(3).transpose(0, 2, 1)  # (B, C, T, F) -> (B, T, C)
    weight, bias = (p.detach().numpy() for p in encoder.project.parameters())
    with torch.no_grad():
        one = encoder(x, None, torch.ones(3, dtype=torch.bool))
    np.testing.assert_allclose(one.stages[0].numpy(), halved, rtol=1e-4, atol=1e-5)
    for found, read in ((one.pooled, moments.max(1)), (one.tokens, moments)):
        centred = read - read.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        np.testing.assert_allclose(found.numpy(), scaled @ weight.T + bias, rtol=1e-4, atol=1e-5)


def test_its_parameters_are_as_its_formula_says() -> None:
    c, d = (3, 5, 7), 6
    expected = 9 * (c[0] + c[0] * c[1] + c[1] * c[2]) + 2 * sum(c) + (c[2] + 1) * d
    assert sum(p.numel() for p in built(channels=c).parameters()) == expected


def test_a_spectrogram_of_one_moment_and_one_band_is_encoded() -> None:
    encoder = LogMelCNN(ModalitySpec("x", "audio", (1, 1)), width=6)
    one = encoder(torch.randn(2, 1, 1), None, torch.ones(2, dtype=torch.bool))
    assert one.tokens.shape == (2, 1, 6)
    assert one.pooled.isfinite().all()
