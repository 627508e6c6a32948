"""A network of the library timm: pictures of any number of channels, from scratch or pretrained.

    f = trunk(scale(x))          the last map, (B, C, H, W) -> (B, T, F): T positions, and class tokens where it has any
    tokens = W f + b             (B, T, D)
    pooled = mean of tokens      (B, D)

Small pictures: these networks halve a picture five times, so one of 32 x 32 would be a single position. Pictures whose
short side is below SMALLEST are enlarged to it (bilinear, sides in proportion); networks that are built for one size
(most Transformers) get that. `size` sets another. Changing a stem's stride instead would fit some architectures only,
and would not fit their pretrained weights.

No statistics over the batch: from scratch, batch norm is replaced by group norm; pretrained, it keeps the statistics it
came with. So a sample's encoding never depends on its batch mates, and any number of devices gives the same result.
`frozen` trains the last linear map only.

Pretrained weights are those of the hub (`pretrained: true`), downloaded once and then found where HF_HOME says, also
without a network; or those of a file (`weights: FILE`, .safetensors or a state_dict of torch.save, by timm's names),
whose content is in the run's key. Their networks were trained on red, green and blue pixels in a normalisation of their
own: what the dataset made of the pixels is undone and theirs applied, in one affine map of each channel,

    x' = (p - mean') / std' = x * std / std' + (mean - mean') / std'        p = x * std + mean, a pixel from 0 to 1

and pictures that are no such thing (lightness alone, chroma) are refused.

Source: Wightman 2019, "PyTorch Image Models"; each network's own paper is named in its page there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, Self

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.core.batch import Encoded
from fusionbench.core.task import ModalitySpec
from fusionbench.encoders._timm_trunks import Trained, made
from fusionbench.encoders.base import Encoder, Hidden, Trunk

SMALLEST = 64
"""Pixels of a short side: after five halvings 2 x 2 positions are left."""
GROUPS = 8
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class Timm(Encoder):
    """Any of timm's models without its classifier."""

    kinds, paper = ("image",), "wightman2019timm"
    files, later = ("weights",), {"weights": ""}

    scale: Tensor
    """std / std', (1, 3, 1, 1); of pretrained weights alone, as is `shift`."""
    shift: Tensor
    """(mean - mean') / std', (1, 3, 1, 1)."""

    def __init__(
        self,
        spec: ModalitySpec,
        dropout: float = 0.0,
        *,
        width: int = 128,
        model: str = "convnext_atto",
        pretrained: bool = False,
        frozen: bool = False,
        size: int = 0,
        weights: str = "",
    ) -> None:
        super().__init__(spec, width)
        trained = Trained(pretrained, weights)
        trained.refuse_other_than_colours(spec)
        self.model, self.of_others, self.stays = model, bool(trained), frozen
        self.trunk, own_size = made(spec, model, trained, size)
        self.scaled = own_size or _enlarged(spec, size)
        if self.of_others:
            self._take_up_normalisation(spec)
        else:
            _without_batch_norm(self.trunk)
        self.trunk.requires_grad_(not frozen).to(memory_format=torch.channels_last)
        # Some heads widen the map before the classifier.
        features: Any = getattr(self.trunk, "head_hidden_size", None) or self.trunk.num_features
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(features, width)
        self.stage_widths = (features,)  # The trunk's last map: where to stop within differs from network to network.
        self.train()

    @classmethod
    def comes_trained(cls, options: Mapping[str, Any]) -> bool:
        """From the hub or from a file."""
        return bool(options.get("pretrained") or options.get("weights"))

    def train(self, mode: bool = True) -> Self:
        """As usual, but a frozen trunk stays in eval mode, and so do pretrained batch norms."""
        super().train(mode)
        if self.stays:
            self.trunk.eval()
        for part in self.trunk.modules() if self.of_others else ():
            if isinstance(part, BATCH_NORMS):
                part.eval()
        return self

    def frozen_trunk(self) -> Trunk | None:
        """The network, where it is frozen."""
        if not self.stays:
            return None
        own = {"mean": _own(self.trunk, "mean"), "std": _own(self.trunk, "std")} if self.of_others else {}
        facts = {"encoder": "timm", "timm": timm.__version__, "model": self.model, "size": list(self.scaled), **own}
        return Trunk(self.trunk, facts, reads_data_alone=self.of_others)

    def begin(self, x: Tensor, mask: Tensor | None, present: Tensor) -> Hidden:
        """(B, C, H, W), of the height and width that the trunk gets, channels last in memory."""
        if self.of_others:
            x = x * self.scale + self.shift
        if tuple(x.shape[-2:]) != self.scaled:
            x = F.interpolate(x, self.scaled, mode="bilinear", align_corners=False)
        return Hidden(x.contiguous(memory_format=torch.channels_last), None, present)  # Convolved faster so.

    def stage(self, number: int, hidden: Hidden) -> Hidden:
        """The whole trunk: (B, T, F)."""
        with torch.no_grad() if self.stays else nullcontext():
            steps = _positions(self.trunk(hidden.map), self.trunk)
        return Hidden(steps, hidden.present[:, None].expand(steps.shape[:2]), hidden.present)

    def finish(self, hidden: Hidden) -> Encoded:
        """(B, T, F) -> pooled (B, D), tokens (B, T, D)."""
        assert hidden.mask is not None
        tokens = self.project(self.dropout(hidden.map))
        return Encoded(tokens.mean(1), tokens, hidden.mask, hidden.present)

    def _take_up_normalisation(self, spec: ModalitySpec) -> None:
        """The affine map of each channel, from what the dataset made of pixels to what the trunk was trained on."""
        assert spec.colours is not None
        pairs = ((spec.colours.mean, _own(self.trunk, "mean")), (spec.colours.std, _own(self.trunk, "std")))
        (mean, own_mean), (std, own_std) = ([torch.tensor(v, dtype=torch.float64) for v in pair] for pair in pairs)
        for name, value in (("scale", std / own_std), ("shift", (mean - own_mean) / own_std)):
            self.register_buffer(name, value.float().view(1, -1, 1, 1), persistent=False)  # Told by spec and model.


def _own(trunk: nn.Module, name: str) -> tuple[float, ...]:
    """What pixels from 0 to 1 were normalised by in the trunk's own training, as timm states it."""
    facts: Any = trunk.pretrained_cfg
    return tuple(facts[name])


def _enlarged(spec: ModalitySpec, size: int) -> tuple[int, int]:
    """The height and width of a network that takes any: sides in proportion."""
    height, width = spec.shape[1:]
    short = size or max(SMALLEST, min(height, width))
    return round(height * short / min(height, width)), round(width * short / min(height, width))


def _positions(found: Tensor, trunk: nn.Module) -> Tensor:
    """What a trunk gives, as (B, T, F): maps (B, F, H, W) or (B, H, W, F), or steps already."""
    if found.dim() == 3:
        return found
    last = str(getattr(trunk, "output_fmt", "NCHW")) == "NHWC"
    return found.flatten(1, 2) if last else found.flatten(2).transpose(1, 2)


def _without_batch_norm(module: nn.Module) -> None:
    """Put group norm in the place of every batch norm, with the activation that timm may have joined to it."""
    for name, part in module.named_children():
        if isinstance(part, BATCH_NORMS):
            norm = nn.GroupNorm(math.gcd(GROUPS, part.num_features), part.num_features, part.eps)
            joined = [getattr(part, word) for word in ("drop", "act") if hasattr(part, word)]
            setattr(module, name, nn.Sequential(norm, *joined))
        else:
            _without_batch_norm(part)
