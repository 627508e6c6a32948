"""Shared layers."""

from __future__ import annotations

import pytest
import torch

from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.fusion.base import Setting, task_loss
from fusionbench.fusion.blocks import mlp_head


def test_a_multilabel_head_starts_by_expecting_about_one_label_a_sample() -> None:
    task = TaskSpec((ModalitySpec("x", "vector", (8,)),), 3862, "multilabel", "gap20")
    torch.manual_seed(0)
    logits = mlp_head(8, Setting(task, {}, head_width=64))(torch.randn(32, 8)).detach()
    assert float(logits.sigmoid().sum(1).mean()) == pytest.approx(1, rel=0.1)
    none = torch.zeros(32, 3862)
    assert float(task_loss(logits, none, task)) < 1.2
    assert float(task_loss(torch.zeros_like(logits), none, task)) > 2600


def test_a_multiclass_head_starts_as_torch_starts_it() -> None:
    task = TaskSpec((ModalitySpec("x", "vector", (8,)),), 10)
    torch.manual_seed(0)
    head = mlp_head(8, Setting(task, {}, head_width=64))
    assert head.get_parameter("4.bias").std() > 0.01
