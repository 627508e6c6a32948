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

Pretrained weights are downloaded once by timm (HF_HOME says where they are kept); their network was trained on 3
channels, and timm folds or repeats the first kernel for others.

Source: Wightman 2019, "PyTorch Image Models"; each network's own paper is named in its page there.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any, Self

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.core.batch import Encoded
from fusionbench.core.errors import UserError, nearest, shown
from fusionbench.core.task import ModalitySpec
from fusionbench.encoders.base import Encoder, Hidden

SMALLEST = 64
"""Pixels of a short side: after five halvings 2 x 2 positions are left."""
GROUPS = 8
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class Timm(Encoder):
    """Any of timm's models without its classifier."""

    kinds, paper = ("image",), "wightman2019timm"

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
    ) -> None:
        super().__init__(spec, width)
        self.trunk, self.scaled = _trunk(spec, model, pretrained, size)
        if not pretrained:
            _without_batch_norm(self.trunk)
        self.trunk.requires_grad_(not frozen).to(memory_format=torch.channels_last)
        self.pretrained, self.frozen = pretrained, frozen
        # Some heads widen the map before the classifier.
        features: Any = getattr(self.trunk, "head_hidden_size", None) or self.trunk.num_features
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(features, width)
        self.stage_widths = (features,)  # The trunk's last map: where to stop within differs from network to network.
        self.train()

    def train(self, mode: bool = True) -> Self:
        """As usual, but a frozen trunk stays in eval mode, and so do pretrained batch norms."""
        super().train(mode)
        if self.frozen:
            self.trunk.eval()
        for part in self.trunk.modules() if self.pretrained else ():
            if isinstance(part, BATCH_NORMS):
                part.eval()
        return self

    def begin(self, x: Tensor, mask: Tensor | None, present: Tensor) -> Hidden:
        """(B, C, H, W), of the height and width that the trunk gets, channels last in memory."""
        if tuple(x.shape[-2:]) != self.scaled:
            x = F.interpolate(x, self.scaled, mode="bilinear", align_corners=False)
        return Hidden(x.contiguous(memory_format=torch.channels_last), None, present)  # Convolved faster so.

    def stage(self, number: int, hidden: Hidden) -> Hidden:
        """The whole trunk: (B, T, F)."""
        with torch.no_grad() if self.frozen else nullcontext():
            steps = _positions(self.trunk(hidden.map), self.trunk)
        return Hidden(steps, hidden.present[:, None].expand(steps.shape[:2]), hidden.present)

    def finish(self, hidden: Hidden) -> Encoded:
        """(B, T, F) -> pooled (B, D), tokens (B, T, D)."""
        assert hidden.mask is not None
        tokens = self.project(self.dropout(hidden.map))
        return Encoded(tokens.mean(1), tokens, hidden.mask, hidden.present)


def _trunk(spec: ModalitySpec, model: str, pretrained: bool, size: int) -> tuple[nn.Module, tuple[int, int]]:
    """The network without classifier and pooling, and the height and width that it gets.

    Raises:
        UserError: no such network, no pretrained weights to be had, or one that cannot be used here.
    """
    if model.partition(".")[0] not in timm.list_models():
        near = nearest(model, timm.list_models())
        raise UserError(f"encoder 'timm': no model {shown(model)}{near or '.'} timm.list_models() names them")
    try:
        facts = timm.get_pretrained_cfg(model)
        own = facts.input_size[1:] if facts and facts.fixed_input_size else ()
        chosen: dict[str, Any] = {"img_size": size} if own and size else {}
        trunk = timm.create_model(
            model, pretrained=pretrained, num_classes=0, global_pool="", in_chans=spec.shape[0], **chosen
        )
    except OSError as error:  # Of the network and of the hub: both derive from it.
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"encoder 'timm': the pretrained weights of '{model}' could not be had ({reason[:120]});\n"
            "run once with network access and the same HF_HOME, or set pretrained: false"
        ) from error
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"encoder 'timm': '{model}' cannot be used here: {reason[:200]}") from error
    if own:
        return trunk, (size or own[0], size or own[1])
    height, width = spec.shape[1:]
    short = size or max(SMALLEST, min(height, width))
    return trunk, (round(height * short / min(height, width)), round(width * short / min(height, width)))


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
