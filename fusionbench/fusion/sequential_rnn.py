"""Sequential fusion: a recurrent network reads one modality after the other and keeps what it needs.

    r, z = sigmoid(W_r x_m + U_r s), sigmoid(W_z x_m + U_z s)     reset and update gates, (B, H)
    n    = tanh(W_n x_m + r * (U_n s))                            proposal, (B, H)
    s    = (1 - z) * n + z * s                                    state, from 0, for m = 1 .. M, (B, H)
    y    = MLP(LN(s))                                             logits, (B, H) -> (B, C)

Two biases in each map, as in torch.nn.GRU. The modalities come in the task's order. An absent one is no step: the state
stays as it was.

Parameters: 3*hidden*(D+hidden+2) + (hidden+1)*W + (W+1)*C
FLOPs: 2*(M*3*hidden*(D+hidden) + hidden*W + W*C)
Source: Cho et al. 2014, "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine
Translation", arXiv:1406.1078, for the cell; that modalities are its steps is ours.
Use: to see whether an order of modalities helps; with many of them, since its size does not grow.
"""

from __future__ import annotations

import torch
from torch import nn

from fusionbench.core.batch import Encoded
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, mlp_head, stacked


class SequentialRNNFusion(FusionModule):
    """One GRU cell over the modalities' encodings, then an MLP on its last state."""

    display = "Sequential GRU"
    family = "sequential"
    paper, stage, flow, interaction, fidelity = "cho2014learning", "feature", "sequential", "full", "adapted"
    tunable = {"hidden": (32, 512, "log")}
    departure = (
        "the paper's cell reads words of a phrase, ours modalities of a sample; reset gate after the product, as in "
        "torch.nn.GRU"
    )
    own_width = "hidden"

    def __init__(self, setting: Setting, *, hidden: int = 128) -> None:
        at_least("sequential_rnn", "hidden", hidden, 1)
        super().__init__(setting)
        self.cell = nn.GRUCell(setting.width, hidden)
        self.head = mlp_head(hidden, setting)

    @classmethod
    def unsuitable(cls, setting: Setting) -> str:
        """One modality alone is one step: nothing would ever be carried over."""
        return "" if len(setting.task.names) > 1 else "needs at least two modalities"

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> the last state (B, H) -> (B, C)."""
        x, present = stacked(encoded)
        state = x.new_zeros(x.shape[0], self.cell.hidden_size)
        for step, here in zip(x.unbind(1), present.unbind(1), strict=True):
            state = torch.where(here[:, None], self.cell(step, state), state)
        return Prediction(self.head(state))
