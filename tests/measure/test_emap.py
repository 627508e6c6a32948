"""The additive projection: by hand, of models that are sums over modalities, and of one that is not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from fusionbench.core.catalogue import describe, names
from fusionbench.measure.bank import Places
from fusionbench.measure.emap import Outputs, projection
from fusionbench.testing.samples import batch_of, built, logits_of, rows_of, task_of

SUMS = [name for name in names("strategy") if describe("strategy", name).facts["interaction"] == "none"]
NOT_IN_LOGITS = {"unimodal_ensemble", "alternating"}
"""They are sums of probabilities, or of what weights say of each: not of logits."""
N = 12


def of(outputs: Outputs, modalities: tuple[str, ...], count: int = N) -> Tensor:
    return projection(outputs, modalities, count, np.random.default_rng(0), lambda *_: None)


def numbers(count: int, modalities: int) -> Tensor:
    return torch.randn(modalities, count, 3, generator=torch.Generator().manual_seed(0)).double()


def test_two_modalities_by_the_formula_itself() -> None:
    a, b = numbers(N, 2)
    f = (a[:, None] * b[None]).sin() + a[:, None]  # (i, j, C)
    expected = f.mean(1) + f.mean(0) - f.mean((0, 1))
    found = of(lambda places: f[places["a"], places["b"]], ("a", "b"))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("modalities", [1, 2, 3, 4])
def test_a_sum_over_modalities_is_its_own_projection(modalities: int) -> None:
    x = dict(zip("abcd", numbers(N, modalities), strict=False))

    def outputs(places: dict[str, Places]) -> Tensor:
        return torch.stack([x[name][at] for name, at in places.items()]).sum(0)

    torch.testing.assert_close(of(outputs, tuple(x)), sum(x.values(), torch.zeros(())))


def test_of_three_modalities_the_projection_is_near_the_one_over_all_combinations() -> None:
    count = 150
    a, b, c = numbers(count, 3)[..., :1]
    found = of(lambda p: a[p["a"]] * b[p["b"]] + b[p["b"]] * c[p["c"]], ("a", "b", "c"), count)
    means = [x.mean(0) for x in (a, b, c)]
    exact = a * means[1] + means[0] * b + b * means[2] + means[1] * c - means[0] * means[1] - means[1] * means[2]
    assert float((found - exact).abs().max()) < 0.5  # Of values with a deviation of 1.4; the sample is of 150.
    assert float((found - (a * b + b * c)).abs().max()) > 2


@pytest.mark.parametrize("modalities", [2, 3])
@pytest.mark.parametrize("strategy", [name for name in SUMS if name not in NOT_IN_LOGITS])
def test_without_interaction_the_projection_equals_the_logits_to_float_rounding(strategy: str, modalities: int) -> None:
    task = task_of(("vector",) * modalities)  # type: ignore[arg-type]
    module, batch = built(strategy, task), batch_of(task, N)

    def outputs(places: dict[str, Places]) -> Tensor:
        mixed = rows_of(batch, torch.from_numpy(next(iter(places.values()))))
        mixed.inputs.update({name: batch.inputs[name][at] for name, at in places.items()})
        return logits_of(module, mixed)

    own = logits_of(module, batch).double()
    assert float((of(outputs, task.names) - own).abs().max()) < 1e-5 * max(1.0, float(own.abs().max()))


def test_with_interactions_it_does_not() -> None:
    task = task_of(("vector", "vector"))
    module, batch = built("concat", task), batch_of(task, N)

    def outputs(places: dict[str, Places]) -> Tensor:
        mixed = rows_of(batch, torch.from_numpy(places["m0"]))
        mixed.inputs["m1"] = batch.inputs["m1"][places["m1"]]
        return logits_of(module, mixed)

    assert float((of(outputs, task.names) - logits_of(module, batch)).abs().max()) > 1e-3
