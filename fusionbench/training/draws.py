"""Random draws of several devices: each draws for the whole batch and keeps its own part, so all get what one would.

Every device starts a training step from the same state of its generator. What is drawn for each sample (a tensor whose
first dimension is the batch, or a multiple of it: a batch laid flat) is drawn for the samples of all devices, in the
same form and memory layout as in one process, and cut; any other draw is the same on all devices as it is.

Draws are met where PyTorch makes them, below autograd: so those of any layer, functional or method are found, dropout
within attention and recurrent layers among them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from fusionbench.core.ranks import Ranks


class SharedDraws(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, random operations on `batch` samples are this device's part of those on everybody's."""

    def __init__(self, ranks: Ranks, batch: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.ranks, self.batch = ranks, batch

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        """Called for every operation of PyTorch's core."""
        given = kwargs or {}
        if not _is_random(func):
            return func(*args, **given)
        if "attention" in func.overloadpacket.__name__:
            _refuse_dropout(func, args, given)
            return func(*args, **given)
        if any(self._is_by_sample(value) for value in args):
            return self._on_everybodys(func, args, given)
        place = _argument(func, "size")
        if place < len(args) and args[place] and self._is_multiple(args[place][0]):
            mine = args[place][0]
            whole = func(*args[:place], [mine * self.ranks.world_size, *args[place][1:]], *args[place + 1 :], **given)
            return whole[self._span(mine)].clone()
        return func(*args, **given)

    def _on_everybodys(self, func: Any, args: tuple[Any, ...], given: dict[str, Any]) -> Any:
        """The operation on tensors as large as all devices' together, in which only our part is ours."""
        whole = [self._widened(value) if self._is_by_sample(value) else value for value in args]
        found = func(*whole, **given)
        for argument, mine, wide in zip(func._schema.arguments, args, whole, strict=False):
            if wide is not mine and argument.alias_info is not None and argument.alias_info.is_write:
                mine.copy_(wide[self._span(len(mine))])
        results = found if isinstance(found, tuple) else (found,)
        own = tuple(self._own(result, args, whole) for result in results)
        return own if isinstance(found, tuple) else own[0]

    def _own(self, result: Any, args: tuple[Any, ...], whole: list[Any]) -> Any:
        for mine, wide in zip(args, whole, strict=True):
            if result is wide:
                return mine  # An operation in place gives back what it was given.
        if isinstance(result, Tensor) and result.dim() and not len(result) % (self.batch * self.ranks.world_size):
            return result[self._span(len(result) // self.ranks.world_size)].clone()
        return result

    def _widened(self, mine: Tensor) -> Tensor:
        """As many ones as all devices have, laid out in memory as `mine` is, with `mine` in our part."""
        # From the outermost dimension in memory to the innermost: generators fill a tensor in that order.
        strides = mine.stride()
        order = sorted(range(mine.dim()), key=lambda axis: -strides[axis])
        sizes = [mine.shape[axis] * (self.ranks.world_size if axis == 0 else 1) for axis in order]
        whole = torch.ones(sizes, dtype=mine.dtype, device=mine.device)
        whole = whole.permute([order.index(axis) for axis in range(mine.dim())])
        whole[self._span(len(mine))] = mine
        return whole

    def _is_by_sample(self, value: Any) -> bool:
        return isinstance(value, Tensor) and value.dim() > 0 and self._is_multiple(len(value))

    def _is_multiple(self, length: int) -> bool:
        return length > 0 and length % self.batch == 0

    def _span(self, mine: int) -> slice:
        return slice(self.ranks.rank * mine, (self.ranks.rank + 1) * mine)


@lru_cache(maxsize=4096)
def _is_random(func: Any) -> bool:
    return torch.Tag.nondeterministic_seeded in func.tags


@lru_cache(maxsize=256)
def _argument(func: Any, name: str) -> int:
    """The place of an argument; beyond all of them if there is none of that name."""
    names = [argument.name for argument in func._schema.arguments]
    return names.index(name) if name in names else len(names)


def _refuse_dropout(func: Any, args: tuple[Any, ...], given: dict[str, Any]) -> None:
    """Fused attention draws within its kernel, by the place in the batch that it sees."""
    place = _argument(func, "dropout_p")
    if given.get("dropout_p", args[place] if place < len(args) else 0.0):
        raise RuntimeError(
            "dropout within fused attention cannot be shared out among devices: "
            "call it under torch.nn.attention.sdpa_kernel(SDPBackend.MATH), or train on one device"
        )
