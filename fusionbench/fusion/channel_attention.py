"""Channel attention: between the encoders' layers, all modalities together decide how much each channel counts.

At each of S levels (the encoders' last layers, as many as the shallowest has), a_m being modality m's map there:

    s_m = mean over positions or real steps of a_m     squeeze, (B, K_m); zeros where m is absent
    z   = ReLU(W [s_1; ...; s_M] + b)                  joint, (B, E), E = 2 sum_m K_m / ratio
    a_m = 2 sigmoid(W_m z + b_m) * a_m                 excitation of every channel; this goes on to m's next layer

    y   = mean_m MLP_m(LN(x_m))                        after the last layer, over the modalities present, (B, C)

With encoders that are one layer, whose map is their vector, it recalibrates what they give. It acts within encoders, so
stored encodings, which are what encoders give in the end, are of no use to it: it runs them live.

Sizes, where every map has K channels:

Parameters: S*((M*K+1)*(2*M*K//ratio) + M*(2*M*K//ratio+1)*K) + M*((D+1)*W + (W+1)*C)
FLOPs: S*4*M*K*(2*M*K//ratio) + M*2*(D*W + W*C)
Source: Joze et al. 2020, "MMTM: Multimodal Transfer Module for CNN Fusion", arXiv:1911.08670; the size of z, its ReLU,
the ratio and the mean of both streams' scores as in the authors' code, haamoon/mmtm, mmtm.py, which leaves out the
factor 2 of the paper.
Use: where encoders have layers of their own and one modality should turn the channels of the other up or down while it
is still being encoded.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.encoders.base import Hidden
from fusionbench.fusion._stages import encode_together, level_widths, scaled, squeezed
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, mlp_head, present_mean, stacked


class ChannelAttention(FusionModule):
    """Multimodal transfer modules (MMTM) between encoders, then the mean of one MLP per modality."""

    display = "MMTM"
    family = "feature"
    paper, stage, interaction, fidelity, cacheable = "joze2020mmtm", "feature", "full", "faithful", False
    tunable = {"ratio": (1, 16, "log")}
    departure = (
        "a module after each of the last layers that all encoders have; any number of modalities; one that is absent "
        "is squeezed to zeros and has no score; our common MLP heads"
    )

    def __init__(self, setting: Setting, *, ratio: int = 4) -> None:
        at_least("channel_attention", "ratio", ratio, 1)
        super().__init__(setting)
        levels = level_widths(self.encoders)
        self.levels = nn.ModuleList(Recalibration(list(widths.values()), ratio) for widths in levels)
        self.heads = nn.ModuleDict({name: mlp_head(setting.width, setting) for name in setting.task.names})

    def encode(self, batch: MultimodalBatch) -> dict[str, Encoded]:
        """Each modality by its own encoder, its maps recalibrated on the way."""
        return encode_together(self.encoders, batch, self._recalibrated)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, D) of each -> (B, C) of each -> their mean (B, C)."""
        unimodal = {name: self.heads[name](one.pooled) for name, one in encoded.items()}
        _, present = stacked(encoded)
        return Prediction(present_mean(torch.stack(list(unimodal.values()), 1), present), unimodal)

    def _recalibrated(self, level: int, hidden: dict[str, Hidden]) -> dict[str, Hidden]:
        means = [squeezed(one.map, one.mask, one.present) for one in hidden.values()]
        gates = self.levels[level](torch.cat(means, 1))
        return {name: scaled(one, gate) for (name, one), gate in zip(hidden.items(), gates, strict=True)}


class Recalibration(nn.Module):
    """One transfer module: from all modalities' means, a gate from 0 to 2 for each channel of each."""

    def __init__(self, widths: list[int], ratio: int) -> None:
        super().__init__()
        joint = max(1, 2 * sum(widths) // ratio)
        self.squeeze = nn.Linear(sum(widths), joint)
        self.excite = nn.ModuleList(nn.Linear(joint, width) for width in widths)

    def forward(self, means: Tensor) -> list[Tensor]:
        """(B, K_1 + ... + K_M) -> (B, K_m) for each modality."""
        joint = self.squeeze(means).relu()
        return [2 * excite(joint).sigmoid() for excite in self.excite]
