"""Models that are really trained, for measures of trained models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from fusionbench.core.catalogue import load
from fusionbench.data.base import MultimodalData
from fusionbench.fusion.base import FusionModule, Optimiser, Setting
from fusionbench.measure.trained import Trained
from fusionbench.plan.suite import Choice
from fusionbench.testing.samples import quiet_trainer


def trained(data: MultimodalData, strategy: str, epochs: int = 10, **options: Any) -> Trained:
    """A strategy after a short training with small encoders."""
    data.prepare_data()
    data.setup()
    torch.manual_seed(0)
    encoders = {name: Choice("mlp", {"width": 32}) for name in data.task.names}
    setting = Setting(data.task, encoders, 32, 32, optimiser=Optimiser(5e-3))
    module: FusionModule = load("strategy", strategy)(setting, **options)
    quiet_trainer(epochs, limit_val_batches=0).fit(module, data)
    return Trained(module, data, data)


def folder(tmp: Path) -> Path:
    """A data folder, made if it is not there."""
    tmp.mkdir(parents=True, exist_ok=True)
    return tmp
