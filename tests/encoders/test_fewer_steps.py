"""The option `steps`: neighbouring real steps averaged, against a slow loop, in every encoder that has it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from test_encoders import PAIRS
from torch import Tensor

from fusionbench.core.catalogue import checked_options, describe
from fusionbench.core.errors import UserError
from fusionbench.core.task import TaskSpec
from fusionbench.encoders._steps import averaged
from fusionbench.fusion._stages import level_vectors, most_steps, one_step_each
from fusionbench.fusion.base import Setting
from fusionbench.fusion.concat import ConcatFusion
from fusionbench.plan.suite import Choice
from fusionbench.testing.encoders import SPECS, STEPS, WIDTH, WITH_STEPS, built, encoded, put, samples

LENGTHS = torch.tensor([[STEPS], [1], [3], [0]])
MASK = torch.arange(STEPS) < LENGTHS
WITH_OPTION = [
    (name, kind) for name, kind in PAIRS if kind in WITH_STEPS and "steps" in describe("encoder", name).options
]
OF_ANY_NUMBER = [pair for pair in WITH_OPTION if pair[1] != "bag"]
FORMS: dict[str, list[dict[str, Any]]] = {
    "lstm": [{"pool": "max", "layers": 2}, {"pool": "last"}],
    "transformer": [{"layers": 1}],
}
CASES = [(name, kind, form) for name, kind in OF_ANY_NUMBER for form in FORMS.get(name, [{}])]


def slowly(steps: np.ndarray[Any, Any], mask: np.ndarray[Any, Any], most: int) -> list[np.ndarray[Any, Any]]:
    """Each sample's means of runs, by a loop: the first runs are those that are a step longer wherever that is so."""
    found = []
    for sample, real in zip(steps.astype(np.float64), mask, strict=True):
        left = [step for step, is_real in zip(sample, real, strict=True) if is_real]
        runs = min(most, len(left))
        borders = [-(-k * len(left) // runs) for k in range(runs + 1)] if runs else [0]
        found.append(np.array([np.mean(left[a:b], 0) for a, b in pairwise(borders)]))
    return found


@pytest.mark.parametrize("most", [1, 2, 3, 5, 7, 16, 40])
def test_runs_are_averaged_as_a_slow_loop_does_wherever_the_padding_stands(most: int) -> None:
    draw = torch.Generator().manual_seed(most)
    mask = torch.rand(50, 17, generator=draw) < torch.rand(50, 1, generator=draw)
    mask[0], mask[1], mask[2] = False, True, torch.arange(17) == 16
    steps = torch.randn(50, 17, 3, generator=draw)
    found, left = averaged(put(steps, ~mask, torch.nan), mask, most)
    assert found.shape == (50, min(most, 17), 3)
    assert left.shape == found.shape[:2]
    for one, there, expected in zip(found, left, slowly(steps.numpy(), mask.numpy(), most), strict=True):
        assert there.sum() == len(expected)
        assert there.tolist() == sorted(there.tolist(), reverse=True)
        np.testing.assert_allclose(one[there].numpy().reshape(len(expected), 3), expected.reshape(-1, 3), atol=1e-6)
        assert not one[~there].any()


def test_lengths_of_runs_differ_by_one_at_most() -> None:
    for count in range(1, 40):
        for most in range(1, 40):
            numbers = torch.arange(float(count))[None, :, None]
            means, left = averaged(numbers, torch.ones(1, count, dtype=torch.bool), most)
            # A run's mean is the middle between its ends; each begins where the one before has ended.
            end, lengths = -1.0, []
            for mean in means[0, :, 0].tolist():
                lengths.append(2 * (mean - end) - 1)
                end += lengths[-1]
            assert left.sum() == len(lengths) == min(most, count)
            assert end == pytest.approx(count - 1, abs=1e-3)
            assert max(lengths) - min(lengths) <= 1 + 1e-3


def test_few_steps_stay_as_they_are_and_0_changes_nothing() -> None:
    steps, mask = torch.randn(4, STEPS, 3), MASK
    found, left = averaged(steps, mask, STEPS)
    assert torch.equal(found, steps * mask[..., None])
    assert torch.equal(left, mask)
    same, whole = averaged(steps, mask, 0)
    assert same is steps
    assert whole is mask


def test_each_real_step_has_its_share_of_the_gradient_and_padding_none() -> None:
    steps = torch.randn(1, 6, 2).requires_grad_()
    mask = torch.tensor([[True, False, True, True, False, True]])
    found, _ = averaged(steps, mask, 2)
    torch.autograd.backward(found.sum())
    assert steps.grad is not None
    assert steps.grad[0, :, 0].tolist() == [0.5, 0.0, 0.5, 0.5, 0.0, 0.5]


@pytest.mark.parametrize(("name", "kind", "form"), CASES)
@pytest.mark.parametrize("most", [1, 2, 5, 30])
def test_tokens_are_averages_of_all_steps_and_the_rest_is_as_it_was(
    name: str, kind: str, form: dict[str, Any], most: int
) -> None:
    whole = encoded(built(name, kind, form), samples(kind), MASK)
    found = encoded(built(name, kind, form | {"steps": most}), samples(kind), MASK)
    assert torch.equal(found.pooled, whole.pooled)
    assert all(map(torch.equal, found.stages, whole.stages))
    assert found.tokens.shape == (4, min(most, STEPS), WIDTH)
    expected = slowly(whole.tokens.numpy(), MASK.numpy(), most)
    for one, left, means in zip(found.tokens, found.mask, expected, strict=True):
        assert left.sum() == len(means)
        np.testing.assert_allclose(one[left].numpy(), means.reshape(-1, WIDTH), rtol=1e-4, atol=1e-6)
        assert not one[~left].any()


@pytest.mark.parametrize(("name", "kind", "form"), CASES)
def test_padding_and_batch_mates_do_not_matter(name: str, kind: str, form: dict[str, Any]) -> None:
    encoder, x = built(name, kind, form | {"steps": 2}), samples(kind)
    expected = encoded(encoder, x, MASK)
    found = encoded(encoder, put(x, ~MASK, torch.nan), MASK)
    torch.testing.assert_close(found.tokens, expected.tokens)
    alone = encoded(encoder, x[2:3, :3])
    torch.testing.assert_close(alone.tokens, expected.tokens[2:3])
    encoder.train()
    torch.testing.assert_close(encoded(encoder, x, MASK).tokens, expected.tokens)


@pytest.mark.parametrize(("name", "kind", "form"), CASES)
def test_every_parameter_learns_from_the_tokens_alone(name: str, kind: str, form: dict[str, Any]) -> None:
    encoder = built(name, kind, form | {"steps": 2}).train()
    one = encoder(samples(kind, 32), None, torch.ones(32, dtype=torch.bool))
    torch.autograd.backward(one.tokens.square().sum())
    assert all(p.grad is not None and bool(p.grad.any()) for p in encoder.parameters())


@pytest.mark.parametrize(("name", "kind", "form"), CASES)
def test_vectors_of_the_hidden_layers_are_those_of_all_steps(name: str, kind: str, form: dict[str, Any]) -> None:
    x = samples(kind)
    whole, fewer = (encoded(built(name, kind, form | {"steps": most}), x, MASK) for most in (0, 2))
    for one in (whole, fewer):
        one.present = torch.tensor([True, True, False, True])
    levels = max(1, len(whole.stages))
    assert all(map(torch.equal, level_vectors(whole, levels), level_vectors(fewer, levels)))
    stored = replace(fewer, stages=tuple(level_vectors(fewer, levels)), stage_mask=None)
    assert all(map(torch.equal, level_vectors(whole, levels), level_vectors(stored, levels)))


@pytest.mark.filterwarnings("ignore:The tensor attributes:UserWarning")  # torch's own recurrences, at export.
@pytest.mark.parametrize(("name", "kind"), WITH_OPTION)
def test_it_can_be_exported_for_any_number_of_samples(name: str, kind: str) -> None:
    encoder, x = built(name, kind, {"steps": 1 if kind == "bag" else 3}), samples(kind)

    class Tokens(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(self, x: Tensor, mask: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
            one = self.encoder(x, mask, present)
            return one.tokens, one.mask

    size = torch.export.Dim("batch")
    here = torch.ones(4, dtype=torch.bool)
    program = torch.export.export(Tokens(), (x, MASK, here), dynamic_shapes=({0: size},) * 3)
    other = samples(kind, 6)
    mask, present = MASK[[1, 0, 2, 3, 0, 2]], torch.ones(6, dtype=torch.bool)
    tokens, left = program.module()(other, mask, present)
    expected = encoded(encoder, other, mask)
    torch.testing.assert_close(tokens, expected.tokens)
    assert torch.equal(left, expected.mask)


@pytest.mark.parametrize("pool", ["sum", "mean"])
def test_a_bag_gives_its_vector_as_the_only_token(pool: str) -> None:
    x = samples("bag")
    whole, one = (encoded(built("bag", "bag", {"pool": pool, "steps": most}), x, MASK) for most in (0, 1))
    assert torch.equal(one.pooled, whole.pooled)
    assert torch.equal(one.tokens, whole.pooled[:, None])
    assert one.mask.flatten().tolist() == [True, True, True, False]


def test_another_number_of_steps_of_a_bag_is_refused() -> None:
    with pytest.raises(UserError) as raised:
        checked_options(describe("encoder", "bag"), {"steps": 16}, lambda *path: "suite.yaml")
    assert str(raised.value) == "suite.yaml: encoder 'bag': give 0 or 1, got 16"


@pytest.mark.parametrize(("name", "kind"), OF_ANY_NUMBER)
def test_a_number_below_0_is_refused(name: str, kind: str) -> None:
    with pytest.raises(UserError, match=f"encoder '{name}': steps is -1; it must be"):
        built(name, kind, {"steps": -1})


@pytest.mark.parametrize("name", sorted({name for name, _ in WITH_OPTION}))
def test_without_it_a_key_is_what_it_was(name: str) -> None:
    plugin = describe("encoder", name)
    assert "steps" not in checked_options(plugin, {}, lambda *path: "")
    assert "steps" not in checked_options(plugin, {"steps": 0}, lambda *path: "")
    assert checked_options(plugin, {"steps": 1}, lambda *path: "")["steps"] == 1


def test_fusion_is_told_how_many_steps_there_are_at_most() -> None:
    def steps(name: str, kind: str, most: int) -> int:
        return most_steps(SPECS[kind], built(name, kind, {"steps": most}))

    for name, kind in OF_ANY_NUMBER:
        assert [steps(name, kind, most) for most in (0, 3, 30)] == [STEPS, 3, STEPS]
    assert [steps("bag", "bag", most) for most in (0, 1)] == [STEPS, 1]
    assert steps("mlp", "vector", 3) == 1


def test_attention_has_nothing_to_choose_from_where_one_step_is_left_of_each() -> None:
    specs = (replace(SPECS["tokens"], name="a"), replace(SPECS["bag"], name="b"))
    for most, expected in ((0, False), (1, True)):
        encoders = {
            "a": Choice("lstm", {"width": WIDTH, "steps": most}),
            "b": Choice("bag", {"width": WIDTH, "steps": 1}),
        }
        module = ConcatFusion(Setting(TaskSpec(specs, 3), encoders, WIDTH))
        assert one_step_each(module.task, module.encoders) is expected
