"""Robustness of models that are really trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from trained_models import trained

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.row_numbers import row_numbers
from fusionbench.data.digits import Digits
from fusionbench.data.synthetic_pid import SyntheticPID
from fusionbench.data.synthetic_regression import SyntheticRegression
from fusionbench.measure import robustness
from fusionbench.measure.corruptions import corrupted
from fusionbench.measure.robustness import TENTHS, measure
from fusionbench.measure.trained import Trained

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),  # batches by index need none
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def pid(root: Path, relation: Literal["redundant", "unique_a", "synergy"]) -> SyntheticPID:
    return SyntheticPID(root, 0, 64, relation=relation, train=1024, validation=64, test=512)


def curves(found: dict[str, Any]) -> list[list[float]]:
    noise = [curve for ways in found["noise"].values() for curve in ways.values()]
    return [curve["accuracy"] for curve in (*noise, *found["missing"].values())]


def test_scores_fall_with_severity_and_the_clean_one_is_that_of_the_test(root: Path) -> None:
    model = trained(pid(root, "synergy"), "concat")
    found = measure(model, rows=512)
    assert model.inputs.parts is not None
    with model.opened():
        batch = model.data.batch(model.inputs.parts.test)
        clean = model.scores([(model.outputs(batch), batch.targets)])
    assert found["clean"] == pytest.approx(clean)
    assert set(clean) == {"accuracy", "nll"}
    for curve in curves(found):
        assert len(curve) == len(TENTHS)
        assert curve[0] > 0.8
        assert curve[-1] < curve[0] - 0.05
        assert curve[-1] <= curve[4] <= curve[0]
    for name in "ab":  # Nothing is left of it.
        assert found["noise"][name]["dropout"]["accuracy"][-1] == pytest.approx(0.5, abs=0.06)


def test_missing_in_all_rows_is_the_subset_without_it_and_chance_for_an_xor(root: Path) -> None:
    found = measure(trained(pid(root, "synergy"), "concat"), rows=512)
    assert set(found["present"]) == {"a", "b"}
    assert found["missing"]["a"]["nll"][-1] == pytest.approx(found["present"]["b"]["nll"], rel=1e-6)
    assert found["present"]["b"]["accuracy"] == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("strategy", ["gated", "cross_attention", "graph"])
def test_scores_where_some_rows_lack_a_modality_are_those_of_one_pass_over_all(root: Path, strategy: str) -> None:
    model = trained(pid(root, "synergy"), strategy)
    found = measure(model, rows=512)["missing"]["a"]
    assert model.inputs.parts is not None
    with model.opened():
        batch = model.data.batch(model.inputs.parts.test)
        numbers = row_numbers(["missing", model.seed, "a"], batch.ids.numpy())
        for place, rate in enumerate(TENTHS):
            stays = torch.from_numpy(numbers >= rate) & batch.present["a"]
            some = replace(batch, present={**batch.present, "a": stays})
            told = model.scores([(model.outputs(some), batch.targets)])
            assert {name: curve[place] for name, curve in found.items()} == pytest.approx(told, abs=2e-6)


def test_what_a_model_does_not_look_at_changes_nothing(root: Path) -> None:
    found = measure(trained(pid(root, "unique_a"), "unimodal", modality="a"), rows=512)
    clean = found["clean"]["accuracy"]
    assert found["noise"]["b"]["gaussian"]["accuracy"] == [clean] * 10
    assert found["missing"]["b"]["accuracy"] == [clean] * 10
    assert found["noise"]["a"]["gaussian"]["accuracy"][-1] < clean - 0.05


def test_every_strategy_gets_the_same_corrupted_inputs_encoded_once_or_not(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[torch.Tensor]] = []

    def noted(batch: MultimodalBatch, *given: Any) -> MultimodalBatch:
        found = corrupted(batch, *given)
        seen[-1].append(found.inputs[given[0].name])
        return found

    monkeypatch.setattr(robustness, "corrupted", noted)
    for strategy in ("concat", "late", "early"):  # The last one reads inputs.
        seen.append([])
        measure(trained(pid(root, "synergy"), strategy, epochs=1), rows=100)
    assert len(seen[0]) == 2 * 2 * 10
    for other in seen[1:]:
        assert all(torch.equal(one, two) for one, two in zip(seen[0], other, strict=True))


def test_encodings_of_the_other_modalities_give_what_inputs_give(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = trained(pid(root, "synergy"), "concat", epochs=3)
    once = measure(model, rows=200)
    monkeypatch.setattr("fusionbench.measure.bank.MOST", 0)
    live = measure(model, rows=200)
    for one, other in zip(curves(once), curves(live), strict=True):
        assert one == pytest.approx(other, abs=1e-6)


def test_pictures_have_three_kinds_of_noise(root: Path) -> None:
    found = measure(trained(Digits(root, 0, 64), "concat", epochs=3), rows=100)
    assert set(found["noise"]["left"]) == {"gaussian", "blur", "occlusion"}
    assert found["rows"] == 100


def test_numbers_to_predict_have_their_scores(root: Path) -> None:
    data = SyntheticRegression(root, 0, 64, relation="product", noise=0.2, train=1024, validation=64, test=256)
    found = measure(trained(data, "concat", epochs=5), rows=256)
    assert set(found["clean"]) == {"r2", "rmse"}
    assert found["noise"]["a"]["gaussian"]["rmse"][-1] > found["clean"]["rmse"]


def test_the_same_model_gives_the_same_numbers_again_and_draws_nothing(root: Path) -> None:
    model: Trained = trained(pid(root, "synergy"), "concat", epochs=1)
    state = torch.get_rng_state()
    first = measure(model, rows=100)
    assert torch.equal(torch.get_rng_state(), state)
    assert measure(model, rows=100) == first
