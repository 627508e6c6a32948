"""Pretraining: an encoder learns its modality's own labels alone, and then stays as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from bits import Bits
from torch.nn import functional as F

from fusionbench.core.errors import Diverged
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.fusion.base import FusionModule, Setting
from fusionbench.fusion.concat import ConcatFusion
from fusionbench.fusion.early import EarlyFusion
from fusionbench.fusion.late import LateFusion
from fusionbench.plan.suite import Budget, Choice
from fusionbench.training.fit import evaluate, fit
from fusionbench.training.pretrain import OwnLabels, Pretrained, pretrain

pytestmark = pytest.mark.filterwarnings("ignore:Found .* in eval mode")  # As they should be.
FIRST = Budget(epochs=8, batch_size=32, learning_rate=1e-2)
ENCODER = Choice("mlp", {"width": 16, "depth": 1}, pretrain=FIRST)
THEN = Budget(epochs=15, batch_size=32, learning_rate=1e-2)


@pytest.fixture
def data(tmp_path: Path) -> Bits:
    found = Bits(tmp_path, 0, batch_size=32)
    found.prepare_data()
    found.setup()
    return found


def pretrained(data: Bits, modality: str, choice: Choice = ENCODER) -> Pretrained:
    torch.manual_seed(0)
    return pretrain(choice, modality, data, 0, lambda *_: None)


def fused(kind: type[FusionModule], data: Bits, dropout: float = 0.0) -> FusionModule:
    """A strategy over both encoders, each trained beforehand."""
    torch.manual_seed(0)
    module = kind(Setting(data.task, dict.fromkeys("ab", ENCODER), width=16, head_width=16, dropout=dropout))
    for name in "ab":
        module.encoders[name].load_state_dict(pretrained(data, name).weights)
    return module


def test_an_encoder_learns_its_own_labels_which_say_nothing_of_the_task(data: Bits) -> None:
    found = pretrained(data, "a")
    assert found.validation["validation/accuracy"] > 0.95
    assert data.parts
    batch = OwnLabels(data, "a").batch(data.parts.validation)
    assert batch.targets.tolist() == data.batch(data.parts.validation).auxiliary["a"].tolist()
    assert batch.targets.tolist() != data.batch(data.parts.validation).targets.tolist()


def test_it_starts_from_the_weights_that_any_run_of_the_seed_starts_from(data: Bits) -> None:
    still = replace(ENCODER, pretrain=replace(FIRST, epochs=1, learning_rate=1e-30, weight_decay=0.0))
    module = ConcatFusion(Setting(data.task, dict.fromkeys("ab", replace(ENCODER, pretrain=None)), 16, 16))
    for name, value in pretrained(data, "a", still).weights.items():
        torch.testing.assert_close(value, module.encoders["a"].state_dict()[name])


def test_training_leaves_the_encoders_as_they_are_and_the_optimiser_without_them(data: Bits) -> None:
    module = fused(ConcatFusion, data)
    before = {name: value.clone() for name, value in module.encoders.state_dict().items()}
    fit(module, data, replace(THEN, epochs=2), lambda *_: None)
    for name, value in module.encoders.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    assert not any(parameter.requires_grad for parameter in module.encoders.parameters())
    assert all(parameter.requires_grad for name, parameter in module.named_parameters() if name.startswith("head."))


def test_their_dropout_stays_off_while_the_head_trains(data: Bits) -> None:
    module = fused(ConcatFusion, data, dropout=0.5).train()
    assert data.parts
    batch = data.batch(data.parts.train)
    once, again = module.encode(batch), module.encode(batch)
    torch.testing.assert_close(once["a"].pooled, again["a"].pooled, rtol=0, atol=0)
    assert module.get_submodule("head").training
    assert not torch.equal(module.predict(batch).logits, module.predict(batch).logits)


def test_with_them_a_fusion_solves_the_synergy_and_a_sum_of_logits_stays_at_chance(data: Bits) -> None:
    scores = {}
    for kind in (ConcatFusion, LateFusion):
        module = fused(kind, data)
        fit(module, data, THEN, lambda *_: None)
        scores[kind] = evaluate(module, data, THEN).scores
    assert scores[ConcatFusion]["test/accuracy"] > 0.95
    assert scores[LateFusion]["test/accuracy"] <= 0.75  # Three of four cells are the most that a sum can get.
    assert scores[LateFusion]["test/nll"] > float(torch.tensor(2.0).log()) - 0.05


def test_what_reads_the_joint_input_cannot_use_them(data: Bits) -> None:
    setting = Setting(data.task, dict.fromkeys("ab", ENCODER), 16, 16)
    assert "beforehand" in EarlyFusion.unsuitable(setting)
    assert not EarlyFusion.unsuitable(Setting(data.task, dict.fromkeys("ab", replace(ENCODER, pretrain=None)), 16, 16))


def test_labels_that_cannot_be_learned_end_as_diverged(data: Bits) -> None:
    with pytest.raises(Diverged):
        pretrained(data, "a", replace(ENCODER, pretrain=replace(FIRST, learning_rate=1e30)))


def test_own_labels_are_those_of_one_modality_alone(data: Bits) -> None:
    own = OwnLabels(data, "b")
    assert own.task == TaskSpec((ModalitySpec("b", "vector", (6,)),), 2)
    assert F.one_hot(own.batch(data.parts.train).targets).shape == (320, 2)  # type: ignore[union-attr]
