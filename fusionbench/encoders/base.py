"""What every encoder is: one modality in, one vector and its steps out, in one go or stage by stage.

Stage by stage, a fusion can act between the layers of several encoders:

    hidden = encoder.begin(x, mask, present)
    hidden = encoder.stage(i, hidden)              for each stage i: hidden.map has stage_widths[i] channels
    encoded = encoder.finish(hidden)               equal to encoder(x, mask, present), but for its `stages`

A large network of others, frozen, with a small map behind it, is such an encoder too: the network is its one stage, its
trunk, and `finish` is the map. What the trunk gives need not be computed twice: `trunk_features` is all that `finish`
reads, and `Trunk.sha256` names all that decides it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.core.canonical import canonical_json
from fusionbench.core.errors import UserError
from fusionbench.core.own_files import MARK
from fusionbench.core.task import ModalitySpec


@dataclass(frozen=True)
class Hidden:
    """A modality on its way through its encoder."""

    map: Tensor
    """(B, X), steps (B, T, X), or a picture's (B, X, H, W)."""
    mask: Tensor | None
    """bool (B, T): which steps are real; None of a vector or a picture."""
    present: Tensor
    """bool (B,)."""
    kept: Any = None
    """What only the encoder itself reads."""

    def clean(self) -> Tensor:
        """The map with zeros in its padding, whatever stood there."""
        if self.mask is None:  # Where absent, it is what comes of zeros: a copy would take time in every training step.
            return self.map
        return torch.where((self.mask & self.present[:, None])[..., None], self.map, torch.zeros_like(self.map))


@dataclass(frozen=True)
class Trunk:
    """The part of an encoder that stays as it came, before a map that learns."""

    network: nn.Module
    """All its weights and buffers, and nothing of the map's."""
    decided_by: dict[str, Any]
    """JSON of what else decides what it gives: input size, normalisation, pooling."""
    reads_data_alone: bool
    """Whether it reads the sample itself; False: as the dataset normalised it, which may differ from seed to seed."""

    def sha256(self) -> str:
        """Of all that decides what the trunk gives of a sample, 64 hex digits; equal wherever its weights came from."""
        total = hashlib.sha256(canonical_json(self.decided_by).encode())
        for name, value in sorted(self.network.state_dict().items()):
            plain = value.detach().cpu().contiguous()
            total.update(canonical_json([name, str(plain.dtype), list(plain.shape)]).encode())
            total.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
        return total.hexdigest()


class Encoder(nn.Module):
    """Maps a modality to `Encoded` of a width D; a subclass lists the kinds it can read.

    A subclass takes the modality's spec and `dropout` in place, and its options keyword-only, `width` among them. It
    overrides `forward`; or, if it has hidden layers, `begin`, `stage` and `finish`, and sets `stage_widths`. With a
    frozen network in it, it has one stage, and overrides `frozen_trunk`.
    """

    kinds: ClassVar[tuple[str, ...]] = ()
    paper: ClassVar[str] = ""
    steps: int = 0
    """How many steps it gives at most, averages of neighbours; 0: as many as the sample has."""
    frozen: ClassVar[bool] = False
    """Whether there is nothing to train in it: no run trains it then, nor is it trained beforehand; literal."""

    def __init__(self, spec: ModalitySpec, width: int) -> None:
        super().__init__()
        if spec.kind not in self.kinds:
            name = type(self).__module__.rpartition(".")[2].partition(MARK)[0]
            raise UserError(f"encoder '{name}' reads {' or '.join(self.kinds)}; '{spec.name}' is of kind {spec.kind}")
        self.spec, self.width = spec, width
        self.stage_widths: tuple[int, ...] = (width,)
        """The channels of each stage's map."""

    def forward(self, x: Tensor, mask: Tensor | None, present: Tensor) -> Encoded:
        """Encode B samples.

        Args:
            x: (B, *shape); zeros where the modality is absent.
            mask: bool (B, T), which steps are real; None where all are.
            present: bool (B,), handed on.
        """
        if type(self).stage is Encoder.stage:
            raise TypeError(f"{type(self).__name__} overrides forward(x, mask, present) -> Encoded")
        hidden, maps = self.begin(x, mask, present), []
        for number in range(len(self.stage_widths)):
            hidden = self.stage(number, hidden)
            maps.append(hidden.clean())
        return replace(self.finish(hidden), stages=tuple(maps), stage_mask=hidden.mask)

    @classmethod
    def comes_trained(cls, options: Mapping[str, Any]) -> bool:
        """Whether with these options it has weights of others, which go with the inputs they were trained on."""
        return False

    def frozen_trunk(self) -> Trunk | None:
        """The frozen network that is the encoder's one stage, with `finish` alone to learn; None: there is none."""
        return None

    def trunk_features(self, x: Tensor, mask: Tensor | None, present: Tensor) -> Hidden:
        """All that `finish` reads of B samples, as of `forward`; its `kept` is None where there is a trunk."""
        hidden = self.begin(x, mask, present)
        for number in range(len(self.stage_widths)):
            hidden = self.stage(number, hidden)
        return hidden

    # An encoder without layers to stop between is one stage, its vector: what changes that leaves its steps alone.

    def begin(self, x: Tensor, mask: Tensor | None, present: Tensor) -> Hidden:
        """The input, ready for the first stage."""
        return Hidden(x, mask, present)

    def stage(self, number: int, hidden: Hidden) -> Hidden:
        """One stage further."""
        encoded = self.forward(hidden.map, hidden.mask, hidden.present)
        return Hidden(encoded.pooled, None, hidden.present, encoded)

    def finish(self, hidden: Hidden) -> Encoded:
        """What the last stage's map is as a vector and steps."""
        encoded: Encoded = hidden.kept
        return replace(encoded, pooled=hidden.map)
