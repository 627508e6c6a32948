"""What modalities give, on data whose structure is known; and that the measure does what its formulas say."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score
from trained_models import trained

from fusionbench.data.synthetic_pid import SyntheticPID
from fusionbench.data.synthetic_regression import SyntheticRegression
from fusionbench.data.wdbc import WDBC
from fusionbench.measure.bank import Bank
from fusionbench.measure.contribution import measure
from fusionbench.measure.trained import Trained

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),  # batches by index need none
    pytest.mark.filterwarnings("ignore:.*returned `None`, this fit will run with no optimizer:UserWarning"),  # chance
]
Relation = Literal["redundant", "unique_a", "synergy"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def pid(root: Path, relation: Relation) -> SyntheticPID:
    return SyntheticPID(root, 0, 64, relation=relation, train=1024, validation=64, test=512)


def contribution(model: Trained) -> dict[str, Any]:
    return measure(model, rows=512, pairs=100, permutations=4)


@pytest.mark.parametrize("strategy", ["concat", "gated", "low_rank", "cross_attention"])
def test_on_an_xor_a_model_that_solves_it_uses_both_modalities_and_only_together(strategy: str, root: Path) -> None:
    found = contribution(trained(pid(root, "synergy"), strategy))
    assert found["emap"]["gap"] > 0.3
    assert found["interaction"]["a+b"] > 0.4
    assert all(found["drop"][name]["mean"] > 0.4 for name in "ab")
    assert found["shapley"] == pytest.approx({"a": 0.25, "b": 0.25}, abs=0.06)
    assert 0 < found["emap"]["standard_error"] < 0.1
    assert found["utilisation"]["a given b"] > 0.4


def test_where_one_modality_tells_the_label_the_other_gives_nothing(root: Path) -> None:
    found = contribution(trained(pid(root, "unique_a"), "concat"))
    assert found["values"]["a+b"] > 0.95
    assert found["drop"]["b"]["mean"] == pytest.approx(0, abs=0.02)
    assert found["drop"]["a"]["mean"] > 0.4
    assert found["interaction"]["a+b"] == pytest.approx(0, abs=0.05)
    assert found["emap"]["gap"] == pytest.approx(0, abs=0.03)
    assert found["utilisation"]["b given a"] == pytest.approx(0, abs=0.03)


def test_late_fusion_is_its_own_projection_after_training_too(root: Path) -> None:
    found = contribution(trained(pid(root, "redundant"), "late"))
    assert found["emap"]["gap"] == 0
    assert found["emap"]["logits_apart"] < 1e-4
    assert found["emap"]["standard_error"] == 0


def test_what_looks_at_nothing_gets_nothing_from_any_modality(root: Path) -> None:
    found = contribution(trained(pid(root, "synergy"), "chance", epochs=1))
    assert found["emap"]["gap"] == 0
    assert found["shapley"] == {"a": 0, "b": 0}


def test_values_sum_to_what_all_modalities_have_over_none_and_drops_are_of_the_same_game(root: Path) -> None:
    found = contribution(trained(WDBC(root, 0, 64), "concat", epochs=5))
    values, names = found["values"], ("mean", "error", "worst")
    assert len(values) == 8
    assert sum(found["shapley"].values()) == pytest.approx(values["+".join(names)] - values[""])
    for name in names:
        others = "+".join(other for other in names if other != name)
        assert found["drop"][name]["mean"] == pytest.approx(values["+".join(names)] - values[others])
    assert set(found["interaction"]) == {"mean+error", "mean+worst", "error+worst"}


def test_numbers_have_their_form(root: Path) -> None:
    data = SyntheticRegression(root, 0, 64, relation="product", noise=0.2, train=1024, validation=64, test=512)
    found = contribution(trained(data, "concat"))
    assert found["metric"] == "r2"
    assert found["emap"]["gap"] > 0.3
    additive = contribution(trained(data, "late", epochs=2))
    assert additive["emap"]["gap"] == pytest.approx(0, abs=1e-5)


def test_a_lower_error_counts_as_better(root: Path) -> None:
    data = SyntheticRegression(root, 0, 64, relation="product", noise=0.2, train=1024, validation=64, test=512)
    data.ranked_by = "rmse"
    found = contribution(trained(data, "concat"))
    assert found["emap"]["gap"] > 0.1
    assert found["emap"]["score"] < found["emap"]["projected"]
    assert all(value < 0 for value in found["values"].values())
    assert found["drop"]["a"]["mean"] > 0


@pytest.mark.parametrize("strategy", ["concat", "early"])
def test_mixed_rows_are_what_a_hand_mixes_encoded_once_or_not(strategy: str, root: Path) -> None:
    model = trained(pid(root, "synergy"), strategy, epochs=1)
    assert model.inputs.parts is not None
    rows, rng = model.inputs.parts.test[:200], np.random.default_rng(0)
    places = {"a": rng.permutation(200), "b": rng.permutation(200)}
    batch = model.data.batch(rows)
    batch.inputs = {name: batch.inputs[name][torch.from_numpy(at)] for name, at in places.items()}
    with model.opened():
        bank = Bank(model, rows)
        assert (bank._encoded is None) == (strategy == "early")
        torch.testing.assert_close(bank.outputs(places, np.arange(200)), model.outputs(batch), atol=1e-6, rtol=1e-5)


def test_the_score_of_all_rows_is_that_of_the_test(root: Path) -> None:
    model = trained(pid(root, "synergy"), "concat", epochs=3)
    found = measure(model, rows=512, pairs=2, permutations=2)
    assert model.inputs.parts is not None
    with model.opened():
        batch = model.data.batch(model.inputs.parts.test)
        right = accuracy_score(batch.targets, model.outputs(batch).argmax(1))
    assert found["values"]["a+b"] == pytest.approx(right)


def test_more_than_five_modalities_have_drops_and_no_shapley_values() -> None:
    from fusionbench.measure.contribution import _of_game

    names = tuple("abcdef")
    found = _of_game({frozenset(names): 1.0}, names)
    assert found == {"values": None, "shapley": None, "interaction": None, "utilisation": None}


def test_the_same_model_gives_the_same_numbers_again(root: Path) -> None:
    model = trained(pid(root, "unique_a"), "concat", epochs=1)
    state = torch.get_rng_state()
    first = contribution(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert contribution(model) == first
