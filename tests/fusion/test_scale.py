"""Contract point 10 over every strategy: no head starts on a signal that is too small, too large or a constant."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest
import torch
from shipped import WITH_HEAD

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.catalogue import describe, load
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.fusion.base import FusionModule, Setting
from fusionbench.plan.suite import Choice
from fusionbench.testing.scale import (
    SAMPLES,
    check_scale,
    check_scale_of_fusion,
    half_absent,
    half_absent_encoded,
    unit_normal,
)

WIDTH, SEEDS = 128, (0, 1, 2)
VECTORS = TaskSpec(tuple(ModalitySpec(name, "vector", (WIDTH,)) for name in ("a", "b")), classes=10)
REAL = os.environ.get("FUSIONBENCH_TEST_DATA", "")
SHARDS = {"train": "validate 0-1", "validation": "validate 2", "test": "validate 3"}


def suited(strategy: str, setting: Setting, **options: object) -> FusionModule:
    """The strategy with its default options; skipped where it says that it does not take the setting."""
    kind = load("strategy", strategy)
    reason = kind.unsuitable(setting)
    if reason:
        pytest.skip(f"{strategy}: {reason}")
    by = describe("strategy", strategy).facts.get("per_modality")
    torch.manual_seed(setting.seed)
    module: FusionModule = kind(setting, **({str(by): setting.task.names[0]} if by else {}))
    return module


@cache
def real(dataset: str) -> tuple[TaskSpec, dict[str, Choice], MultimodalBatch]:
    """512 training samples of a dataset, its task, and its default encoders."""
    options = {"shards": SHARDS} if dataset == "youtube8m" else {}
    data = load("dataset", dataset)(Path(REAL) if REAL else None, 0, SAMPLES, **options)
    data.prepare_data()
    data.setup()
    defaults = describe("dataset", dataset).facts["default_encoders"]
    choices = {}
    for spec in data.task.modalities:
        given = defaults.get(spec.name, defaults.get(spec.kind))
        name, own = (given, {}) if isinstance(given, str) else (given["name"], given.get("options", {}))
        choices[spec.name] = Choice(name, {**own, "width": WIDTH})
    return data.task, choices, data.batch(data.parts.train[:SAMPLES])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("strategy", WITH_HEAD)
def test_on_unit_normal_encodings(strategy: str, seed: int) -> None:
    encoders = {name: Choice("linear", {"width": WIDTH}) for name in VECTORS.names}
    module = suited(strategy, Setting(VECTORS, encoders, WIDTH, WIDTH, seed=seed))
    encoded = unit_normal(VECTORS.names, WIDTH, seed)
    if set(module.encoders) != set(module.modalities_used()) or not module.cacheable:
        pytest.skip(f"{strategy} does not start from encodings")
    check_scale_of_fusion(module, encoded)
    for name in module.modalities_used():
        check_scale_of_fusion(module, half_absent_encoded(encoded, name))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("strategy", WITH_HEAD)
@pytest.mark.parametrize("dataset", ["digits", "youtube8m"])
def test_on_what_real_encoders_give(strategy: str, dataset: str, seed: int) -> None:
    if dataset == "youtube8m" and not REAL:
        pytest.skip("needs YouTube-8M records: FUSIONBENCH_TEST_DATA names no folder")
    task, encoders, batch = real(dataset)
    module = suited(strategy, Setting(task, encoders, WIDTH, WIDTH, seed=seed))
    check_scale(module, batch)
    for name in module.modalities_used():
        check_scale(module, half_absent(batch, name))
