"""The state of everything that draws, as plain values that are loaded without executing anything."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

ARRAY = "array of"
"""Marks an array among plain values: its type, beside its numbers."""
Drawing = torch.Generator | np.random.Generator | random.Random


def states_of(*owners: object) -> dict[str, Any]:
    """The generators of torch, NumPy and Python, and those that modules and other objects have as attributes."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    legacy = np.random.get_state(legacy=False)  # noqa: NPY002  (code of the user's own may draw from it)
    own = [_state_of(one) for one in _generators(owners)]
    return {
        "torch": torch.get_rng_state(),
        "cuda": cuda,
        "numpy": _plain(legacy),
        "python": random.getstate(),
        "own": own,
    }


def restore(states: Mapping[str, Any], *owners: object) -> None:
    """Put all of them back.

    Raises:
        Exception: the states are not those of these generators, in whatever words of their libraries.
    """
    torch.set_rng_state(states["torch"])
    if states["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])
    np.random.set_state(_unplain(states["numpy"]))  # noqa: NPY002
    random.setstate(_tuples(states["python"]))
    for one, state in zip(_generators(owners), states["own"], strict=True):
        if isinstance(one, torch.Generator):
            one.set_state(state)
        elif isinstance(one, random.Random):
            one.setstate(_tuples(state))
        else:
            one.bit_generator.state = _unplain(state)


def _generators(owners: tuple[object, ...]) -> Iterator[Drawing]:
    """In the order in which owners, and the parts of modules, have them."""
    for owner in owners:
        parts = owner.modules() if isinstance(owner, nn.Module) else [owner]
        for part in parts:
            yield from (value for value in vars(part).values() if isinstance(value, Drawing))


def _state_of(one: Drawing) -> Any:
    if isinstance(one, torch.Generator):
        return one.get_state()
    return one.getstate() if isinstance(one, random.Random) else _plain(one.bit_generator.state)


def _plain(value: Any) -> Any:
    """Arrays and numbers of NumPy, within mappings, as lists and numbers of Python."""
    if isinstance(value, np.ndarray):
        return {ARRAY: str(value.dtype), "of": value.tolist()}
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    return value.item() if isinstance(value, np.generic) else value


def _unplain(value: Any) -> Any:
    """The inverse of `_plain`."""
    if isinstance(value, Mapping):
        if ARRAY in value:
            return np.array(value["of"], dtype=value[ARRAY])
        return {name: _unplain(inner) for name, inner in value.items()}
    return value


def _tuples(value: Any) -> Any:
    """Sequences as tuples: what Python's own generator takes."""
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
