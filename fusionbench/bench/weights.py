"""A model's weights to bytes and back: safetensors, which hold tensors alone.

Encoders that no run trains are left out: they are trained beforehand, or came from others, and are loaded from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from fusionbench.core.errors import UserError
from fusionbench.fusion.base import FusionModule


def weights_of(module: FusionModule) -> bytes:
    """The tensors of a model's state, but for those of encoders that stay as they are."""
    return save({name: value.detach().cpu().clone().contiguous() for name, value in _kept(module)})


def load_weights(module: FusionModule, path: Path) -> None:
    """Put the tensors of a file into a model, which has those of its frozen encoders already.

    Raises:
        UserError: it is no such file, or its tensors are not those of this model.
    """
    way = "remove it and the .json beside it, and the run is trained again"
    try:
        found = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path}: holds no tensors ({str(error).partition(chr(10))[0][:120]}); {way}") from error
    wanted = dict(_kept(module))
    other = sorted(found.keys() ^ wanted.keys()) + [
        name for name in sorted(found.keys() & wanted.keys()) if not _is_alike(found[name], wanted[name])
    ]
    if other:
        raise UserError(f"{path}: of another version of this strategy ({other[0]} differs); {way}")
    module.load_state_dict({**module.state_dict(), **found})


def _kept(module: FusionModule) -> Iterator[tuple[str, Tensor]]:
    frozen = {name for name, choice in module.setting.encoders.items() if choice.is_frozen}
    for name, value in module.state_dict().items():
        parts = name.split(".")
        if not (parts[0] == "encoders" and len(parts) > 1 and parts[1] in frozen):
            yield name, value


def _is_alike(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype
