"""Transformer: each step looks at all steps of its sample by attention, layer by layer.

    z_0 = E[id] + position             tokens (B, T) -> (B, T, D); a sequence or audio: W x + b in place of E[id]
    z   = z + attention(LN(z));   z = z + W_2 GELU(W_1 LN(z))       for each layer; norm before, not after
    tokens = LN(z)                     (B, T, D); steps = S > 0: the means of S runs of neighbours, (B, S, D)
    pooled = mean of LN(z)             (B, D), over real steps

Steps that are not real are never attended to, so a sample's encoding does not depend on how far its batch is padded.
Positions are sines and cosines of the step's number (no parameters, any length), or learned, one vector for each of the
T steps that the dataset's longest sample has.

Parameters: V*D (a sequence: (F+1)*D) + layers*((4*D+4)*D + (2*D+1)*hidden + D + 4*D) + 2*D, and T*D if learned
Source: Vaswani et al. 2017, "Attention Is All You Need", arXiv:1706.03762; the norm before each part is the form that
trains without a long warm-up.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalitySpec
from fusionbench.encoders._steps import at_least_none, at_least_one, averaged, cleared, embedding, mean_over, real_steps
from fusionbench.encoders.base import Encoder, Hidden

SLOWEST = 10_000.0
"""Steps in the longest wave of the positions, over 2 pi."""


class Transformer(Encoder):
    """`layers` of pre-norm self-attention over ids or steps."""

    kinds, paper = ("tokens", "sequence", "audio"), "vaswani2017attention"
    later = {"steps": 0}

    def __init__(
        self,
        spec: ModalitySpec,
        dropout: float = 0.0,
        *,
        width: int = 128,
        layers: int = 2,
        heads: int = 4,
        hidden: int = 256,
        positions: Literal["sinusoidal", "learned"] = "sinusoidal",
        steps: int = 0,
    ) -> None:
        super().__init__(spec, width)
        self.steps = at_least_none("transformer", steps)
        for option, value in {"layers": layers, "heads": heads, "hidden": hidden}.items():
            at_least_one("transformer", option, value)
        if width % heads:
            raise UserError(f"encoder 'transformer': width {width} is no multiple of heads {heads}; change one of them")
        self.embed = embedding(spec, width) if spec.kind == "tokens" else nn.Linear(spec.shape[-1], width)
        self.positions = nn.Parameter(0.02 * torch.randn(spec.shape[0], width)) if positions == "learned" else None
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(
            width, heads, hidden, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.stage_widths = (width,) * layers
        for parameter in self.layers.parameters():
            if parameter.dim() > 1:  # The layers are copies of one: without this all would start alike.
                nn.init.xavier_uniform_(parameter)

    def begin(self, x: Tensor, mask: Tensor | None, present: Tensor) -> Hidden:
        """Ids (B, T) or steps (B, T, F) -> (B, T, D), with positions."""
        mask = real_steps(x, mask)
        steps = self.embed(cleared(x, mask))
        if self.positions is not None:
            place = self.positions[: mask.shape[1]]
        else:
            place = sinusoids(mask.shape[1], self.width, x.device)
        # A softmax over nothing is NaN: where no step is real all are let in, and the result is dropped at the end.
        unseen = ~(mask | ~mask.any(1, keepdim=True))  # (B, T)
        return Hidden(self.dropout(steps + place), mask, present, unseen)

    def stage(self, number: int, hidden: Hidden) -> Hidden:
        """One layer, before the last norm: (B, T, D)."""
        return replace(hidden, map=self.layers.layers[number](hidden.map, src_key_padding_mask=hidden.kept))

    def finish(self, hidden: Hidden) -> Encoded:
        """(B, T, D) -> pooled (B, D), tokens (B, T or S, D)."""
        assert self.layers.norm is not None
        assert hidden.mask is not None
        tokens = cleared(self.layers.norm(hidden.map), hidden.mask)
        return Encoded(mean_over(tokens, hidden.mask), *averaged(tokens, hidden.mask, self.steps), hidden.present)


def sinusoids(steps: int, width: int, device: torch.device | None = None) -> Tensor:
    """Positions (T, D): sines in even columns, cosines in odd ones, of waves from 2*pi to 10000 * 2*pi steps."""
    pairs = torch.arange(0, width, 2, device=device) / width
    angle = torch.arange(steps, device=device)[:, None] * torch.exp(-math.log(SLOWEST) * pairs)  # (T, D/2)
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)[:, :width]
