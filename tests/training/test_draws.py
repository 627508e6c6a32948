"""Random draws shared out among devices: side by side they are those of one process, and leave the generator alike."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.core.ranks import Ranks
from fusionbench.training.draws import SharedDraws

B = 8
X = torch.arange(1.0, 1 + B * 6 * 4).reshape(B, 6, 4)
"""(B, T, D), no value twice."""
Draw = Callable[[Tensor], Tensor]


class Layers(nn.Module):
    """What has dropout within itself."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.attention = nn.MultiheadAttention(4, 2, dropout=0.5, batch_first=True)
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.5, batch_first=True)


LAYERS = Layers()
BY_SAMPLE: dict[str, Draw] = {
    "dropout": lambda x: F.dropout(x, 0.5),
    "dropout in place": lambda x: F.dropout(x * 1, 0.5, inplace=True),
    "torch.dropout": lambda x: torch.dropout(x, 0.5, True),
    "of a transposed tensor": lambda x: F.dropout(x.transpose(1, 2) * 2, 0.5),
    "of steps that lie outermost": lambda x: F.dropout(x.transpose(0, 1).contiguous().transpose(0, 1) * 2, 0.5),
    "of channels that lie last": lambda x: F.dropout(
        x[..., None].expand(-1, -1, -1, 3).contiguous(memory_format=torch.channels_last), 0.5
    ),
    "of a batch laid flat": lambda x: F.dropout(x.flatten(0, 1), 0.5).view(-1, 6, 4),
    "dropout1d": lambda x: F.dropout1d(x, 0.5),
    "alpha_dropout": lambda x: F.alpha_dropout(x, 0.5, True),
    "feature_alpha_dropout": lambda x: F.feature_alpha_dropout(x, 0.5, True),
    "rand": lambda x: torch.rand(len(x), 3),
    "randn": lambda x: torch.randn(len(x)),
    "randint": lambda x: torch.randint(0, 100, (len(x), 2)),
    "rand_like": torch.rand_like,
    "randn_like": torch.randn_like,
    "normal_": lambda x: x.clone().normal_(),
    "bernoulli of chances": lambda x: torch.bernoulli(x / 200),
    "normal around values": lambda x: torch.normal(x, torch.ones_like(x)),
    "gumbel_softmax": lambda x: F.gumbel_softmax(x[:, 0]),
    "attention": lambda x: F.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None], dropout_p=0.5),
    "MultiheadAttention": lambda x: LAYERS.attention(x, x, x, need_weights=False)[0],
    "MultiheadAttention with weights": lambda x: LAYERS.attention(x, x, x)[0],
    "TransformerEncoderLayer": LAYERS.layer,
}


def shared(draw: Draw, of: int) -> tuple[list[Tensor], list[Tensor]]:
    """By rank, what it draws for its part of X, and what its generator gives next."""
    found, following = [], []
    for rank in range(of):
        ranks = Ranks(rank, of)
        torch.manual_seed(7)
        with SharedDraws(ranks, B // of):
            found.append(draw(X[ranks.span(B)]))
        following.append(torch.rand(3))
    return found, following


@pytest.mark.parametrize("of", [2, 4])
@pytest.mark.parametrize("name", BY_SAMPLE)
def test_what_is_drawn_by_sample_is_what_one_process_draws(name: str, of: int) -> None:
    torch.manual_seed(7)
    whole, then = BY_SAMPLE[name](X), torch.rand(3)
    found, following = shared(BY_SAMPLE[name], of)
    torch.testing.assert_close(torch.cat(found), whole)
    assert all(torch.equal(after, then) for after in following)


def test_what_is_drawn_once_for_all_samples_is_the_same_everywhere() -> None:
    torch.manual_seed(7)
    whole = torch.rand(3)
    assert all(torch.equal(part, whole) for part in shared(lambda _: torch.rand(3), 2)[0])


def test_gradients_go_through_the_same_mask() -> None:
    def gradient(x: Tensor) -> Tensor:
        leaf = x.clone().requires_grad_()
        (found,) = torch.autograd.grad((F.dropout(leaf, 0.5) ** 2).sum(), leaf)
        return found

    torch.manual_seed(7)
    assert torch.equal(torch.cat(shared(gradient, 2)[0]), (torch.manual_seed(7), gradient(X))[1])


def test_attention_without_dropout_is_let_through_as_it_is() -> None:
    def attention(x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None])

    assert torch.equal(torch.cat(shared(attention, 2)[0]), attention(X))


def test_dropout_in_a_fused_kernel_is_refused_with_the_way_out() -> None:
    from fusionbench.training.draws import _refuse_dropout

    kernel = torch.ops.aten._scaled_dot_product_efficient_attention.default
    arguments = (X, X, X, None, False)
    _refuse_dropout(kernel, arguments, {})
    with pytest.raises(RuntimeError, match=r"SDPBackend\.MATH"):
        _refuse_dropout(kernel, (*arguments, 0.1), {})
