"""Encoders of the library timm: any form of output, small pictures, norms, frozen and pretrained."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalitySpec
from fusionbench.encoders.timm import SMALLEST, Timm

SPEC = ModalitySpec("x", "image", (2, 32, 16))
WIDTH = 6
CONVOLUTIONAL = ("test_resnet", "test_convnext", "test_efficientnet")


def built(spec: ModalitySpec = SPEC, **options: Any) -> Timm:
    torch.manual_seed(0)
    chosen: dict[str, Any] = {"width": WIDTH, "model": "test_resnet"} | options
    return Timm(spec, **chosen)


def encoded(encoder: Timm, x: Tensor) -> Encoded:
    with torch.no_grad():
        return encoder(x, None, torch.ones(len(x), dtype=torch.bool))


def pictures(size: int = 3) -> Tensor:
    return torch.randn(size, *SPEC.shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("model", [*CONVOLUTIONAL, "test_vit", "mobilenetv3_small_050", "levit_128s"])
def test_any_form_of_network_gives_steps_and_their_mean(model: str) -> None:
    encoder = built(model=model)
    one = encoded(encoder.eval(), pictures())
    assert one.tokens.shape == (3, one.mask.shape[1], WIDTH)
    assert one.mask.all()
    torch.testing.assert_close(one.pooled, one.tokens.mean(1))
    alone = encoded(encoder.train(), pictures()[1:2])
    torch.testing.assert_close(encoded(encoder, pictures()).pooled[1:2], alone.pooled, rtol=1e-4, atol=1e-5)


def test_maps_with_channels_last_are_read_as_such() -> None:
    encoder = built(model="swin_tiny_patch4_window7_224", size=56)
    x = torch.zeros(1, 2, 56, 56)
    expected = encoder.eval().trunk(x)  # (B, H, W, F)
    assert expected.shape[1:] == (2, 2, 768)
    with torch.no_grad():
        torch.testing.assert_close(encoded(encoder, x).tokens[0], encoder.project(expected.flatten(1, 2))[0])


@pytest.mark.parametrize("model", CONVOLUTIONAL)
def test_small_pictures_are_enlarged_until_some_positions_are_left(model: str) -> None:
    encoder = built(model=model)
    assert encoder.scaled == (2 * SMALLEST, SMALLEST)
    assert encoded(encoder.eval(), pictures()).tokens.shape[1] == 4 * 2
    assert built(ModalitySpec("x", "image", (3, 96, 80)), model=model).scaled == (96, 80)
    assert built(model=model, size=32).scaled == (64, 32)


def test_a_network_of_one_size_gets_that_size_or_the_one_named() -> None:
    assert built(model="test_vit").scaled == (160, 160)
    encoder = built(model="test_vit", size=48)
    assert encoder.scaled == (48, 48)
    assert encoded(encoder.eval(), pictures()).tokens.shape[1] == 9 + 1


@pytest.mark.parametrize("model", ["test_resnet", "test_efficientnet", "levit_128s"])
def test_from_scratch_no_batch_norm_is_left_and_activations_are(model: str) -> None:
    encoder = built(model=model)
    plain = timm.create_model(model, num_classes=0, global_pool="")
    norms = [part for part in plain.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    assert norms
    assert not [part for part in encoder.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    assert sum(isinstance(part, nn.GroupNorm) for part in encoder.modules()) == len(norms)
    acts = sum(type(part) is nn.SiLU for part in plain.modules())
    assert sum(type(part) is nn.SiLU for part in encoder.modules()) == acts


def test_frozen_trains_the_last_map_only() -> None:
    encoder = built(frozen=True).train()
    encoder(pictures(), None, torch.ones(3, dtype=torch.bool)).pooled.sum().backward()
    assert {name for name, p in encoder.named_parameters() if p.requires_grad} == {"project.weight", "project.bias"}
    assert all((p.grad is not None) == name.startswith("project") for name, p in encoder.named_parameters())
    assert encoder.training
    assert not any(part.training for part in encoder.trunk.modules())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "resnet81"}, "no model 'resnet81'; did you mean 'resnet18'?"),
        ({"model": "resnet18.a1_in1kk"}, "cannot be used here: Invalid pretrained tag"),
        ({"model": "deit_tiny_distilled_patch16_224"}, "cannot be used here: The distilled head"),
    ],
)
def test_a_network_that_cannot_be_used_is_one_line(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as raised:
        built(**options)
    assert words in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
