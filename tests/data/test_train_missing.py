"""Modalities that are missing in training: which rows, in which batches, and by which keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fusionbench.bench.build import dataset_of
from fusionbench.core.errors import UserError
from fusionbench.data.base import MultimodalData
from fusionbench.plan.load import suite_of
from fusionbench.plan.names import slug
from fusionbench.plan.source import Source
from fusionbench.plan.suite import RunSpec, Suite
from fusionbench.report.titles import dataset_title


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def suite(missing: Any, seeds: int = 1) -> Suite:
    dataset = {"name": "digits", **({} if missing is None else {"train_missing": missing})}
    return suite_of(Source("s", {"name": "s", "datasets": [dataset], "strategies": ["late"], "seeds": seeds}, {}))


def data(root: Path, missing: dict[str, float], seed: int = 0) -> MultimodalData:
    run: RunSpec = list(suite(missing, 2).runs())[seed]
    found = dataset_of(run, root)
    found.prepare_data()
    found.setup()
    return found


def present(found: MultimodalData, epoch: int = 0) -> dict[str, dict[int, bool]]:
    """By modality, whether each row of an epoch has it."""
    loader = found.train_dataloader()
    loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]
    seen: dict[str, dict[int, bool]] = {name: {} for name in found.task.names}
    for batch in loader:
        for name, here in batch.present.items():
            seen[name].update(zip(batch.ids.tolist(), here.tolist(), strict=True))
    return seen


def lacking(seen: dict[int, bool]) -> set[int]:
    return {row for row, here in seen.items() if not here}


@pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")
def test_a_share_of_the_training_rows_lacks_a_modality_the_same_in_every_epoch(root: Path) -> None:
    found = data(root, {"left": 0.3})
    first, second = present(found), present(found, 1)
    assert not lacking(first["right"])
    share = len(lacking(first["left"])) / len(first["left"])
    assert share == pytest.approx(0.3, abs=0.04)
    both = first["left"].keys() & second["left"].keys()  # The last partial batch of each is dropped.
    assert all(first["left"][row] == second["left"][row] for row in both)


def test_what_lacks_at_a_rate_lacks_at_higher_ones_and_the_seed_decides_which(root: Path) -> None:
    low, high = (lacking(present(data(root, {"left": rate}))["left"]) for rate in (0.2, 0.6))
    seen = present(data(root, {"left": 0.6}))["left"].keys()
    assert low & seen <= high
    other = lacking(present(data(root, {"left": 0.6}, seed=1))["left"])
    assert len(other & high) < 0.8 * len(high)


def test_no_row_lacks_everything(root: Path) -> None:
    seen = present(data(root, {"left": 0.9, "right": 0.9}))
    assert not lacking(seen["left"]) & lacking(seen["right"])
    for name in ("left", "right"):
        assert 0.4 < len(lacking(seen[name])) / len(seen[name]) < 0.6


def test_validation_and_test_rows_lack_nothing(root: Path) -> None:
    found = data(root, {"left": 0.6})
    for loader in (found.val_dataloader(), found.test_dataloader()):
        assert all(bool(here.all()) for batch in loader for here in batch.present.values())


def test_it_is_no_part_of_a_key_where_nothing_is_missing_and_of_others_it_is() -> None:
    (plain,) = suite(None).runs()
    (none,) = suite({"left": 0.0}).runs()
    (some,) = suite({"left": 0.3}).runs()
    (same,) = suite({"right": 0, "left": 0.3}).runs()
    assert plain.key == none.key != some.key == same.key
    assert RunSpec.from_json(some.to_json()) == some
    assert "train_missing" not in plain.to_json()["dataset"]
    assert slug("dataset", some.dataset) == "digits+missing=left-0.3"
    assert dataset_title(suite({"left": 0.3}), some.dataset) == "Digits (30% of left missing in training)"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"lefd": 0.3}, "did you mean 'left'?"),
        ({"left": 1.0}, "train_missing.left"),
        ({"left": -0.1}, "train_missing.left"),
        ({"left": "much"}, "train_missing.left"),
        (0.3, "train_missing"),
    ],
)
def test_mistakes_are_named_before_anything_trains(given: Any, said: str) -> None:
    with pytest.raises(UserError) as raised:
        suite(given)
    assert said in str(raised.value)


def test_what_stood_in_place_of_a_missing_modality_does_not_matter(root: Path) -> None:
    found = data(root, {"left": 0.5})
    batch = next(iter(found.train_dataloader()))
    gone = ~batch.present["left"]
    assert gone.any()
    rows: NDArray[np.int64] = batch.ids.numpy()
    assert torch.equal(batch.inputs["left"], found.batch(rows).inputs["left"])  # Models replace it; see the contract.
