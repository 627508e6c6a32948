"""What every encoder is: one modality in, one vector and its steps out."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalitySpec


class Encoder(nn.Module):
    """Maps a modality to `Encoded` of a width D; a subclass lists the kinds it can read.

    A subclass takes the modality's spec and `dropout` in place, and its options keyword-only, `width` among them.
    """

    kinds: ClassVar[tuple[str, ...]] = ()
    paper: ClassVar[str] = ""

    def __init__(self, spec: ModalitySpec, width: int) -> None:
        super().__init__()
        if spec.kind not in self.kinds:
            name = type(self).__module__.rpartition(".")[2]
            raise UserError(f"encoder '{name}' reads {' or '.join(self.kinds)}; '{spec.name}' is of kind {spec.kind}")
        self.spec, self.width = spec, width

    def forward(self, x: Tensor, mask: Tensor | None, present: Tensor) -> Encoded:
        """Encode B samples.

        Args:
            x: (B, *shape); zeros where the modality is absent.
            mask: bool (B, T), which steps are real; None where all are.
            present: bool (B,), handed on.
        """
        raise TypeError(f"{type(self).__name__} overrides forward(x, mask, present) -> Encoded")
