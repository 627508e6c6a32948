"""What a strategy asks that needs the samples of all devices, not only this one's: the same number on each of them."""

from __future__ import annotations

from torch import Tensor, distributed

from fusionbench.fusion.base import FusionModule


def device_count(module: FusionModule) -> int:
    """How many train the module together; 1 without a Trainer."""
    return 1 if module._trainer is None else module.trainer.world_size


def sum_over_devices(module: FusionModule, values: Tensor) -> Tensor:
    """The sum of what each device has; no gradient goes through it."""
    total = values.detach().clone()
    if device_count(module) > 1:
        distributed.all_reduce(total)
    return total


def mean_over_devices(module: FusionModule, values: Tensor) -> Tensor:
    """The mean of what each device has; no gradient goes through it."""
    return sum_over_devices(module, values) / device_count(module)
