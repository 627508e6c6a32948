"""Recurrent encoders against torch's own, sample by sample and without padding."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalitySpec
from fusionbench.encoders.lstm import LSTM
from fusionbench.measure.size import count_flops

TOKENS = ModalitySpec("x", "tokens", (9,), vocabulary=13)
SEQUENCE = ModalitySpec("x", "sequence", (9, 5))
LENGTHS = (9, 1, 4, 6)
MASK = torch.arange(9) < torch.tensor(LENGTHS)[:, None]
WIDTH, HIDDEN, EMBED = 6, 7, 4
TORCH = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
FORMS = [(cell, both, layers) for cell in TORCH for both in (False, True) for layers in (1, 2)]


def built(spec: ModalitySpec, **options: Any) -> LSTM:
    torch.manual_seed(0)
    return LSTM(spec, **{"width": WIDTH, "hidden": HIDDEN, "embed": EMBED} | options).eval()


def encoded(encoder: LSTM, x: Tensor, mask: Tensor | None = None) -> Encoded:
    with torch.no_grad():
        return encoder(x, mask, torch.ones(len(x), dtype=torch.bool))


def twin(encoder: LSTM, cell: str, both: bool, layers: int) -> nn.RNN | nn.GRU | nn.LSTM:
    """Torch's network of the same weights."""
    made: nn.RNN | nn.GRU | nn.LSTM = TORCH[cell](5, HIDDEN, layers, batch_first=True, bidirectional=both)
    state = {}
    for end, parts in (("", encoder.forwards), ("_reverse", encoder.backwards)):
        for layer, part in enumerate(parts):
            for name, value in part.state_dict().items():
                state[name.replace("_l0", f"_l{layer}") + end] = value
    made.load_state_dict(state)
    return made


@pytest.mark.parametrize(("cell", "both", "layers"), FORMS)
@pytest.mark.parametrize("pool", ["max", "last"])
def test_each_sample_is_what_torch_gives_without_padding(cell: str, both: bool, layers: int, pool: str) -> None:
    encoder = built(SEQUENCE, cell=cell, bidirectional=both, layers=layers, pool=pool)
    x = torch.randn(4, 9, 5, generator=torch.Generator().manual_seed(1))
    found, other = encoded(encoder, x, MASK), twin(encoder, cell, both, layers)
    for row, length in enumerate(LENGTHS):
        with torch.no_grad():
            states, last = other(x[row : row + 1, :length])
            ends = (last[0] if cell == "lstm" else last)[-1 - both :, 0].flatten()  # torch's own last states
            expected = encoder.project(states[0].amax(0) if pool == "max" else ends)
            steps = encoder.project(states[0])
        torch.testing.assert_close(found.pooled[row], expected)
        torch.testing.assert_close(found.tokens[row, :length], steps)
    assert not found.tokens[~MASK].any()


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("pool", ["max", "last"])
def test_a_longer_padded_batch_gives_the_same_encoding(both: bool, pool: str) -> None:
    encoder = built(TOKENS, bidirectional=both, pool=pool)
    ids = torch.randint(1, 13, (4, 9), generator=torch.Generator().manual_seed(1)) * MASK
    expected = encoded(encoder, ids, MASK)
    longer = encoded(encoder, torch.cat([ids, ids.new_zeros(4, 50)], 1))
    torch.testing.assert_close(longer.pooled, expected.pooled)
    torch.testing.assert_close(longer.tokens[:, :9], expected.tokens)


def test_the_order_of_words_matters() -> None:
    encoder, ids = built(TOKENS), torch.arange(1, 10)[None]
    assert not torch.allclose(encoded(encoder, ids).pooled, encoded(encoder, ids.flip(1)).pooled, atol=1e-3)


@pytest.mark.parametrize(("cell", "both", "layers"), FORMS)
def test_it_has_as_many_parameters_as_its_formula(cell: str, both: bool, layers: int) -> None:
    g, d, h = GATES[cell], 1 + both, HIDDEN
    cells = (g * h + g * EMBED + 2 * g) * h * d + (layers - 1) * (g * h + g * d * h + 2 * g) * h * d
    encoder = built(TOKENS, cell=cell, bidirectional=both, layers=layers)
    assert sum(p.numel() for p in encoder.parameters()) == 13 * EMBED + cells + (d * h + 1) * WIDTH


def test_its_work_is_two_operations_for_each_weight_and_step() -> None:
    encoder = built(SEQUENCE, bidirectional=True)
    x = torch.zeros(1, 9, 5)
    steps = 9 * 2 * (2 * 4 * HIDDEN * (5 + HIDDEN) + 2 * HIDDEN * WIDTH)
    assert count_flops(lambda: encoded(encoder, x)) == steps + 2 * 2 * HIDDEN * WIDTH


@pytest.mark.parametrize("option", ["layers", "hidden", "embed"])
def test_a_size_of_zero_is_refused_by_name(option: str) -> None:
    with pytest.raises(UserError, match=f"encoder 'lstm': {option} is 0"):
        built(TOKENS, **{option: 0})


def test_tokens_without_a_vocabulary_are_refused() -> None:
    with pytest.raises(UserError, match="'x' is of kind tokens; its ModalitySpec must state a vocabulary"):
        built(ModalitySpec("x", "tokens", (9,)))
