"""The ensemble of two seeds of one modality: two models that never meet before their probabilities do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax, logit, logsumexp
from torch import Tensor
from torch.utils.data import DataLoader

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.errors import UserError
from fusionbench.core.task import TaskKind, TaskSpec
from fusionbench.fusion.base import FusionModule, Prediction
from fusionbench.fusion.unimodal_two_seeds import TwoSeedsOfOneModality
from fusionbench.plan.budget import Pretraining
from fusionbench.testing.samples import CLASSES, batch_of, built, logits_of, quiet_trainer, setting_of, task_of

TASK = task_of(("sequence", "sequence"))


def trained(module: FusionModule) -> FusionModule:
    """After five steps of the common optimiser."""
    batches = [batch_of(TASK, 12, seed) for seed in range(5)]
    steps: DataLoader[MultimodalBatch] = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
    quiet_trainer(epochs=1, limit_val_batches=0).fit(module, steps, steps)
    return module


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> list[bool]:
    assert one.keys() == other.keys()
    return [torch.equal(value, other[name]) for name, value in one.items()]


@pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")
def test_the_first_of_the_two_is_trained_to_the_bit_as_it_is_alone() -> None:
    alone, both = trained(built("unimodal", TASK)), trained(built("unimodal_two_seeds", TASK))
    assert all(same(alone.encoders["m0"].state_dict(), both.encoders["m0"].state_dict()))
    assert all(same(alone.head.state_dict(), both.heads[0].state_dict()))  # type: ignore[union-attr, index]


def test_the_second_starts_from_other_weights_in_encoder_and_head() -> None:
    module = built("unimodal_two_seeds", TASK)
    first, second = module.encoders["m0"].state_dict(), module.encoders["second:m0"].state_dict()
    assert not any(same(first, second))
    heads = [head.state_dict() for head in module.heads]  # type: ignore[union-attr]
    assert not any(same(*heads))
    again = built("unimodal_two_seeds", TASK).encoders["second:m0"].state_dict()
    assert all(same(second, again))


class TorchrunProcess(TwoSeedsOfOneModality):
    """A broken copy: trained by the loss of the mean, so that each learns what the other leaves."""

    def loss(self, prediction: Prediction, batch: MultimodalBatch) -> Tensor:
        return FusionModule.loss(self, prediction, batch)


@pytest.mark.parametrize(("kind", "apart"), [(TwoSeedsOfOneModality, True), (TorchrunProcess, False)])
def test_nothing_of_one_enters_the_gradient_of_the_other(kind: type[TwoSeedsOfOneModality], apart: bool) -> None:
    module, batch = kind(setting_of(TASK), modality="m0"), batch_of(TASK, 12)
    parameters = [*module.encoders["m0"].parameters(), *module.heads[0].parameters()]

    def gradients() -> tuple[Tensor, ...]:
        return torch.autograd.grad(module.loss(module.predict(batch), batch), parameters)

    before = gradients()
    with torch.no_grad():
        for parameter in (*module.encoders["second:m0"].parameters(), *module.heads[1].parameters()):
            parameter.mul_(-2)
    assert all(torch.equal(one, other) for one, other in zip(before, gradients(), strict=True)) == apart


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_probabilities_are_averaged(kind: TaskKind) -> None:
    task: TaskSpec = replace(TASK, kind=kind, metric="accuracy" if kind == "multiclass" else "gap20")
    module, batch = built("unimodal_two_seeds", task).eval(), batch_of(task)
    own = np.stack([z.detach().double().numpy() for z in module.predict(batch).unimodal.values()])  # (2, B, C)
    if kind == "multiclass":
        expected = logsumexp(log_softmax(own, axis=2), axis=0) - np.log(2)
    else:
        expected = logit(expit(own).mean(0))
    assert own.shape == (2, len(batch), CLASSES)
    np.testing.assert_allclose(logits_of(module, batch).numpy(), expected, atol=1e-5)


def test_an_encoder_that_was_trained_beforehand_is_one_for_both_and_the_row_says_so() -> None:
    setting = setting_of(TASK)
    frozen = {name: replace(choice, pretrain=Pretraining(1, 8, 1e-3)) for name, choice in setting.encoders.items()}
    module, batch = TwoSeedsOfOneModality(replace(setting, encoders=frozen), modality="m1"), batch_of(TASK)
    assert set(module.encoders) == {"m1"}
    (note,) = module.notes()
    assert "share the encoder" in note
    first, second = module.predict(batch).unimodal.values()
    assert (first - second).abs().max() > 1e-3
    assert built("unimodal_two_seeds", TASK).notes() == ()


def test_a_modality_that_the_task_lacks_is_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"no modality 'm9'.*m0, m1"):
        TwoSeedsOfOneModality(setting_of(TASK), modality="m9")
