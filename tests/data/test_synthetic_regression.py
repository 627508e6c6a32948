"""synthetic_regression: what it says of itself is true, as scikit-learn's regressions see it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from fusionbench.core.errors import UserError
from fusionbench.data.synthetic_regression import SyntheticRegression

RELATIONS = ("redundant", "unique_a", "unique_b", "sum", "product")
SMALL = {"train": 512, "validation": 64, "test": 512}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., SyntheticRegression]:
    root = tmp_path_factory.mktemp("data")

    def make(seed: int = 0, **options: Any) -> SyntheticRegression:
        data = SyntheticRegression(root, seed, **{"relation": "product", **SMALL, **options})
        data.setup()
        return data

    return make


def parts(data: SyntheticRegression) -> dict[str, np.ndarray]:
    assert data.parts is not None
    return {"train": data.parts.train, "validation": data.parts.validation, "test": data.parts.test}


def r2(data: SyntheticRegression, modalities: str) -> float:
    """Of a linear regression on the vectors, on the test rows."""
    seen = {name: data.batch(rows) for name, rows in parts(data).items()}
    x, unseen = (np.concatenate([seen[p].inputs[m].numpy() for m in modalities], 1) for p in ("train", "test"))
    return float(LinearRegression().fit(x, seen["train"].targets).score(unseen, seen["test"].targets))


@pytest.mark.parametrize("relation", RELATIONS)
def test_every_part_has_mean_0_and_as_many_of_each_sign(
    made: Callable[..., SyntheticRegression], relation: str
) -> None:
    data = made(relation=relation)
    for rows in parts(data).values():
        assert abs(float(np.mean(data.arrays["targets"][rows]))) < 1e-12
        signs = np.asarray(data.arrays["numbers"])[rows] > 0
        assert np.bincount(signs @ [1, 2, 4], minlength=8).tolist() == [len(rows) // 8] * 8
    assert np.var(data.arrays["targets"]) == pytest.approx(1.0, abs=0.15)


def test_in_a_product_no_function_of_one_modality_goes_with_the_target(
    made: Callable[..., SyntheticRegression],
) -> None:
    data = made()
    rng = np.random.default_rng(0)
    for rows in parts(data).values():
        a, b, c = np.asarray(data.arrays["numbers"])[rows].T
        y = np.asarray(data.arrays["targets"])[rows]
        np.testing.assert_allclose(y, a * b)
        for _ in range(20):
            p, q, r = rng.normal(size=3)
            one, other = np.sin(p * a + q * c) + a**3, np.tanh(r * b - q * c)
            assert abs(y @ one) < 1e-9
            assert abs(y @ other) < 1e-9
            assert ((y - one - other) ** 2).sum() >= (y**2).sum()


EXPECTED = {
    "redundant": (0.98, 0.98, 0.98),
    "unique_a": (0.98, 0.0, 0.98),
    "unique_b": (0.0, 0.98, 0.98),
    "sum": (0.49, 0.49, 0.98),
    "product": (0.0, 0.0, 0.0),
}
"""R2 of a linear regression on the first, on the second, on both modalities."""


@pytest.mark.parametrize("relation", RELATIONS)
def test_each_modality_tells_what_the_relation_says(made: Callable[..., SyntheticRegression], relation: str) -> None:
    data = made(relation=relation)
    found = [r2(data, modalities) for modalities in ("a", "b", "ab")]
    assert found == pytest.approx(EXPECTED[relation], abs=0.16 if relation == "product" else 0.1)


def test_the_seed_moves_whole_eights_between_training_and_validation_and_never_the_test_rows(
    made: Callable[..., SyntheticRegression],
) -> None:
    one, other = parts(made(0)), parts(made(1))
    assert one["test"].tolist() == other["test"].tolist()
    assert one["validation"].tolist() != other["validation"].tolist()
    assert sorted(np.concatenate([one["train"], one["validation"]]).tolist()) == list(range(576))
    eights = {int(row) // 8 for row in one["validation"]}
    assert len(eights) == 8


def test_other_sizes_leave_the_test_rows_as_they_are(made: Callable[..., SyntheticRegression]) -> None:
    one, other = made(), made(train=256)
    for name in ("a", "b", "targets"):
        np.testing.assert_array_equal(one.arrays[name][-512:], other.arrays[name][-512:])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"train": 100}, "train must be a multiple of 8, .* got 100, use 96"),
        ({"test": 0}, "test must be a multiple of 8, .* got 0, use 8"),
        ({"width": 1}, "width must be at least 2, got 1"),
        ({"noise": -0.5}, "noise must be a finite number from 0 on, got -0.5"),
        ({"noise": float("nan")}, "noise must be a finite number"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(tmp_path: Path, options: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        SyntheticRegression(tmp_path, **{"relation": "sum", **options})
