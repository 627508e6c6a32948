"""The bag encoder against scikit-learn's dictionaries of features and a matrix product."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.feature_extraction import DictVectorizer
from torch import Tensor

from fusionbench.core.batch import Encoded
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalitySpec
from fusionbench.encoders.bag import EXACT, Bag
from fusionbench.measure.size import count_flops

SPEC = ModalitySpec("x", "bag", (9, 2), vocabulary=13)
LENGTHS = (9, 1, 4, 6)
MASK = torch.arange(9) < torch.tensor(LENGTHS)[:, None]
WIDTH = 6


def built(**options: Any) -> Bag:
    torch.manual_seed(0)
    return Bag(SPEC, width=WIDTH, **options).eval()


def encoded(encoder: Bag, x: Tensor, mask: Tensor | None = None) -> Encoded:
    with torch.no_grad():
        return encoder(x, mask, torch.ones(len(x), dtype=torch.bool))


def inputs() -> Tensor:
    draw = torch.Generator().manual_seed(1)
    ids = torch.stack([torch.randperm(12, generator=draw)[:9] + 1 for _ in LENGTHS])
    return torch.stack([ids, torch.randn(4, 9, generator=draw)], -1)


@pytest.mark.parametrize("pool", ["sum", "mean"])
def test_it_is_a_product_of_the_weights_and_a_matrix(pool: str) -> None:
    encoder, x = built(pool=pool), inputs()
    rows = [{int(i): float(w) for i, w in sample[:n]} for sample, n in zip(x.tolist(), LENGTHS, strict=True)]
    vectorizer = DictVectorizer(sparse=False)
    counts = vectorizer.fit_transform([{str(i): w for i, w in row.items()} for row in rows])
    matrix = encoder.embed.weight.detach().numpy()[[int(name) for name in vectorizer.feature_names_]]
    expected = counts @ matrix
    if pool == "mean":
        expected /= np.abs(counts).sum(1, keepdims=True)
    found = encoded(encoder, x, MASK)
    np.testing.assert_allclose(found.pooled.numpy(), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.tokens.sum(1).numpy(), counts @ matrix, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("pool", ["sum", "mean"])
def test_the_order_of_a_bag_does_not_matter(pool: str) -> None:
    encoder, x, order = built(pool=pool), inputs(), torch.randperm(9, generator=torch.Generator().manual_seed(2))
    found = encoded(encoder, x[:, order], MASK[:, order])
    torch.testing.assert_close(found.pooled, encoded(encoder, x, MASK).pooled)
    torch.testing.assert_close(found.tokens, encoded(encoder, x, MASK).tokens[:, order])


@pytest.mark.parametrize("pool", ["sum", "mean"])
def test_the_vector_of_the_padding_never_learns(pool: str) -> None:
    encoder, x = built(pool=pool).train(), inputs()
    x[:, 5:, 0] = 0
    one = encoder(x, None, torch.ones(4, dtype=torch.bool))
    (one.pooled.square().sum() + one.tokens.square().sum()).backward()
    assert encoder.embed.weight.grad is not None
    assert not encoder.embed.weight.grad[0].any()
    assert not encoder.embed.weight[0].any()
    used = sorted({int(i) for i in x[:, :5, 0].flatten()})
    assert encoder.embed.weight.grad.abs().sum(1).nonzero().flatten().tolist() == used


def test_it_has_a_vector_for_each_id_and_two_operations_for_each_entry_of_one() -> None:
    encoder = built()
    assert sum(p.numel() for p in encoder.parameters()) == 13 * WIDTH
    assert count_flops(lambda: encoded(encoder, inputs())) == 4 * 2 * 9 * WIDTH


def test_more_ids_than_float32_can_count_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert torch.tensor(float(EXACT)) - 1 == EXACT - 1
    assert torch.tensor(float(EXACT)) + 1 == EXACT
    monkeypatch.setattr("fusionbench.encoders.bag.EXACT", 12)
    with pytest.raises(UserError, match="encoder 'bag': 'x' has 13 ids"):
        built()
