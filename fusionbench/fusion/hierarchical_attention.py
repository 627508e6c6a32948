"""Hierarchical attention: first over the steps within each modality, then over the modalities.

    a_m = softmax over steps of v_m . tanh(U_m x_m + b_m)          over the real steps, (B, T_m)
    c_m = LN(sum_t a_mt x_mt)                                      context of modality m, (B, D)
    g   = softmax over m of v . tanh(V_m c_m + d)                  over the modalities that are present, (B, M)
    y   = MLP(LN(sum_m g_m P_m c_m))                               (B, hidden) -> (B, C)

U_m, V_m, P_m: (hidden, D); b_m, d, v_m, v: (hidden,). LN has no weights: attention over modalities is not to depend on
the size of their encodings. A modality of one step has attention 1 within itself: where all have one, U_m, b_m and v_m
are idle, and a note in the row counts them.

Parameters: M*(D+2)*hidden + 2*M*D*hidden + 2*hidden + (hidden+1)*W + (W+1)*C
FLOPs: M*(2*T*D*hidden + 2*T*hidden + 2*T*D) + M*(4*D*hidden + 4*hidden) + 2*(hidden*W + W*C)
Source: Libovicky and Helcl 2017, "Attention Strategies for Multi-Source Sequence-to-Sequence Learning",
arXiv:1704.06567, the hierarchical one of its two strategies, with its own projections for the scores and for the sum.
The authors' code, ufal/neuralmonkey, neuralmonkey/attention/combination.py, has biases of each modality besides, in its
score, context and value, which the formula and ours have not.
Use: to see both which steps and which modality counted.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.fusion._stages import one_step_each
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import HeadNorm, at_least, masked_softmax, mlp_head


class HierarchicalAttentionFusion(FusionModule):
    """Attend to steps, then to modalities, then classify by an MLP."""

    display = "Hierarchical attention"
    family = "token"
    paper, stage, interaction, fidelity = "libovicky2017attention", "token", "full", "adapted"
    tunable = {"hidden": (32, 512, "log")}
    departure = (
        "one learned constant (the biases b_m and d) asks in place of a decoder's state at each word it writes; no "
        "sentinel, and no biases of each modality; contexts are normalised; our common MLP head in place of the decoder"
    )
    own_width = "hidden"

    def __init__(self, setting: Setting, *, hidden: int = 128) -> None:
        at_least("hierarchical_attention", "hidden", hidden, 1)
        super().__init__(setting)
        count, width = len(setting.task.names), setting.width
        self.within = nn.ModuleList(_StepAttention(width, hidden) for _ in range(count))
        self.keys = nn.ModuleList(nn.Linear(width, hidden, bias=False) for _ in range(count))
        self.constant = nn.Parameter(torch.zeros(hidden))
        self.score = nn.Linear(hidden, 1, bias=False)  # A bias would cancel in the softmax.
        self.values = nn.ModuleList(nn.Linear(width, hidden, bias=False) for _ in range(count))
        self.normalised = HeadNorm([width], setting)
        self.head = mlp_head(hidden, setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """Tokens (B, T_m, D) of each -> contexts (B, D) of each -> (B, hidden) -> (B, C)."""
        present = torch.stack([one.present for one in encoded.values()], 1)
        within = zip(self.within, encoded.values(), strict=True)
        contexts = [self.normalised(attend(one.tokens, one.mask)) for attend, one in within]  # (B, D) of each
        keys = torch.stack([key(c) for key, c in zip(self.keys, contexts, strict=True)], 1)  # (B, M, hidden)
        values = torch.stack([value(c) for value, c in zip(self.values, contexts, strict=True)], 1)
        trust = masked_softmax(self.score((keys + self.constant).tanh()).squeeze(-1), present)  # (B, M)
        joint = (trust[:, None] @ values).squeeze(1)
        return Prediction(self.head(joint), weights=trust.detach())

    def notes(self) -> tuple[str, ...]:
        """What is idle where each modality has one step: the attention within modalities."""
        if not one_step_each(self.task, self.encoders):
            return ()
        idle = sum(parameter.numel() for parameter in self.within.parameters())
        return (f"every modality has one step: {idle} parameters (the attention over steps) are idle",)


class _StepAttention(nn.Module):
    """The mean over a modality's real steps, weighted by what a learned vector finds in them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.key, self.score = nn.Linear(width, hidden), nn.Linear(hidden, 1, bias=False)

    def forward(self, steps: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D), bool (B, T) -> (B, D); zeros where no step is real."""
        weights = masked_softmax(self.score(self.key(steps).tanh()).squeeze(-1), mask)
        return (weights[:, None] @ steps).squeeze(1)
