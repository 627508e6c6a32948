"""Frozen encoders, trained beforehand or with nothing to train: no run moves them, and who would train them says so."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.catalogue import load
from fusionbench.fusion.base import Setting
from fusionbench.fusion.concat import ConcatFusion
from fusionbench.fusion.unimodal_two_seeds import TwoSeedsOfOneModality
from fusionbench.plan.budget import Pretraining
from fusionbench.plan.suite import Choice
from fusionbench.testing.samples import WIDTH, batch_of, quiet_trainer, setting_of, task_of

TASK = task_of(("vector", "vector"))
FIXED = """from torch import nn

from fusionbench.core.batch import Encoded
from fusionbench.encoders.base import Encoder


class Fixed(Encoder):
    kinds, frozen = ("vector",), True

    def __init__(self, spec, dropout=0.0, *, width: int = 16) -> None:
        super().__init__(spec, width)
        self.project, self.dropout = nn.Linear(spec.shape[0], width), nn.Dropout(0.5)

    def forward(self, x, mask, present):
        pooled = self.dropout(self.project(x))
        return Encoded(pooled, pooled[:, None], present[:, None], present)
"""


@pytest.fixture
def fixed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Choice:
    """An encoder of the user's own that has nothing to train."""
    folder = tmp_path / "mine_for_good"
    folder.mkdir()
    (folder / "fixed.py").write_text(FIXED)
    monkeypatch.syspath_prepend(tmp_path)
    return Choice("mine_for_good.fixed", {"width": WIDTH})


def with_one(choice: Choice) -> Setting:
    """m0 by that encoder; m1 by one that learns."""
    setting = setting_of(TASK)
    return replace(setting, encoders={**setting.encoders, "m0": choice})


@pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning", "ignore:Found .* in eval mode")
def test_an_encoder_with_nothing_to_train_stays_as_it_is_while_its_neighbour_learns(fixed: Choice) -> None:
    torch.manual_seed(0)
    module = ConcatFusion(with_one(fixed))
    before = {name: value.clone() for name, value in module.encoders.state_dict().items()}
    batches: DataLoader[MultimodalBatch] = DataLoader([batch_of(TASK)] * 3, batch_size=None)  # type: ignore[arg-type]
    quiet_trainer(epochs=1, limit_val_batches=0).fit(module, batches, batches)
    moved = {name for name, value in module.encoders.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if name.startswith("m1.")}
    assert not any(parameter.requires_grad for parameter in module.encoders["m0"].parameters())


def test_its_dropout_stays_off_in_training(fixed: Choice) -> None:
    module = ConcatFusion(with_one(fixed)).train()
    assert not module.encoders["m0"].training
    assert module.encoders["m1"].training
    once, again = (module.encode(batch_of(TASK))["m0"].pooled for _ in range(2))
    torch.testing.assert_close(once, again, rtol=0, atol=0)


@pytest.mark.parametrize("strategy", ["agm", "alternating", "early", "mmpareto", "ogm_ge", "pmr", "unimodal_teachers"])
def test_who_acts_on_how_encoders_are_trained_says_in_one_line_why_not_here(strategy: str, fixed: Choice) -> None:
    unsuitable = load("strategy", strategy).unsuitable
    learning = setting_of(TASK)
    beforehand = replace(learning.encoders["m0"], pretrain=Pretraining())
    assert unsuitable(learning) == ""
    for choice in (fixed, beforehand):
        assert "frozen" in unsuitable(with_one(choice))
        assert "\n" not in unsuitable(with_one(choice))


def test_one_that_weighs_encoders_has_something_to_weigh_until_all_are_frozen(fixed: Choice) -> None:
    unsuitable = load("strategy", "gradient_blend").unsuitable
    assert unsuitable(with_one(fixed)) == ""
    assert "all encoders here are frozen" in unsuitable(
        replace(setting_of(TASK), encoders=dict.fromkeys(TASK.names, fixed))
    )


def test_two_seeds_of_it_are_one_encoder_and_two_heads(fixed: Choice) -> None:
    module = TwoSeedsOfOneModality(with_one(fixed), modality="m0")
    assert set(module.encoders) == {"m0"}
    assert "frozen" in module.notes()[0]
    assert set(TwoSeedsOfOneModality(with_one(fixed), modality="m1").encoders) == {"m1", "second:m1"}
