"""Memory: an LSTM for each modality, and a shared memory that watches what changes in all of them at once.

    x_mk      = mean of the real steps of m in the k-th part of its length       K = `steps` common ones, (B, K, D)
    h, c      = LSTM_m(x_mk, h, c)                                               of each modality, (B, H)
    d_k       = [c_{k-1}; c_k] of all modalities                                 (B, 2*M*H)
    v_k       = softmax(A(d_k)) * d_k                                            delta-memory attention, (B, 2*M*H)
    r, w      = sigmoid(R([v_k; u_{k-1}])), sigmoid(Z([v_k; u_{k-1}]))           retain and write, (B, U), U = `memory`
    u_k       = r * u_{k-1} + w * tanh(P(v_k))                                   from 0, (B, U)
    y         = MLP([LN(h) of each modality; LN(u)] after step K)                logits, (B, M*H + U) -> (B, C)

A, P, R, Z are MLPs with one hidden layer of `inner` units and dropout. Parts are as those of adaptive average pooling,
from each sample's own length: a vector is the same at every step (a note in the row says so where all are vectors),
pictures come row by row, a bag in the order in which it is stored. An absent modality's LSTM stays at zero and its
memory gets no attention.

Parameters: M*4*hidden*(D+hidden+2) + (2*M*hidden+1)*inner + (inner+1)*2*M*hidden + (2*M*hidden+1)*inner
    + 2*(2*M*hidden+memory+1)*inner + 3*(inner+1)*memory + (M*hidden+memory+1)*W + (W+1)*C
FLOPs: 2*(steps*(M*T*D + M*4*hidden*(D+hidden) + inner*(10*M*hidden + 5*memory)) + (M*hidden+memory)*W + W*C)
Source: Zadeh et al. 2018, "Memory Fusion Network for Multi-view Sequential Learning", arXiv:1802.00927; the gates see
the memory, and attention looks back one step, as in the authors' code, pliang279/MFN, test_mosi.py, which draws each
network's dropout from 0, .2, .5 and .7; ours is none.
Use: with sequences that run at one pace, where what changes in several at once is the signal.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.fusion._stages import one_step_each
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, below_one, mlp_head


class MemoryFusion(FusionModule):
    """Memory fusion network (MFN) over a common number of steps, then an MLP."""

    display = "MFN"
    family = "sequential"
    paper, stage, flow, interaction, fidelity = "zadeh2018memory", "token", "sequential", "full", "adapted"
    tunable = {"hidden": (16, 256, "log"), "memory": (32, 512, "log")}
    departure = (
        "on the encoders' steps, averaged to a common number of parts in place of the paper's alignment to words; one "
        "hidden width for all inner networks, softmax over the modalities that are there"
    )
    own_width = "memory"

    def __init__(
        self,
        setting: Setting,
        *,
        steps: int = 8,
        hidden: int = 64,
        memory: int = 128,
        inner: int = 64,
        dropout: float = 0.0,
    ) -> None:
        at_least("memory", "steps", steps, 2)  # With one there is no memory to retain.
        for option, value in {"hidden": hidden, "memory": memory, "inner": inner}.items():
            at_least("memory", option, value, 1)
        below_one("memory", "dropout", dropout)
        super().__init__(setting)
        count = len(setting.task.names)
        watched = 2 * count * hidden
        self.steps, self.hidden, self.memory = steps, hidden, memory
        self.cells = nn.ModuleList(nn.LSTMCell(setting.width, hidden) for _ in range(count))
        self.attention = _mlp(watched, inner, watched, dropout)
        self.proposal = _mlp(watched, inner, memory, dropout)
        self.retain = _mlp(watched + memory, inner, memory, dropout)
        self.write = _mlp(watched + memory, inner, memory, dropout)
        self.head = mlp_head([*[hidden] * count, memory], setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """Tokens (B, T_m, D) of each -> outputs (B, M*H) and memory (B, U) -> (B, C)."""
        ran = [self.run(cell, one) for cell, one in zip(self.cells, encoded.values(), strict=True)]
        outputs, cells = torch.cat([h for h, _ in ran], -1), torch.cat([c for _, c in ran], -1)  # c: (B, K+1, M*H)
        here = torch.stack([one.present for one in encoded.values()], 1)  # (B, M)
        memory = self.watched(cells, here.repeat_interleave(self.hidden, 1))
        return Prediction(self.head(torch.cat([outputs, memory], 1)))

    def notes(self) -> tuple[str, ...]:
        """That nothing changes over the steps, where each modality has one."""
        if not one_step_each(self.task, self.encoders):
            return ()
        return (f"every modality has one step: its vector is the same at all {self.steps} steps",)

    def run(self, cell: nn.Module, one: Encoded) -> tuple[Tensor, Tensor]:
        """One modality by itself: its last output (B, H), and its memory before and after each step (B, K+1, H)."""
        h = c = one.tokens.new_zeros(one.tokens.shape[0], self.hidden)
        memories, here = [c], one.present[:, None]
        for step in aligned(one.tokens, one.mask, self.steps).unbind(1):
            next_h, next_c = cell(step, (h, c))
            h, c = torch.where(here, next_h, h), torch.where(here, next_c, c)
            memories.append(c)
        return h, torch.stack(memories, 1)

    def watched(self, cells: Tensor, here: Tensor) -> Tensor:
        """The shared memory after the last step: (B, K+1, M*H), bool (B, M*H) -> (B, U)."""
        delta = torch.cat([cells[:, :-1], cells[:, 1:]], -1)  # (B, K, 2*M*H)
        there = (here | ~here.any(1, keepdim=True)).repeat(1, 2)[:, None]
        attended = self.attention(delta).masked_fill(~there, -torch.inf).softmax(-1) * delta
        memory = cells.new_zeros(cells.shape[0], self.memory)
        for seen, proposed in zip(attended.unbind(1), self.proposal(attended).tanh().unbind(1), strict=True):
            both = torch.cat([seen, memory], -1)
            memory = self.retain(both).sigmoid() * memory + self.write(both).sigmoid() * proposed
        return memory


def _mlp(inputs: int, inner: int, outputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, inner), nn.ReLU(), nn.Dropout(dropout), nn.Linear(inner, outputs))


def aligned(tokens: Tensor, mask: Tensor, steps: int) -> Tensor:
    """The mean of each of `steps` parts of a sample's real steps: (B, T, D), bool (B, T) -> (B, K, D).

    Part k goes from floor(k*L/K) to ceil((k+1)*L/K) of L real steps: none is empty, also where L < K.
    """
    length = mask.sum(1)[:, None, None]  # (B, 1, 1)
    place = (mask.cumsum(1) - 1)[:, None]  # (B, 1, T): the how-manieth real step
    part = torch.arange(steps, device=mask.device)[None, :, None]  # (1, K, 1)
    inside = (place >= part * length // steps) & (place * steps < (part + 1) * length) & mask[:, None]  # (B, K, T)
    weight = inside.to(tokens.dtype)
    return (weight / weight.sum(-1, keepdim=True).clamp(min=1)) @ tokens
