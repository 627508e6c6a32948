"""The encoder of numbers and categories."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalitySpec
from fusionbench.encoders.mlp import MLP
from fusionbench.encoders.table import TableEncoder

SPEC = ModalitySpec("table", "vector", (2 + 3 + 4,), categories=(3, 4))


def test_a_category_is_the_row_of_its_embedding_beside_the_numbers() -> None:
    encoder = TableEncoder(SPEC, width=5, embed=2, depth=1)
    numbers, first, second = torch.randn(6, 2), torch.randint(3, (6,)), torch.randint(4, (6,))
    x = torch.cat([numbers, F.one_hot(first, 3).float(), F.one_hot(second, 4).float()], 1)
    here = torch.ones(6, dtype=torch.bool)
    read = torch.cat([numbers, encoder.embeddings[0](first), encoder.embeddings[1](second)], 1)
    expected = F.relu(F.linear(read, encoder.layers[0][0].weight, encoder.layers[0][0].bias))  # type: ignore[index]
    torch.testing.assert_close(encoder(x, None, here).pooled, expected)


def test_without_categories_it_is_an_mlp() -> None:
    spec = ModalitySpec("x", "vector", (5,))
    torch.manual_seed(0)
    table = TableEncoder(spec, width=4, depth=2)
    torch.manual_seed(0)
    mlp = MLP(spec, width=4, depth=2)
    x, here = torch.randn(3, 5), torch.ones(3, dtype=torch.bool)
    assert torch.equal(table(x, None, here).pooled, mlp(x, None, here).pooled)
    assert [stage.shape[1] for stage in table(x, None, here).stages] == [4, 4]


def test_a_size_below_one_is_told() -> None:
    with pytest.raises(UserError, match="encoder 'table': embed is 0"):
        TableEncoder(SPEC, embed=0)
