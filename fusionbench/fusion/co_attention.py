"""Parallel co-attention: every modality's attention over its own steps is guided by how they match the others' steps.

    C_mn = tanh(X_m W_mn X_n')                        affinity of step to step, (B, T_m, T_n); C_nm = C_mn', m < n
    H_m  = tanh(X_m U_m' + sum_{n != m} C_mn X_n U_n')      (B, T_m, hidden)
    a_m  = softmax over steps of H_m w_m              over the real steps, (B, T_m)
    y    = MLP(LN(sum_m a_m X_m))                     logits, (B, D) -> (B, C)

A modality of one step has attention 1; where all have one this is the sum of the encodings, all other weights idle, and
it is refused, or a note in the row counts them. An absent modality adds nothing to H or to the sum. Dropout acts on H.

Parameters: M*(M-1)*D*D/2 + M*(D+1)*hidden + (D+1)*W + (W+1)*C
FLOPs: M*(M-1)*(T*D*D + T*T*D + 2*T*T*hidden) + M*(2*T*D*hidden + 2*T*hidden + 2*T*D) + 2*(D*W + W*C)
Source: Lu et al. 2016, "Hierarchical Question-Image Co-Attention for Visual Question Answering", arXiv:1606.00061. The
formula is the paper's for two modalities; for more, the sum over n is ours. The authors' code,
jiasenlu/HieCoAttenVQA, misc/attention.lua, read and not run (it is for Lua Torch), has biases, which the formula and
ours have not, and the dropout of .5 on H.
Use: where which steps matter depends on the other modality, and one wants to see which.
"""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.fusion._stages import one_step_each
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, below_one, masked_softmax, mlp_head


class CoAttentionFusion(FusionModule):
    """Attend to each modality's steps by their affinity to the others', sum, then an MLP."""

    display = "Co-attention"
    family = "token"
    paper, stage, interaction, fidelity = "lu2016hierarchical", "token", "full", "adapted"
    tunable = {"hidden": (32, 512, "log"), "dropout": (0.0, 0.7)}
    departure = (
        "at one level, the encoders' steps, in place of words, phrases and the question in turn; more than two "
        "modalities add up; no biases, which the code has; our common MLP head"
    )
    own_width = "hidden"

    def __init__(self, setting: Setting, *, hidden: int = 128, dropout: float = 0.5) -> None:
        at_least("co_attention", "hidden", hidden, 1)
        below_one("co_attention", "dropout", dropout)
        super().__init__(setting)
        names, width = setting.task.names, setting.width
        self.pairs = list(combinations(range(len(names)), 2))
        # Affinities of order 1 for steps of order 1: by torch's own start tanh is saturated, with no gradient.
        self.affinity = nn.Parameter(torch.randn(len(self.pairs), width, width) / width)
        self.projections = nn.ModuleList(nn.Linear(width, hidden, bias=False) for _ in names)
        self.scores = nn.ModuleList(nn.Linear(hidden, 1, bias=False) for _ in names)  # A bias would cancel in softmax.
        self.dropout = nn.Dropout(dropout)
        self.head = mlp_head(width, setting)

    @classmethod
    def unsuitable(cls, setting: Setting) -> str:
        """One modality alone has no other to match; of vectors alone there is nothing to choose from."""
        if len(setting.task.names) < 2:
            return "needs at least two modalities"
        # `linear` gives steps too, of what only a layer's user knows to be steps (layer.py).
        fixed = [setting.encoders[spec.name].name != "linear" for spec in setting.task.modalities]
        if all(fixed) and all(spec.kind == "vector" for spec in setting.task.modalities):
            return "every modality is one vector: without steps to choose from it would be the sum of the encodings"
        return ""

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """Tokens (B, T_m, D) of each -> (B, D) of each -> their sum (B, D) -> (B, C)."""
        steps = [one.tokens * one.mask[..., None] for one in encoded.values()]  # Padding matches nothing.
        attended = [
            (masked_softmax(score(self.dropout(h)).squeeze(-1), one.mask)[:, None] @ x).squeeze(1)
            for score, h, x, one in zip(self.scores, self.guided(steps), steps, encoded.values(), strict=True)
        ]
        return Prediction(self.head(torch.stack(attended).sum(0)))

    def notes(self) -> tuple[str, ...]:
        """What is idle where each modality has one step: all that guides attention."""
        if not one_step_each(self.task, self.encoders):
            return ()
        guides = [self.affinity, *self.projections.parameters(), *self.scores.parameters()]
        idle = sum(parameter.numel() for parameter in guides)
        return (f"every modality has one step: it is the sum of the encodings, {idle} parameters are idle",)

    def guided(self, steps: list[Tensor]) -> list[Tensor]:
        """H_m, (B, T_m, hidden), of steps X_m, (B, T_m, D)."""
        own = [project(x) for project, x in zip(self.projections, steps, strict=True)]
        total = list(own)
        for weight, (m, n) in zip(self.affinity, self.pairs, strict=True):
            match = (steps[m] @ weight @ steps[n].mT).tanh()  # (B, T_m, T_n)
            total[m] = total[m] + match @ own[n]
            total[n] = total[n] + match.mT @ own[m]
        return [one.tanh() for one in total]
