"""Interleave: the steps of all modalities in one row, ordered by when they come, read by one recurrent network.

    u_mt = (t - 1/2) / T_m                        when step t of T_m real ones comes, in (0, 1)
    v    = sort_u(x_mt + e_m)                     all real steps, ordered by u; e_m says whose step it is, (B, S, D)
    s_i  = GRU(v_i, s_{i-1})                      (B, S, H)
    y    = MLP(LN(max_i s_i))                     logits, over the S real steps, (B, H) -> (B, C)

Of steps that come at the same time, the earlier modality's is first. A vector is one step and stands in the middle;
pictures come row by row, a bag in the order in which it is stored. An absent modality has no steps. Where each has one,
they come in the task's order, nothing is interleaved, and a note in the row says so.

Parameters: M*D + 3*hidden*(D+hidden+2) + (hidden+1)*W + (W+1)*C
FLOPs: 2*(M*T*3*hidden*(D+hidden) + hidden*W + W*C)
Source: none; ours. The cell is torch.nn.GRU's.
Use: with events of several kinds on one clock.
"""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.fusion._stages import one_step_each
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, mlp_head


class InterleaveFusion(FusionModule):
    """One GRU over all modalities' steps in the order of their relative times, then an MLP on the largest states."""

    display = "Interleaved GRU"
    family = "sequential"
    stage, flow, interaction, fidelity = "token", "sequential", "full", "inspired"
    departure = "no paper: relative time in place of clock time, which our datasets do not have"
    own_width = "hidden"
    tunable = {"hidden": (32, 512, "log")}

    def __init__(self, setting: Setting, *, hidden: int = 128) -> None:
        at_least("interleave", "hidden", hidden, 1)
        super().__init__(setting)
        self.marks = nn.Parameter(0.02 * torch.randn(len(setting.task.names), setting.width))
        self.gru = nn.GRU(setting.width, hidden, batch_first=True)
        self.head = mlp_head(hidden, setting)

    @classmethod
    def unsuitable(cls, setting: Setting) -> str:
        """One modality alone leaves nothing to interleave."""
        return "" if len(setting.task.names) > 1 else "needs at least two modalities"

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """Tokens (B, T_m, D) of each -> one row (B, S, D) -> states (B, S, H) -> (B, C)."""
        marked = [one.tokens + mark for one, mark in zip(encoded.values(), self.marks, strict=True)]
        masks = [one.mask for one in encoded.values()]
        row, real = interleaved(torch.cat(marked, 1), torch.cat([moments(mask) for mask in masks], 1))
        states = self.states(row).masked_fill(~real[..., None], -torch.inf).amax(1)  # (B, S, H) -> (B, H)
        return Prediction(self.head(states.masked_fill(~real.any(1, keepdim=True), 0.0)))

    def notes(self) -> tuple[str, ...]:
        """That there is no time to order by, where each modality has one step."""
        if not one_step_each(self.task, self.encoders):
            return ()
        return ("every modality has one step: they come in the task's order, nothing is interleaved",)

    def states(self, row: Tensor) -> Tensor:
        """(B, S, D) -> (B, S, H)."""
        if torch.compiler.is_exporting():  # There nn.GRU warns of its own list of weights; this is all that it calls.
            start = row.new_zeros(1, row.shape[0], self.gru.hidden_size)
            return torch.gru(row, start, tuple(self.gru.all_weights[0]), True, 1, 0.0, self.training, False, True)[0]
        # torch has recurrences in bfloat16 only for processors that compute in it, and an error on the others.
        on_cpu = row.device.type == "cpu"
        with torch.autocast("cpu", enabled=False) if on_cpu else nullcontext():
            states: Tensor = self.gru(row.to(self.marks.dtype) if on_cpu else row)[0]
        return states


def moments(mask: Tensor) -> Tensor:
    """When each real step comes, as a fraction of them all; infinity for the others: bool (B, T) -> (B, T)."""
    place = mask.cumsum(1) - 0.5
    return (place / mask.sum(1, keepdim=True).clamp(min=1)).masked_fill(~mask, torch.inf)


def interleaved(steps: Tensor, when: Tensor) -> tuple[Tensor, Tensor]:
    """The steps in order and which of them are real, all padding last: (B, S, D), (B, S) -> (B, S, D), bool (B, S)."""
    when, order = when.sort(dim=1, stable=True)
    return steps.gather(1, order[..., None].expand_as(steps)), when.isfinite()
