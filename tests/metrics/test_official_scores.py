"""YouTube-8M's scores against the numbers that the official evaluation code gave for the same predictions.

`youtube8m_official.json` says from which repository, commit and files the numbers came.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torchmetrics import Metric

from fusionbench.metrics.gap import GAP
from fusionbench.metrics.hit import HitAtOne
from fusionbench.metrics.mean_average_precision import MAPTopK
from fusionbench.metrics.perr import PERR

SETS = json.loads(Path(__file__).with_name("youtube8m_official.json").read_text(encoding="utf-8"))["sets"]


def inputs(name: str) -> tuple[Tensor, Tensor]:
    return torch.tensor(SETS[name]["predictions"]).logit(), torch.tensor(SETS[name]["labels"]).float()


def score(metric: Metric, name: str) -> float:
    logits, targets = inputs(name)
    for first in range(0, len(logits), 6):
        metric.update(logits[first : first + 6], targets[first : first + 6])
    return float(metric.compute())


@pytest.mark.parametrize("name", SETS)
def test_gap_hit_at_one_and_map_are_those_of_the_official_code(name: str) -> None:
    expected, classes = SETS[name], len(SETS[name]["labels"][0])
    assert score(GAP(top=expected["top"]), name) == pytest.approx(expected["gap"], abs=1e-6)
    assert score(HitAtOne(), name) == pytest.approx(expected["hit1"], abs=1e-6)
    assert score(MAPTopK(classes, top=expected["top"]), name) == pytest.approx(expected["map"], abs=1e-6)


@pytest.mark.parametrize("name", SETS)
def test_perr_is_that_of_the_official_code_over_the_samples_that_have_a_label(name: str) -> None:
    labelled = np.array(SETS[name]["labels"]).any(1).mean()
    # The official mean is over all samples, with 0 for one without labels.
    assert score(PERR(), name) * labelled == pytest.approx(SETS[name]["perr"], abs=1e-6)


def test_the_sets_hold_absent_classes_and_samples_without_labels() -> None:
    labels = [np.array(found["labels"]) for found in SETS.values()]
    assert [int((~one.any(0)).sum()) for one in labels] == [0, 4, 1]
    assert [int((~one.any(1)).sum()) for one in labels] == [0, 0, 5]
