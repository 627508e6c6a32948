"""Weights of others: tensors of a file, read without running what is in it, and put into a network that they fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from fusionbench.core.contents import located
from fusionbench.core.errors import UserError

WRAPPED = ("state_dict", "model")
"""Keys under which a training's checkpoint has its weights."""
COUNTER = "num_batches_tracked"
"""Of a batch norm: only training reads it, and not every file has it."""
DAMAGED = (OSError, EOFError, RuntimeError, LookupError, TypeError, ValueError, AttributeError, SafetensorError)
"""What torch and safetensors raise for a file that is cut short or of another form."""
SHOWN = 3


def read_weights(path: str, owner: str) -> dict[str, Tensor]:
    """All tensors of a file by name: `.safetensors`, else one of `torch.save`, which may be a training's checkpoint.

    Args:
        path: relative to the working folder; `~` is the home folder.
        owner: whose weights they are, for the message.

    Raises:
        UserError: it is not there, damaged, or holds anything but tensors, such as code, which is not run.
    """
    try:
        place = located(path)
        if place.suffix == ".safetensors":
            return dict(load_file(place))
        found: Any = torch.load(place, map_location="cpu", weights_only=True)
    except UserError as error:
        raise UserError(f"{owner}: {error}") from error
    except UnpicklingError as error:
        raise UserError(
            f"{owner}: {path} is damaged, or holds more than tensors, such as code, and was not run;\n"
            "save its state_dict alone, best as .safetensors"
        ) from error
    except DAMAGED as error:
        reason = " ".join(str(error).partition("\n")[0].split())[:120]
        raise UserError(f"{owner}: {path} is damaged or cut short ({reason}); fetch or make it anew") from error
    for key in WRAPPED:
        found = found[key] if isinstance(found, Mapping) and isinstance(found.get(key), Mapping) else found
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()) or not found:
        raise UserError(f"{owner}: {path} holds no tensors by name; save a network's state_dict()")
    return dict(found)


def put_into(
    network: nn.Module, tensors: Mapping[str, Tensor], spare: Callable[[], set[str]], owner: str, path: str
) -> None:
    """Put a file's tensors into a network, all of it from the file.

    Args:
        network: changed in place.
        tensors: by name; their types become the network's.
        spare: names that the file may have besides, those of a classifier; asked only where there are any.
        owner: whose network it is, for the message.
        path: of the file, for the message.

    Raises:
        UserError: the file lacks names or has others, or shapes differ: it says which.
    """
    problem = misfit(network, tensors, spare)
    if problem:
        raise UserError(f"{owner}: {path} does not fit: {problem}")
    wanted = network.state_dict()
    network.load_state_dict({name: tensors.get(name, value) for name, value in wanted.items()})


def misfit(network: nn.Module, tensors: Mapping[str, Tensor], spare: Callable[[], set[str]]) -> str:
    """What is between a file and a network, in words; empty if nothing is."""
    wanted = network.state_dict()
    missing = [name for name in wanted if name not in tensors and not name.endswith(COUNTER)]
    surplus = [name for name in tensors if name not in wanted]
    if surplus:
        allowed = spare()
        surplus = [name for name in surplus if name not in allowed]
    other = [
        f"{name} is {tuple(tensors[name].shape)} in the file and {tuple(value.shape)} in the network"
        for name, value in wanted.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    said = [
        _listed(missing, "missing in the file"),
        _listed(surplus, "unknown to the network"),
        _listed(other, "of another shape"),
    ]
    return "; ".join(part for part in said if part)


def _listed(names: list[str], what: str) -> str:
    """`5 of another shape: a, b, c, ...`, or nothing."""
    more = ", ..." if len(names) > SHOWN else ""
    return f"{len(names)} {what}: {', '.join(names[:SHOWN])}{more}" if names else ""
