"""Bottleneck fusion: modalities exchange what they know only through a few tokens that they share.

    z_m = [c_m; x_m + p_m]                               a learned class token before the steps, (B, 1+T_m, D)
    in each of `own_layers`, for each modality, by a Transformer block of its own:
        z_m        = block_m(z_m)                        over its real steps
    b   = learned                                        (B, bottlenecks, D)
    in each of `layers` after them, by blocks that are its own as well:
        [z_m; b_m] = block_m([z_m; b])                   over the real steps of m and the bottlenecks
        b          = mean_m b_m                          over the modalities that are present
    y = mean_m MLP(LN(LN(c_m)))                          one MLP for all, over the modalities present, (B, C)

Learned positions p_m for each place of the longest sample; none for a bag, whose entries have no order. In the first
layer that fuses, the bottlenecks only collect, so it takes two for anything to cross. The last layer is computed for
the class tokens alone, since nothing else is read. P is the number of positions: T, but 0 of a bag.

Parameters: M*(1+P)*D + bottlenecks*D + M*(own_layers+layers)*(12*D+11)*D + 2*D + (D+1)*W + (W+1)*C
FLOPs: M*own_layers*(24*(1+T)*D*D + 4*(1+T)*(1+T)*D)
    + M*(layers-1)*(24*(1+T+bottlenecks)*D*D + 4*(1+T+bottlenecks)*(1+T+bottlenecks)*D)
    + M*((24+4*(T+bottlenecks))*D*D + 4*(1+T+bottlenecks)*D) + M*2*(D*W + W*C)
Source: Nagrani et al. 2021, "Attention Bottlenecks for Multimodal Fusion", arXiv:2107.00135. Blocks for each modality,
the mean of the bottlenecks, all starts, positions, no dropout, and one classifier for all class tokens, whose logits
are averaged, as in the authors' code, google-research/scenic, scenic/projects/mbt/model.py. That code takes one
bottleneck more than it is told where it reads class tokens (5, where the paper and ours have 4); it trains class tokens
by each modality's loss, where the paper's average is trained here; and its released settings average steps in place of
reading class tokens.
Use: with long sequences, where all steps attending to all would cost too much or drown the smaller modality.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.encoders.base import Encoder
from fusionbench.fusion._attention import TransformerBlock, with_steps
from fusionbench.fusion._stages import most_steps
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, below_one, heads_divide, mlp_head, present_mean, small_normal

EPS = 1e-6
"""What the authors' library adds to a variance in LayerNorm."""


class BottleneckFusion(FusionModule):
    """Multimodal bottleneck Transformer (MBT): the mean of the modalities' logits from their class tokens."""

    display = "MBT"
    family = "token"
    paper, stage, interaction, fidelity = "nagrani2021attention", "token", "full", "adapted"
    tunable = {"bottlenecks": (1, 16, "log"), "layers": (2, 4)}
    departure = (
        "reads the encoders' outputs in place of embedded patches, which it has only where an encoder does no more "
        "than embed; 1 layer before the fusion and 2 that fuse in place of 8 and 4; 4 bottlenecks, where the code adds "
        "one; no layers dropped at random; any number of modalities, any of them missing; our common MLP head"
    )

    def __init__(
        self,
        setting: Setting,
        *,
        bottlenecks: int = 4,
        heads: int = 4,
        own_layers: int = 1,
        layers: int = 2,
        dropout: float = 0.0,
    ) -> None:
        at_least("bottleneck", "bottlenecks", bottlenecks, 1)
        at_least("bottleneck", "own_layers", own_layers, 0)
        at_least("bottleneck", "layers", layers, 2)
        heads_divide("bottleneck", heads, setting.width)
        below_one("bottleneck", "dropout", dropout)
        super().__init__(setting)
        count, width = len(setting.task.names), setting.width
        specs, encoders = setting.task.modalities, cast(Mapping[str, Encoder], dict(self.encoders.items()))
        places = [0 if spec.kind == "bag" else most_steps(spec, encoders[spec.name]) for spec in specs]
        # A class token starts at zero in the paper and has a position as well: their sum is one vector.
        self.positions = nn.ParameterList(small_normal(1 + number, width) for number in places)
        self.bottlenecks = small_normal(1, bottlenecks, width)
        self.own_layers = own_layers
        self.layers = nn.ModuleList(
            nn.ModuleList(TransformerBlock(width, heads, dropout, gelu="tanh", eps=EPS) for _ in range(count))
            for _ in range(own_layers + layers)
        )
        _xavier(self.layers)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width, EPS)
        self.head = mlp_head(width, setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """Steps (B, T_m, D) of each -> class tokens (B, M, D) -> logits (B, M, C) -> (B, C)."""
        present = torch.stack([one.present for one in encoded.values()], 1)
        logits = self.head(self.norm(self.class_tokens(encoded, present)))
        return Prediction(present_mean(logits, present), dict(zip(encoded, logits.unbind(1), strict=True)))

    def class_tokens(self, encoded: dict[str, Encoded], present: Tensor) -> Tensor:
        """What the class token of each modality has become, (B, M, D); present is bool (B, M)."""
        streams = [
            self._started(one.tokens, places) for one, places in zip(encoded.values(), self.positions, strict=True)
        ]
        masks = [with_steps(one.mask, before=1) for one in encoded.values()]  # The class token is always there.
        for blocks in list(self.layers)[: self.own_layers]:
            streams = _through(blocks, streams, masks, [None] * len(streams))
        fusing, shared = list(self.layers)[self.own_layers :], self.bottlenecks.shape[1]
        masks = [with_steps(mask, after=shared) for mask in masks]
        bottlenecks = self.bottlenecks.expand(present.shape[0], -1, -1)
        for blocks in fusing[:-1]:
            mixed = _through(blocks, [torch.cat([z, bottlenecks], 1) for z in streams], masks, [None] * len(streams))
            streams = [z[:, :-shared] for z in mixed]
            told = torch.stack([z[:, -shared:].flatten(1) for z in mixed], 1)  # (B, M, bottlenecks*D)
            bottlenecks = present_mean(told, present).view(present.shape[0], shared, -1)
        last = _through(fusing[-1], [torch.cat([z, bottlenecks], 1) for z in streams], masks, [1] * len(streams))
        return torch.cat(last, 1)

    def _started(self, steps: Tensor, positions: Tensor) -> Tensor:
        """A class token and the steps, each with its position: (B, T, D) -> (B, 1+T, D)."""
        if len(positions) > 1:
            steps = steps + positions[1 : 1 + steps.shape[1]]
        return self.dropout(torch.cat([positions[:1].expand(steps.shape[0], 1, -1), steps], 1))


def _through(
    blocks: nn.Module, streams: list[Tensor], masks: list[Tensor], first: Sequence[int | None]
) -> list[Tensor]:
    """Each modality through its own block of a layer."""
    assert isinstance(blocks, nn.ModuleList)
    return [block(z, mask, n) for block, z, mask, n in zip(blocks, streams, masks, first, strict=True)]


def _xavier(layers: nn.ModuleList) -> None:
    """Xavier's uniform weights and no biases, where torch starts linear layers from a third of that variance."""
    for path, parameter in layers.named_parameters():
        if parameter.dim() > 1:
            for part in parameter.detach().chunk(2 if "key_value" in path else 1):  # Keys and values are two layers.
                nn.init.xavier_uniform_(part)
        elif path.endswith("bias"):
            nn.init.zeros_(parameter)
