"""Recurrent network: a state carried from step to step, by gates that learn what to keep and what to forget.

    e_t = E[id_t]                      tokens (B, T) -> (B, T, E); of a sequence or audio the steps (B, T, F)
    h_t = cell(e_t, h_{t-1})           (B, T, H), for each layer; a second one from the last step to the first, side by
                                       side (B, T, 2*H), if bidirectional
    tokens = W h_t + b                 (B, T, D); steps = S > 0: of the means of S runs of neighbours, (B, S, D)
    pooled = W max_t h_t + b           (B, D), over real steps; pool = "last": each direction's state after its last one

Batches are padded, never packed: a packed sequence is several times slower on a CPU. Padding stands at the end, where
the forward direction meets it after all that counts; the backward direction reads each sample turned around within its
own length. So no state that is used has seen padding.

Parameters: V*E + ((g*H + g*(E or F) + 2*g) * H, then (g*H + g*d*H + 2*g) * H for each further layer) * d + (d*H+1)*D;
g = 4 for lstm, 3 for gru, 1 for rnn; d = 2 if bidirectional, else 1
Source: Hochreiter & Schmidhuber 1997, "Long Short-Term Memory", Neural Computation 9; the form is torch.nn.LSTM's.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.core.task import ModalitySpec
from fusionbench.encoders._steps import at_least_none, at_least_one, averaged, cleared, embedding, max_over, real_steps
from fusionbench.encoders.base import Encoder, Hidden

CELLS: dict[str, type[nn.RNN | nn.GRU | nn.LSTM]] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


class LSTM(Encoder):
    """`layers` of `cell`, `hidden` units in each direction, over ids or steps."""

    kinds, paper = ("tokens", "sequence", "audio"), "hochreiter1997long"
    later = {"steps": 0}

    def __init__(
        self,
        spec: ModalitySpec,
        dropout: float = 0.0,
        *,
        width: int = 128,
        cell: Literal["rnn", "gru", "lstm"] = "lstm",
        bidirectional: bool = True,
        layers: int = 1,
        hidden: int = 128,
        embed: int = 128,
        pool: Literal["max", "last"] = "max",
        steps: int = 0,
    ) -> None:
        super().__init__(spec, width)
        self.steps = at_least_none("lstm", steps)
        for option, value in {"layers": layers, "hidden": hidden, "embed": embed}.items():
            at_least_one("lstm", option, value)
        self.embed = embedding(spec, embed) if spec.kind == "tokens" else nn.Identity()
        directions = 1 + bidirectional
        sizes = [embed if spec.kind == "tokens" else spec.shape[-1], *[directions * hidden] * (layers - 1)]
        self.forwards = nn.ModuleList(CELLS[cell](size, hidden, batch_first=True) for size in sizes)
        self.backwards = nn.ModuleList(
            CELLS[cell](size, hidden, batch_first=True) for size in (sizes if bidirectional else ())
        )
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(directions * hidden, width)
        self.hidden, self.pool = hidden, pool
        self.stage_widths = (directions * hidden,) * layers

    def begin(self, x: Tensor, mask: Tensor | None, present: Tensor) -> Hidden:
        """Ids (B, T) or steps (B, T, F) -> (B, T, E)."""
        mask = real_steps(x, mask)
        place = torch.arange(mask.shape[1], device=x.device)
        length = ((place + 1) * mask).amax(1, keepdim=True)  # (B, 1): up to the last real step
        turned = torch.where(place < length, length - 1 - place, place)  # (B, T): the same steps from last to first
        return Hidden(self.embed(cleared(x, mask)), mask, present, (length, turned))

    def stage(self, number: int, hidden: Hidden) -> Hidden:
        """One layer, both directions: (B, T, d*H)."""
        _, turned = hidden.kept
        return replace(hidden, map=self._layer(number, self.dropout(hidden.map), turned))

    def finish(self, hidden: Hidden) -> Encoded:
        """(B, T, d*H) -> pooled (B, D), tokens (B, T or S, D)."""
        mask, (length, _) = hidden.mask, hidden.kept
        assert mask is not None
        steps = self.dropout(hidden.map)
        pooled = max_over(steps, mask) if self.pool == "max" else self._last(steps, length)
        left, mask = averaged(steps, mask, self.steps)  # Before the affine map: the same, and less to multiply.
        return Encoded(self.project(pooled), self.project(left) * mask[..., None], mask, hidden.present)

    def _layer(self, layer: int, steps: Tensor, turned: Tensor) -> Tensor:
        # torch has recurrences in bfloat16 only for processors that compute in it, and an error on the others.
        on_cpu = steps.device.type == "cpu"
        # Of a frozen layer (eval mode) cuDNN knows no gradient, which a fusion before the layer needs.
        frozen = not on_cpu and not self.training and steps.requires_grad
        off = torch.backends.cudnn.flags(enabled=False) if frozen else nullcontext()
        with torch.autocast("cpu", enabled=False) if on_cpu else off:
            steps = steps.to(self.project.weight.dtype) if on_cpu else steps
            ahead = self.forwards[layer](steps)[0]
            if not self.backwards:
                return ahead
            return torch.cat([ahead, _taken(self.backwards[layer](_taken(steps, turned))[0], turned)], -1)

    def _last(self, steps: Tensor, length: Tensor) -> Tensor:
        """(B, T, d*H) -> (B, d*H): forwards the state at the last real step, backwards that at the first."""
        ahead = _taken(steps[..., : self.hidden], (length - 1).clamp(min=0))[:, 0]
        there = (length > 0).to(steps.dtype)
        return torch.cat([ahead, steps[:, 0, self.hidden :]], -1) * there


def _taken(steps: Tensor, places: Tensor) -> Tensor:
    """The steps at these places of each sample: (B, T, X), int64 (B, S) -> (B, S, X)."""
    return steps.gather(1, places[..., None].expand(-1, -1, steps.shape[-1]))
