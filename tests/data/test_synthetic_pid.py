"""synthetic_pid: what it says of itself is true, as scikit-learn's classifiers see it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mutual_info_score
from sklearn.neural_network import MLPClassifier

from fusionbench.core.errors import UserError
from fusionbench.data.synthetic_pid import SyntheticPID

RELATIONS = ("redundant", "unique_a", "unique_b", "synergy", "mixture")
PARTS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., SyntheticPID]:
    """The dataset of these options, set up; converted once for all tests here."""
    root = tmp_path_factory.mktemp("data")

    def make(seed: int = 0, **options: Any) -> SyntheticPID:
        data = SyntheticPID(root, seed, **{"relation": "synergy", **options})
        data.setup()
        return data

    return make


def rows(data: SyntheticPID, part: str) -> np.ndarray:
    assert data.parts is not None
    return {"train": data.parts.train, "validation": data.parts.validation, "test": data.parts.test}[part]


def bits(data: SyntheticPID, part: str) -> dict[str, np.ndarray]:
    cells = np.asarray(data.arrays["cells"])[rows(data, part)]
    return {"a": cells & 1, "b": cells >> 1 & 1, "c": cells >> 2 & 1, "r": cells >> 3}


def seen(data: SyntheticPID, modalities: str, part: str) -> tuple[np.ndarray, np.ndarray]:
    batch = data.batch(rows(data, part))
    return np.concatenate([batch.inputs[name].numpy() for name in modalities], 1), batch.targets.numpy()


def accuracy(model: Any, data: SyntheticPID, modalities: str) -> float:
    return float(model.fit(*seen(data, modalities, "train")).score(*seen(data, modalities, "test")))


def linear() -> LogisticRegression:
    return LogisticRegression(max_iter=500)


def network() -> MLPClassifier:
    return MLPClassifier((64,), max_iter=400, early_stopping=True, n_iter_no_change=15, random_state=0)


# --- balance and rows ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("relation", RELATIONS)
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("sizes", [{}, {"train": 96, "validation": 32, "test": 64}])
def test_every_cell_is_equally_often_in_every_part(
    made: Callable[..., SyntheticPID], relation: str, seed: int, sizes: dict[str, int]
) -> None:
    data = made(seed, relation=relation, **sizes)
    assert data.parts is not None
    assert data.parts.counts == {name: data.sizes[name] for name in PARTS}
    for part in PARTS:
        counts = np.bincount(np.asarray(data.arrays["cells"])[rows(data, part)], minlength=data.cells)
        assert counts.tolist() == [data.sizes[part] // data.cells] * data.cells
        assert np.bincount(np.asarray(data.arrays["targets"])[rows(data, part)]).tolist() == [data.sizes[part] // 2] * 2


def test_the_seed_moves_validation_and_never_the_test_rows_or_the_values(made: Callable[..., SyntheticPID]) -> None:
    one, other = made(0), made(1)
    assert one.fingerprint == other.fingerprint
    assert rows(one, "test").tolist() == rows(other, "test").tolist()
    assert rows(one, "validation").tolist() != rows(other, "validation").tolist()
    assert sorted([*rows(one, "train"), *rows(one, "validation"), *rows(one, "test")]) == list(range(4608))


def test_the_size_of_one_part_does_not_move_the_values_of_another(made: Callable[..., SyntheticPID]) -> None:
    one, other = made(), made(train=1024, validation=256)
    assert (seen(one, "ab", "test")[0] == seen(other, "ab", "test")[0]).all()
    more = made(test=4096)
    assert (np.asarray(one.arrays["a"])[:2560] == np.asarray(more.arrays["a"])[:2560]).all()


def test_two_conversions_give_the_same_values(tmp_path: Path) -> None:
    fingerprints = []
    for folder in ("one", "other"):
        data = SyntheticPID(tmp_path / folder, relation="synergy", train=64, validation=16, test=16)
        data.setup()
        fingerprints.append(data.fingerprint)
    assert fingerprints[0] == fingerprints[1]


# --- the construction ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("relation", RELATIONS)
def test_the_label_is_what_the_relation_says(made: Callable[..., SyntheticPID], relation: str) -> None:
    data = made(relation=relation)
    for part in PARTS:
        bit, target = bits(data, part), np.asarray(data.arrays["targets"])[rows(data, part)]
        choices = {"redundant": bit["c"], "unique_a": bit["a"], "unique_b": bit["b"], "synergy": bit["a"] ^ bit["b"]}
        if relation != "mixture":
            assert (target == choices[relation]).all()
            continue
        for number, name in enumerate(("redundant", "unique_a", "unique_b", "synergy")):
            assert (target == choices[name])[bit["r"] == number].all()


@pytest.mark.parametrize("relation", ["synergy", "mixture"])
def test_without_noise_a_modality_is_one_of_orthogonal_codes_of_its_own_bits(
    made: Callable[..., SyntheticPID], relation: str
) -> None:
    data = made(relation=relation, noise=0.0, train=64, validation=32, test=32)
    for name in "ab":
        values, bit = seen(data, name, "train")[0], bits(data, "train")
        codes = bit[name] + 2 * bit["c"] + 4 * bit["r"]
        embedding = np.stack([values[codes == code][0] for code in range(data.cells // 2)])
        assert (values == embedding[codes]).all()
        np.testing.assert_allclose(embedding @ embedding.T, data.width * np.eye(data.cells // 2), atol=1e-3)


def test_noise_is_gaussian_of_the_size_asked_for(made: Callable[..., SyntheticPID]) -> None:
    clean, noisy = made(noise=0.0), made(noise=0.7)
    for name in "ab":
        noise = np.asarray(noisy.arrays[name]) - np.asarray(clean.arrays[name])
        assert noise.std() == pytest.approx(0.7, rel=0.01)
        assert abs(noise.mean()) < 0.01
        assert (np.abs(noise) < 1.4).mean() == pytest.approx(0.9545, abs=0.005)
    between = np.corrcoef(np.asarray(noisy.arrays["a"]).T, np.asarray(noisy.arrays["b"]).T)[:32, 32:]
    bit = np.asarray(noisy.arrays["cells"]) >> 2 & 1
    within = [
        np.corrcoef(np.asarray(noisy.arrays["a"])[bit == v].T, np.asarray(noisy.arrays["b"])[bit == v].T)
        for v in (0, 1)
    ]
    assert np.abs(between).max() > 0.1  # They share c,
    assert max(np.abs(matrix[:32, 32:]).max() for matrix in within) < 0.1  # and nothing else.


@pytest.mark.parametrize(
    ("relation", "informative"),
    [("redundant", {"c"}), ("unique_a", {"a"}), ("unique_b", {"b"}), ("synergy", set())],
)
def test_mutual_information_of_the_label_with_every_single_bit(
    made: Callable[..., SyntheticPID], relation: str, informative: set[str]
) -> None:
    data = made(relation=relation)
    for part in PARTS:
        target = np.asarray(data.arrays["targets"])[rows(data, part)]
        for name in "abc":
            expected = np.log(2) if name in informative else 0.0
            assert mutual_info_score(bits(data, part)[name], target) == pytest.approx(expected, abs=1e-9)


# --- what classifiers find ----------------------------------------------------------------------------------------


def test_redundant_is_told_by_either_modality_alone(made: Callable[..., SyntheticPID]) -> None:
    data = made(relation="redundant")
    assert accuracy(linear(), data, "a") > 0.95
    assert accuracy(linear(), data, "b") > 0.95


@pytest.mark.parametrize(("relation", "useful", "useless"), [("unique_a", "a", "b"), ("unique_b", "b", "a")])
def test_unique_is_told_by_one_modality_and_the_other_is_at_chance(
    made: Callable[..., SyntheticPID], relation: str, useful: str, useless: str
) -> None:
    data = made(relation=relation)
    assert accuracy(linear(), data, useful) > 0.95
    assert accuracy(linear(), data, useless) == pytest.approx(0.5, abs=0.05)
    assert accuracy(network(), data, useless) == pytest.approx(0.5, abs=0.05)


def test_synergy_is_told_by_both_together_and_by_no_modality_and_no_sum(made: Callable[..., SyntheticPID]) -> None:
    data = made(relation="synergy")
    for modality in "ab":
        assert accuracy(linear(), data, modality) == pytest.approx(0.5, abs=0.05)
        assert accuracy(network(), data, modality) == pytest.approx(0.5, abs=0.05)
    assert accuracy(linear(), data, "ab") == pytest.approx(0.5, abs=0.06)
    assert accuracy(network(), data, "ab") > 0.95


def test_mixture_reaches_three_quarters_alone_seven_eighths_as_a_sum_and_all_together(
    made: Callable[..., SyntheticPID],
) -> None:
    data = made(relation="mixture")
    for modality in "ab":
        assert accuracy(network(), data, modality) == pytest.approx(0.75, abs=0.03)
    # Codes are orthogonal, so a linear model can hold any sum of one function per modality.
    assert 0.8 < accuracy(linear(), data, "ab") < 0.875 + 0.02
    assert accuracy(network(), data, "ab") > 0.95


@pytest.mark.parametrize("relation", RELATIONS)
def test_the_noise_leaves_the_nearest_codes_and_so_the_label_almost_certain(
    made: Callable[..., SyntheticPID], relation: str
) -> None:
    clean, noisy = made(relation=relation, noise=0.0), made(relation=relation)
    nearest = []
    for name in "ab":
        codes = np.unique(seen(clean, name, "test")[0], axis=0)
        values, truth = seen(noisy, name, "test")[0], seen(clean, name, "test")[0]
        guess = codes[(values @ codes.T).argmax(1)]  # All codes are equally long.
        nearest.append((guess == truth).all(1))
    assert (nearest[0] & nearest[1]).mean() > 0.99


# --- bad options --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"train": 100}, r"train must be a multiple of 8, so that its 8 cells are.*got 100, use 96"),
        ({"validation": 0}, r"validation must be a multiple.*got 0, use 8"),
        ({"test": -8}, r"test must be a multiple.*use 8"),
        ({"relation": "mixture", "test": 40}, r"test must be a multiple of 32, so that its 32 cells.*use 32"),
        ({"width": 3}, "width must be at least 4 for synergy, got 3"),
        ({"relation": "mixture", "width": 15}, "width must be at least 16 for mixture, got 15"),
        ({"noise": -0.1}, "noise must be a finite number from 0 on, got -0.1"),
        ({"noise": float("nan")}, "noise must be a finite number"),
        ({"noise": float("inf")}, "noise must be a finite number"),
    ],
)
def test_options_that_cannot_be_are_refused_with_the_way_out(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        SyntheticPID(**{"relation": "synergy", **options})
