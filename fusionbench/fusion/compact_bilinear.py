"""Compact bilinear: the outer product of all modalities, hashed with random signs into a short vector.

    c_m = sketch of x_m: c_m[h_m(i)] += s_m(i) x_m[i]     (B, D) -> (B, S); h_m, s_m drawn once, never trained
    z   = c_1 * ... * c_M                                 circular convolution, by a product of Fourier transforms
        = sketch of x_1 (x) ... (x) x_M,                  where (i, ..., j) goes to h_1(i) + ... + h_M(j) modulo S
    y   = MLP(LN(normalised(z)))                          logits, (B, S) -> (B, C)

`normalised` is a signed square root, sign(z) sqrt(|z|), divided by its root mean square (the paper: its length, which
is sqrt(S) times as large). Both are smoothed near zero by 1e-4: where z is exactly zero, since nothing falls into an
entry, the transforms leave round-off, and a root's slope there, 100 by this, would be without bound. For more than two
modalities the convolution of all of them is ours. An absent modality leaves the convolution: its transform is 1.
Transforms run in float32; sketches are element-wise work, which is not counted as FLOPs.

Parameters: (sketch+1)*W + (W+1)*C
FLOPs: (M+1)*2.5*sketch*log2(sketch) + 2*(sketch*W + W*C)
Source: Fukui et al. 2016, "Multimodal Compact Bilinear Pooling for Visual Question Answering and Visual Grounding",
arXiv:1606.01847, and the authors' code. Its sketch has 16000 entries for inputs of 2048, ours 8 an input as well.
Use: for products of wide encodings with few parameters before the head.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fusionbench.core.batch import Encoded
from fusionbench.fusion._bilinear import power_normalised, product_of
from fusionbench.fusion.base import FusionModule, Prediction, Setting
from fusionbench.fusion.blocks import at_least, mlp_head, stacked

SMOOTH = 1e-4
"""Of the signed root: its slope is at most 1/sqrt(SMOOTH) = 100; roots move by less than .004."""


class CompactBilinearFusion(FusionModule):
    """Multimodal compact bilinear pooling (MCB), then an MLP."""

    display = "MCB"
    family = "bilinear"
    paper, stage, interaction, fidelity = "fukui2016multimodal", "feature", "full", "adapted"
    tunable = {"sketch": [256, 512, 1024, 2048, 4096]}
    departure = (
        "compared with the paper's formula alone, since the authors' code runs in a Caffe of theirs only; a smoother "
        "root; without its attention and dropout; our common MLP head in place of its linear classifier; more than two "
        "modalities are convolved alike"
    )
    bins: Tensor
    signs: Tensor
    own_width, own_unit = "sketch", 2

    def __init__(self, setting: Setting, *, sketch: int = 1024) -> None:
        at_least("compact_bilinear", "sketch", sketch, 2)
        super().__init__(setting)
        self.sketch = sketch
        shape = len(setting.task.names), setting.width
        # Buffers: drawn once from torch's generator, saved with the weights, without which these mean nothing.
        self.register_buffer("bins", torch.randint(sketch, shape))
        self.register_buffer("signs", torch.randint(2, shape).float() * 2 - 1)
        self.head = mlp_head(sketch, setting)

    def fuse(self, encoded: dict[str, Encoded]) -> Prediction:
        """(B, M, D) -> (B, S) -> (B, C)."""
        return Prediction(self.head(power_normalised(self.joint(*stacked(encoded)), SMOOTH)))

    def joint(self, x: Tensor, present: Tensor) -> Tensor:
        """The sketch of the outer product: (B, M, D), bool (B, M) -> float32 (B, S)."""
        count, size = len(self.bins), self.sketch
        places = (self.bins + size * torch.arange(count, device=x.device)[:, None]).flatten()  # each its own S bins
        signed = (x.float() * self.signs).flatten(1)
        sketches = signed.new_zeros(x.shape[0], count * size).index_add(1, places, signed)
        spectra = torch.fft.rfft(sketches.view(x.shape[0], count, size))  # (B, M, S//2 + 1), complex
        spectra = torch.where(present[..., None], spectra, torch.ones_like(spectra))
        return torch.fft.irfft(product_of(spectra), n=size)
