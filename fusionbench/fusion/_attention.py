"""Attention, and the Transformer layers that are made of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.fusion.blocks import small_normal


class CrossAttention(nn.Module):
    """One sequence asks, another answers: multi-head attention, softmax(Q K' / sqrt(D/heads)) V.

    (4*D+2)*D parameters; 4*D*D*(T + S) + 4*T*S*D FLOPs for T asking and S answering steps.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        # No biases here: one of the keys cancels in the softmax, one of the values is a bias of the output.
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, asking: Tensor, answering: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D), (B, S, D), bool (B, S) for real answering steps -> (B, T, D); zeros where none is real."""
        query = self.query(asking).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, T, D/heads)
        both = self.key_value(answering).unflatten(-1, (2, self.heads, -1))  # (B, S, 2, heads, D/heads)
        key, value = both.permute(2, 0, 3, 1, 4).unbind(0)
        anyone = mask.any(1)[:, None]  # (B, 1)
        # A softmax over nothing is NaN: where no step is real all are let in, and the result is dropped below.
        let_in = (mask | ~anyone)[:, None, None]  # (B, 1, 1, S)
        heard = F.scaled_dot_product_attention(query, key, value, attn_mask=let_in)
        return self.out(heard.transpose(1, 2).flatten(2)) * anyone[..., None]


def with_steps(mask: Tensor, before: int = 0, after: int = 0) -> Tensor:
    """A mask that lets in more steps, which every row has: bool (B, T) -> (B, before+T+after)."""
    # Joined, not padded: what torch.compile writes for a padded mask, some compilers refuse (two types of mask).
    always = mask.new_ones(())
    sides = (always.expand(mask.shape[0], before), mask, always.expand(mask.shape[0], after))
    return torch.cat(sides, 1)


def idle_with_one_step(module: nn.Module) -> int:
    """How many parameters choose among steps in all attention of a module: those of queries and keys."""
    blocks = [part for part in module.modules() if isinstance(part, CrossAttention)]
    return sum(sum(p.numel() for p in one.query.parameters()) + one.key_value.weight.numel() // 2 for one in blocks)


class FeedForward(nn.Module):
    """z + W_2 GELU(W_1 LN(z)), step by step: (2*hidden+3)*D + hidden parameters, 4*hidden*D FLOPs a step.

    `gelu` is "tanh" where the authors' library approximates it by one, `eps` what their LayerNorm adds to a variance.
    """

    def __init__(self, width: int, hidden: int, dropout: float, gelu: str = "none", eps: float = 1e-5) -> None:
        super().__init__()
        self.norm, self.gelu = nn.LayerNorm(width, eps), gelu
        self.expand, self.contract = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, z: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        hidden = F.gelu(self.expand(self.norm(z)), approximate=self.gelu)
        return z + self.dropout(self.contract(self.dropout(hidden)))


class TransformerBlock(nn.Module):
    """z + attention(LN(z)), then a feed-forward network; norm before, not after.

    (4*D+4)*D + (2*hidden+3)*D + hidden parameters, hidden = widening*D; with widening 4, (12*D+11)*D.
    """

    def __init__(
        self, width: int, heads: int, dropout: float, widening: int = 4, gelu: str = "none", eps: float = 1e-5
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps)
        self.attention = CrossAttention(width, heads)
        self.forward_part = FeedForward(width, widening * width, dropout, gelu, eps)
        self.dropout = nn.Dropout(dropout)

    def forward(self, z: Tensor, mask: Tensor, first: int | None = None) -> Tensor:
        """Steps z (B, T, D), mask bool (B, T) for real ones -> (B, T, D), or (B, first, D): only so many are wanted."""
        steps = self.norm(z)
        heard = self.attention(steps[:, :first], steps, mask)
        return self.forward_part(z[:, :first] + self.dropout(heard))


class ClassToken(nn.Module):
    """A learned token before the steps, a Transformer over all, and what the token has become.

    layers*(12*D+11)*D + 3*D parameters. The last layer is computed for the token alone, so over N = T+1 steps it is
    (layers-1)*(24*N*D*D + 4*N*N*D) + (4*N+20)*D*D + 4*N*D FLOPs.
    """

    def __init__(self, width: int, heads: int, layers: int, dropout: float, eps: float = 1e-5) -> None:
        super().__init__()
        self.token = small_normal(1, 1, width)
        self.blocks = nn.ModuleList(TransformerBlock(width, heads, dropout, eps=eps) for _ in range(layers))
        self.norm = nn.LayerNorm(width, eps)

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """Steps (B, T, D), mask bool (B, T) -> (B, D)."""
        z = torch.cat([self.token.expand(steps.shape[0], -1, -1), steps], 1)
        mask = with_steps(mask, before=1)  # The token itself is always there.
        last = len(self.blocks) - 1
        for layer, block in enumerate(self.blocks):
            z = block(z, mask, 1 if layer == last else None)
        return self.norm(z[:, 0])
