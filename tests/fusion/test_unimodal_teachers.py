"""Distillation from teachers of one modality: who trains when, against strategies that train the same parts alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.errors import UserError
from fusionbench.data.synthetic_pid import SyntheticPID
from fusionbench.fusion.base import FusionModule, Setting
from fusionbench.fusion.concat import ConcatFusion
from fusionbench.fusion.unimodal_ensemble import UnimodalEnsemble
from fusionbench.fusion.unimodal_teachers import UnimodalTeachers
from fusionbench.plan.budget import Budget, Pretraining
from fusionbench.plan.suite import Choice
from fusionbench.testing.samples import batch_of, built, quiet_trainer, setting_of, task_of
from fusionbench.training.fit import fit, quiet

TASK = task_of(("sequence", "sequence"))
BATCHES = [batch_of(TASK, 12, seed) for seed in range(8)]
pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")


def state(module: torch.nn.Module, prefix: str = "") -> dict[str, Tensor]:
    """What is registered under a name, copied."""
    found = {name: value.clone() for name, value in module.state_dict().items() if name.startswith(prefix)}
    return {name.removeprefix(prefix): value for name, value in found.items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    assert one.keys() == other.keys()
    return all(torch.equal(value, other[name]) for name, value in one.items())


class Watch(Callback):
    """Keeps all weights before training, and after each step."""

    def __init__(self) -> None:
        self.states: list[dict[str, Tensor]] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.states.append(state(pl_module))

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        self.states.append(state(pl_module))

    def changed(self, teachers: bool) -> list[bool]:
        """In each step, whether any weight of the teachers, or any of the rest, changed."""
        steps = zip(self.states, self.states[1:], strict=False)
        names = [name for name in self.states[0] if name.startswith("teachers.") == teachers]
        return [any(not torch.equal(before[name], after[name]) for name in names) for before, after in steps]


def trained(module: FusionModule, batches: list[MultimodalBatch] = BATCHES) -> Watch:
    """One epoch of a plain Trainer."""
    steps: DataLoader[MultimodalBatch] = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
    trainer, watch = quiet_trainer(epochs=1, limit_val_batches=0), Watch()
    trainer.callbacks.append(watch)  # type: ignore[attr-defined]
    trainer.fit(module, steps, steps)
    return watch


class StillLearning(UnimodalTeachers):
    """A broken copy: teachers come to meet the network that is to learn from them."""

    def distance(self, encoded: dict[str, Encoded], batch: MultimodalBatch) -> Tensor:
        goals = self.taught(batch)
        apart = [(encoded[m].pooled - goals[m].pooled).square().mean() for m in encoded]
        return torch.stack(apart).sum()


@pytest.mark.parametrize(("kind", "sound"), [(UnimodalTeachers, True), (StillLearning, False)])
def test_first_the_teachers_alone_are_trained_then_the_rest_alone(kind: type[UnimodalTeachers], sound: bool) -> None:
    watch = trained(kind(setting_of(TASK), share=0.4))
    assert watch.changed(teachers=False) == [False] * 3 + [True] * 5
    assert (watch.changed(teachers=True) == [True] * 3 + [False] * 5) == sound


def test_teachers_are_to_the_bit_what_separate_models_of_each_modality_become() -> None:
    taught, alone = UnimodalTeachers(setting_of(TASK)), UnimodalEnsemble(setting_of(TASK))
    for name in TASK.names:
        for part, own in (("encoder", alone.encoders[name]), ("head", alone.heads[name])):
            own.load_state_dict(state(taught, f"teachers.{name}.{part}."))
    trained(taught)
    trained(alone, BATCHES[:4])
    for name in TASK.names:
        assert same(state(taught, f"teachers.{name}.encoder."), state(alone, f"encoders.{name}."))
        assert same(state(taught, f"teachers.{name}.head."), state(alone, f"heads.{name}."))


@pytest.mark.parametrize(("weight", "equal"), [(0.0, True), (1.0, False)])
def test_without_its_teachers_it_is_concatenation_in_the_second_half(weight: float, equal: bool) -> None:
    torch.manual_seed(0)
    taught = UnimodalTeachers(setting_of(TASK), weight=weight)
    torch.manual_seed(0)
    plain = ConcatFusion(setting_of(TASK))
    trained(taught)
    trained(plain, BATCHES[4:])
    assert same(state(taught, "encoders."), state(plain, "encoders.")) == equal
    assert same(state(taught, "head."), state(plain, "head.")) == equal


def test_the_distance_is_a_mean_of_squares_over_the_samples_that_have_the_modality() -> None:
    module, batch = built("unimodal_teachers", TASK), BATCHES[0]
    here = torch.arange(len(batch)) % 3 > 0
    batch = replace(batch, present=batch.present | {"m1": here})
    encoded = module.encode(batch)
    assert isinstance(module, UnimodalTeachers)
    goals, expected = module.taught(batch), 0.0
    for name, count in (("m0", np.arange(len(batch))), ("m1", np.flatnonzero(here.numpy()))):
        own, goal = (values[name].pooled.detach().double().numpy()[count] for values in (encoded, goals))
        own, goal = ((x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5) for x in (own, goal))
        expected += np.square(own - goal).mean()
    assert module.distance(encoded, batch).item() == pytest.approx(expected, rel=1e-4)
    loss = module.loss(module.predict(batch), batch) - module.loss(module.fuse(encoded), batch)
    assert loss.item() == pytest.approx(module.weight * expected, rel=1e-3)


def test_no_prediction_reads_the_teachers() -> None:
    module, batch = built("unimodal_teachers", TASK).eval(), BATCHES[0]
    before = module.predict(batch)
    with torch.no_grad():
        for parameter in module.get_submodule("teachers").parameters():
            parameter.fill_(torch.nan)
    after = module.predict(batch)
    torch.testing.assert_close(after.logits, before.logits, rtol=0, atol=0)
    assert after.penalty == 0.0


def test_no_epoch_of_the_teachers_is_kept_and_patience_begins_after_them(tmp_path: Path) -> None:
    quiet()
    data = SyntheticPID(tmp_path, 0, 64, relation="redundant", train=256, validation=64, test=64)
    data.prepare_data()
    data.setup()
    encoders = {name: Choice("mlp", {"width": 16}) for name in data.task.names}
    module = UnimodalTeachers(Setting(data.task, encoders, 16, 16), share=0.6)
    found = fit(module, data, Budget(epochs=5, batch_size=64, learning_rate=5e-3, patience=1), lambda *_: None)
    assert found.epochs_run >= 4
    assert found.validation["epoch"] >= 4
    assert len(found.curves["validation/accuracy"]) == found.epochs_run


def test_training_without_an_end_is_refused_in_a_sentence() -> None:
    steps: DataLoader[MultimodalBatch] = DataLoader(BATCHES, batch_size=None)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="no end; set max_epochs or max_steps"):
        quiet_trainer(epochs=-1, limit_val_batches=0).fit(built("unimodal_teachers", TASK), steps, steps)


def test_encoders_that_stay_as_they_are_cannot_be_taught() -> None:
    setting = setting_of(TASK)
    frozen = {name: replace(choice, pretrain=Pretraining(1, 8, 1e-3)) for name, choice in setting.encoders.items()}
    assert "stay as they are" in UnimodalTeachers.unsuitable(replace(setting, encoders=frozen))


@pytest.mark.parametrize(
    ("options", "words"),
    [({"share": 0.0}, "share is 0.0"), ({"share": 1.0}, "share is 1.0"), ({"weight": -1.0}, "weight")],
)
def test_an_option_out_of_range_is_refused_by_name(options: dict[str, float], words: str) -> None:
    with pytest.raises(UserError, match=words):
        UnimodalTeachers(setting_of(TASK), **options)
