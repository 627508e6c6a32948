"""Pretraining: an encoder learns its modality's own labels, or the task's, alone, and then stays as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from bits import Bits
from sklearn.metrics import accuracy_score, log_loss
from torch.nn import functional as F

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.errors import Diverged
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.data.halves import ENCODERS, FUSION, keep_half
from fusionbench.data.splits import Rows
from fusionbench.fusion.base import FusionModule, Setting
from fusionbench.fusion.concat import ConcatFusion
from fusionbench.fusion.early import EarlyFusion
from fusionbench.fusion.late import LateFusion
from fusionbench.plan.budget import Budget, Pretraining
from fusionbench.plan.suite import Choice
from fusionbench.training import pretrain as pretraining
from fusionbench.training.fit import Fitted, evaluate, fit
from fusionbench.training.pretrain import OneModality, Pretrained, pretrain

pytestmark = pytest.mark.filterwarnings("ignore:Found .* in eval mode")  # As they should be.
FIRST = Pretraining(epochs=8, batch_size=32, learning_rate=1e-2)
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
    assert found.scores["validation/accuracy"] > 0.95
    assert data.parts
    batch = OneModality(data, "a").batch(data.parts.validation)
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
    assert "frozen" in EarlyFusion.unsuitable(setting)
    assert not EarlyFusion.unsuitable(Setting(data.task, dict.fromkeys("ab", replace(ENCODER, pretrain=None)), 16, 16))


def test_labels_that_cannot_be_learned_end_as_diverged(data: Bits) -> None:
    with pytest.raises(Diverged):
        pretrained(data, "a", replace(ENCODER, pretrain=replace(FIRST, learning_rate=1e30)))


def test_own_labels_are_those_of_one_modality_alone(data: Bits) -> None:
    own = OneModality(data, "b")
    assert own.task == TaskSpec((ModalitySpec("b", "vector", (6,)),), 2)
    assert F.one_hot(own.batch(data.parts.train).targets).shape == (320, 2)  # type: ignore[union-attr]


class Noisy(Bits):
    """Whose training rows are seen as noise: what an augmentation does, only more."""

    seen: set[int]

    def train_batch(self, rows: Rows, epoch: int) -> MultimodalBatch:
        self.seen = getattr(self, "seen", set()) | set(rows.tolist())
        found = self.batch(rows)
        noise = torch.randn(next(iter(found.inputs.values())).shape, generator=torch.Generator().manual_seed(epoch))
        return replace(found, inputs={name: value + 2 * noise for name, value in found.inputs.items()})


class Plain(Noisy):
    """Without labels of its modalities' own: b is the task's label, a says nothing of it."""

    auxiliary_classes: ClassVar[dict[str, int]] = {}

    def batch(self, rows: Rows) -> MultimodalBatch:
        found = super().batch(rows)
        return replace(found, targets=found.auxiliary["b"], auxiliary={})


def ready(kind: type[Noisy], root: Path, seed: int = 0) -> Noisy:
    data = kind(root, seed, batch_size=32)
    data.prepare_data()
    data.setup()
    return data


@pytest.mark.parametrize("rows", ["all", "half"])
def test_the_training_score_is_that_of_its_own_rows_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: Any
) -> None:
    fitted: list[FusionModule] = []

    def kept(module: FusionModule, *given: Any) -> Fitted:
        fitted.append(module)
        return fit(module, *given)

    monkeypatch.setattr(pretraining, "fit", kept)
    data = ready(Noisy, tmp_path)
    choice = replace(ENCODER, pretrain=replace(FIRST, epochs=2, rows=rows))
    found = pretrained(data, "a", choice)
    assert data.parts
    assert found.rows == len(data.parts.train) == {"all": 320, "half": 160}[rows]
    for part, of in (("train", data.parts.train), ("validation", data.parts.validation)):
        batch = OneModality(data, "a").batch(of)
        with torch.no_grad():
            logits = fitted[0].eval().predict(batch).logits.double()
        assert found.scores[f"{part}/accuracy"] == pytest.approx(accuracy_score(batch.targets, logits.argmax(1)))
        assert found.scores[f"{part}/nll"] == pytest.approx(log_loss(batch.targets, logits.softmax(1)), rel=1e-5)
    assert 0.5 < found.scores["train/accuracy"] < 1 or found.scores["train/nll"] > 0.01
    assert found.scores["epoch"] in (1, 2)
    assert found.metric == "accuracy"


def test_without_labels_of_its_own_it_learns_the_tasks(tmp_path: Path) -> None:
    data = ready(Plain, tmp_path)
    assert OneModality(data, "b").task == TaskSpec((ModalitySpec("b", "vector", (6,)),), 2)
    assert not OneModality(data, "b").has_own_labels
    scores = {name: pretrained(data, name).scores["validation/accuracy"] for name in "ab"}
    assert scores["b"] > 0.9
    assert scores["a"] < 0.65


def test_of_half_the_rows_it_is_trained_on_the_encoders_half_and_meets_no_other(tmp_path: Path) -> None:
    half = replace(ENCODER, pretrain=replace(FIRST, epochs=3, rows="half"))
    data, other = ready(Plain, tmp_path), ready(Plain, tmp_path)
    pretrained(data, "b", half)
    keep_half(other, ENCODERS)
    assert other.parts
    assert data.seen == set(other.parts.train.tolist())
    keep_half(other, FUSION)
    assert not data.seen & set(other.parts.train.tolist())


def test_two_encoders_have_the_same_half_and_weights_of_their_own_labels_move_with_it(tmp_path: Path) -> None:
    half = replace(ENCODER, pretrain=replace(FIRST, epochs=3, rows="half"))
    seen, weights = [], []
    for name in "ab":
        data = ready(Noisy, tmp_path)
        weights.append(pretrained(data, name, half).weights)
        seen.append(data.seen)
    assert seen[0] == seen[1]
    whole = pretrained(ready(Noisy, tmp_path), "a", replace(ENCODER, pretrain=replace(FIRST, epochs=3))).weights
    assert any(not torch.equal(value, whole[name]) for name, value in weights[0].items())
