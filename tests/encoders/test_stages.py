"""Encoders stage by stage: the same as in one go, and maps that show nothing of padding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from test_encoders import PAIRS
from torch import Tensor

from fusionbench.core.batch import Encoded
from fusionbench.encoders.base import Encoder
from fusionbench.encoders.transformer import Transformer
from fusionbench.testing.encoders import STEPS, WIDTH, WITH_STEPS, built, encoded, put, samples

DEEP: dict[str, dict[str, Any]] = {
    "mlp": {"depth": 3},
    "small_cnn": {"channels": (4, 6, 8)},
    "lstm": {"layers": 2, "hidden": 5},
    "transformer": {"layers": 3},
}
ONE_LAYER = ("linear", "bag")
LENGTHS = torch.tensor([[STEPS], [1], [3], [0]])


def mask_of(kind: str) -> Tensor | None:
    return torch.arange(STEPS) < LENGTHS if kind in WITH_STEPS else None


def by_stages(encoder: Encoder, x: Tensor, mask: Tensor | None) -> tuple[Encoded, list[Tensor]]:
    with torch.no_grad():
        hidden, maps = encoder.begin(x, mask, torch.ones(len(x), dtype=torch.bool)), []
        for number in range(len(encoder.stage_widths)):
            hidden = encoder.stage(number, hidden)
            maps.append(hidden.clean())
        return encoder.finish(hidden), maps


@pytest.mark.parametrize(("name", "kind"), PAIRS)
@pytest.mark.parametrize("training", [False, True])
def test_stage_by_stage_is_what_it_is_in_one_go(name: str, kind: str, training: bool) -> None:
    encoder, x = built(name, kind, DEEP.get(name)).train(training), samples(kind)
    for mask in (None, mask_of(kind)):
        one, (same, maps) = encoded(encoder, x, mask), by_stages(encoder, x, mask)
        assert torch.equal(one.pooled, same.pooled)
        assert torch.equal(one.tokens, same.tokens)
        assert torch.equal(one.mask, same.mask)
        assert len(one.stages) == (0 if name in ONE_LAYER else len(maps))
        assert all(map(torch.equal, one.stages, maps))


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_every_map_has_the_channels_that_the_encoder_says(name: str, kind: str) -> None:
    encoder = built(name, kind, DEEP.get(name))
    _, maps = by_stages(encoder, samples(kind), mask_of(kind))
    found = tuple(one.shape[1] if one.dim() == 4 else one.shape[-1] for one in maps)
    assert found == encoder.stage_widths
    expected = {"mlp": (WIDTH,) * 3, "small_cnn": (4, 6, 8), "lstm": (10, 10), "transformer": (WIDTH,) * 3}
    assert found == expected.get(name, found)


@pytest.mark.parametrize(("name", "kind"), [pair for pair in PAIRS if pair[1] in WITH_STEPS])
@pytest.mark.parametrize("garbage", [1e6, torch.nan])
def test_maps_show_neither_padding_nor_what_stood_there(name: str, kind: str, garbage: float) -> None:
    encoder, x, mask = built(name, kind, DEEP.get(name)), samples(kind), mask_of(kind)
    assert mask is not None
    expected, found = (by_stages(encoder, one, mask)[1] for one in (x, put(x, ~mask, garbage)))
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(one, other)
        assert one.dim() == 2 or not one[~mask].any()


def test_where_a_modality_is_absent_its_steps_are_not_in_the_maps_whatever_the_mask_says() -> None:
    encoder, x = built("mlp", "sequence", DEEP["mlp"]), torch.zeros(2, STEPS, 4)
    one = encoder(x, torch.ones(2, STEPS, dtype=torch.bool), torch.tensor([True, False]))
    assert all(stage[0].any() and not stage[1].any() for stage in one.stages)


def test_layers_of_a_transformer_run_one_by_one_as_torch_runs_them_all() -> None:
    encoder, x, mask = built("transformer", "sequence", DEEP["transformer"]), samples("sequence"), mask_of("sequence")
    assert isinstance(encoder, Transformer)
    with torch.no_grad():
        hidden = encoder.begin(x, mask, torch.ones(4, dtype=torch.bool))
        expected = encoder.layers(hidden.map, src_key_padding_mask=hidden.kept)
    assert hidden.mask is not None
    assert torch.equal(encoded(encoder, x, mask).tokens, expected * hidden.mask[..., None])


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_what_changes_a_map_reaches_the_encoding_and_its_gradient_comes_back(name: str, kind: str) -> None:
    encoder, x = built(name, kind, DEEP.get(name)).requires_grad_(False), samples(kind)  # Frozen, in eval mode.
    gates = [torch.full((width,), 0.5, requires_grad=True) for width in encoder.stage_widths]
    hidden = encoder.begin(x, mask_of(kind), torch.ones(4, dtype=torch.bool))
    for number, gate in enumerate(gates):
        hidden = encoder.stage(number, hidden)
        shape = (-1, 1, 1) if hidden.map.dim() == 4 else (-1,)
        hidden = replace(hidden, map=hidden.map * gate.view(shape))
    pooled = encoder.finish(hidden).pooled
    assert not torch.allclose(pooled, encoded(encoder, x, mask_of(kind)).pooled)
    torch.autograd.backward(pooled.square().sum())
    assert all(gate.grad is not None and bool(gate.grad.any()) for gate in gates)


def test_an_encoder_that_overrides_nothing_says_what_it_has_to() -> None:
    class Empty(Encoder):
        kinds = ("vector",)

    whole = built("linear", "vector")
    with pytest.raises(TypeError, match="Empty overrides forward"):
        Empty(whole.spec, WIDTH)(samples("vector"), None, torch.ones(4, dtype=torch.bool))
