"""The strategies that change how a model is trained, against their formulas written out by other means."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from lightning import Callback, Trainer
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.stats import entropy as entropy_of
from torch import Tensor
from torch.utils.data import DataLoader
from two_processes import together

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.catalogue import load
from fusionbench.core.errors import UserError
from fusionbench.core.ranks import Ranks
from fusionbench.core.task import ModalityKind
from fusionbench.data.synthetic_pid import SyntheticPID
from fusionbench.fusion._objectives import counted_means, loss_table
from fusionbench.fusion.alternating import entropy, recursive_projection
from fusionbench.fusion.base import FusionModule, Optimiser, Setting, learning_rate_factor, task_loss
from fusionbench.fusion.gradient_blend import blend_weights
from fusionbench.fusion.mmpareto import integrated, pareto_weights
from fusionbench.plan.budget import Budget, Pretraining
from fusionbench.plan.suite import Choice
from fusionbench.testing.samples import HEAD_WIDTH, batch_of, built, logits_of, quiet_trainer, setting_of, task_of
from fusionbench.training.fit import fit, quiet

Array = NDArray[Any]
VECTORS: tuple[ModalityKind, ...] = ("vector",) * 5
NAMES = ("mmpareto", "alternating", "gradient_blend")
pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")


def numpy_of(tensor: Tensor) -> Array:
    return tensor.detach().numpy().astype(np.float64)


def gradients(module: FusionModule, loss: Tensor, part: str) -> Array:
    """A loss's gradient on the parameters of an encoder, as one vector."""
    parameters = list(module.encoders[part].parameters())
    found = torch.autograd.grad(loss, parameters, retain_graph=True, materialize_grads=True)
    return numpy_of(torch.cat([gradient.flatten() for gradient in found]))


def left_behind(module: FusionModule, part: str) -> Array:
    """The gradient that the last backward pass left on an encoder."""
    return numpy_of(torch.cat([p.grad.flatten() for p in module.encoders[part].parameters() if p.grad is not None]))


# --- MMPareto ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("joint", "unimodal", "weight"),
    [
        ([1.0, 0.0], [1.0, 1.0], 0.5),  # They agree: equal, though the least norm is at the joint one alone.
        ([1.0, 0.0], [0.0, 2.0], 0.5),  # At right angles: nothing pulls apart.
        ([0.0, 0.0], [0.0, 2.0], 0.5),  # One is zero: not all weight to it.
        ([1.0, 0.0], [-1.0, 0.0], 0.5),  # Opposite and equal: their middle is 0.
        ([1.0, 0.0], [-3.0, 0.0], 0.75),  # 0.75 * 1 - 0.25 * 3 = 0
        ([1.0, 0.0], [-1.0, 1.0], 0.6),  # (2 + 1) / (1 + 2 + 2)
    ],
)
def test_gradients_that_conflict_get_the_weights_of_their_least_norm(
    joint: list[float], unimodal: list[float], weight: float
) -> None:
    a, b = pareto_weights(torch.tensor(joint), torch.tensor(unimodal))
    assert a.item() == pytest.approx(weight)
    assert (a + b).item() == pytest.approx(1)


def test_the_least_norm_is_what_a_search_finds() -> None:
    draw = np.random.default_rng(0)
    met = 0
    for _ in range(40):
        g, u = draw.standard_normal((2, 7)) * draw.exponential(size=(2, 1))
        if g @ u < 0:
            a, _ = pareto_weights(torch.from_numpy(g), torch.from_numpy(u))
            best = minimize_scalar(lambda c, g=g, u=u: np.linalg.norm(c * g + (1 - c) * u), bounds=(0, 1))
            assert a.item() == pytest.approx(best.x, abs=1e-4)
            met += 1
    assert met > 10


def by_hand(g: Array, u: Array, sizes: list[int]) -> Array:
    """What an encoder gets, from whole vectors and the sizes of its tensors."""
    a = 0.5 if g @ u >= 0 else (u @ u - g @ u) / ((g - u) @ (g - u))
    found = []
    for part in np.split(np.stack([g, u]), np.cumsum(sizes)[:-1], axis=1):
        h = 2 * a * part[0] + 2 * (1 - a) * part[1]
        found.append(h * max(1.0, np.linalg.norm(part.sum(0)) / np.linalg.norm(h)))
    return np.concatenate(found)


def test_a_tensor_is_never_shorter_than_the_plain_sum() -> None:
    joint = [torch.tensor([1.0, 0.0]), torch.tensor([1.0])]
    unimodal = [torch.tensor([-3.0, 1.0]), torch.tensor([1.0])]
    found = torch.cat(integrated(joint, unimodal))
    expected = by_hand(np.array([1.0, 0.0, 1.0]), np.array([-3.0, 1.0, 1.0]), [2, 1])
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)
    assert found[:2].norm() >= (joint[0] + unimodal[0]).norm() - 1e-6
    zeros = [torch.zeros(2)]
    assert integrated(zeros, zeros)[0].tolist() == [0, 0]
    assert integrated([], []) == []


@pytest.mark.parametrize("optimiser", [torch.optim.SGD, torch.optim.AdamW])
def test_gamma_stretches_the_steps_of_encoders_alone_whatever_the_optimiser(
    optimiser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of(("vector", "vector"))
    moved: dict[float, dict[str, Tensor]] = {}
    for gamma in (1.0, 1.5):
        torch.manual_seed(0)
        module = load("strategy", "mmpareto")(setting_of(task), gamma=gamma)
        monkeypatch.setattr(
            module, "configure_optimizers", lambda module=module: optimiser(module.parameters(), lr=1e-3)
        )
        before = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
        batches = loader([batch_of(task)])
        quiet_trainer(1, limit_val_batches=0).fit(module, batches, batches)
        moved[gamma] = {name: (p - before[name]).detach() for name, p in module.named_parameters()}
    for name, usual in moved[1.0].items():
        factor = 1.5 if name.startswith("encoders.") else 1.0
        torch.testing.assert_close(moved[1.5][name], factor * usual, rtol=1e-3, atol=1e-7)


class Watch(Callback):
    """Keeps what each encoder's gradient was just before every step, and what it would have been by each loss."""

    def __init__(self) -> None:
        self.got: dict[str, list[Array]] = {}
        self.by_loss: dict[str, list[tuple[Array, Array]]] = {}

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: MultimodalBatch, batch_idx: int) -> None:
        losses = counted_means(pl_module, *loss_table(pl_module.predict(batch), batch, pl_module.task))
        for index, name in enumerate(pl_module.encoders):
            pair = gradients(pl_module, losses[0], name), gradients(pl_module, losses[1 + index], name)
            self.by_loss.setdefault(name, []).append(pair)

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        for name in pl_module.encoders:
            self.got.setdefault(name, []).append(left_behind(pl_module, name))


def unbalanced(root: Path, relation: Literal["redundant", "mixture"] = "redundant") -> SyntheticPID:
    """Modality "b" is under a lot of noise; if redundant, both tell the label."""
    data = SyntheticPID(root, 0, 64, relation=relation, train=512, validation=128, test=128)
    data.prepare_data()
    data.setup()
    b = data.tensors["b"]
    data.tensors["b"] = b + 4.0 * torch.randn(b.shape, generator=torch.Generator().manual_seed(0))
    return data


def module_for(name: str, data: SyntheticPID, **options: Any) -> Any:
    torch.manual_seed(0)
    encoders = {modality: Choice("mlp", {"width": 16}) for modality in data.task.names}
    return load("strategy", name)(Setting(data.task, encoders, 16, 16, optimiser=Optimiser(5e-3)), **options)


def watched(module: FusionModule, data: SyntheticPID, epochs: int) -> Watch:
    watch, trainer = Watch(), quiet_trainer(epochs)
    trainer.callbacks.append(watch)  # type: ignore[attr-defined]
    trainer.fit(module, data)
    return watch


def test_every_encoder_is_trained_by_the_gradient_that_mmpareto_says(tmp_path: Path) -> None:
    data = unbalanced(tmp_path, "mixture")  # Where the label is an XOR, a modality alone pulls elsewhere.
    module = module_for("mmpareto", data)
    watch = watched(module, data, epochs=10)
    conflicts = 0
    for name, encoder in module.encoders.items():
        sizes = [parameter.numel() for parameter in encoder.parameters()]
        for (g, u), found in zip(watch.by_loss[name], watch.got[name], strict=True):
            np.testing.assert_allclose(found, by_hand(g, u, sizes), rtol=1e-2, atol=2e-5)
            conflicts += int(g @ u < 0)
    assert conflicts > 0, "nothing was combined but by a sum"


def test_the_noisy_modality_gets_more_gradient_by_mmpareto_than_by_the_joint_loss(tmp_path: Path) -> None:
    data = unbalanced(tmp_path)
    watch = watched(module_for("mmpareto", data), data, epochs=6)
    late = slice(len(watch.got["b"]) // 2, None)  # By then the joint loss is small: "a" has explained it.

    def mean_norm(some: list[Array]) -> float:
        return float(np.mean([np.linalg.norm(one) for one in some[late]]))

    joint = {name: mean_norm([g for g, _ in watch.by_loss[name]]) for name in ("a", "b")}
    found = {name: mean_norm(watch.got[name]) for name in ("a", "b")}
    assert found["b"] > 3 * joint["b"]
    assert found["b"] / found["a"] > joint["b"] / joint["a"]


def test_heads_get_the_gradient_of_their_own_loss_only() -> None:
    task = task_of(("vector", "vector"))
    module: Any = built("mmpareto", task)
    batch = batch_of(task)
    loss = module.training_step(batch, 0)
    losses = counted_means(module, *loss_table(module.predict(batch), batch, task))
    parts = [module.heads.joint, module.heads.own["m0"], module.heads.own["m1"]]
    expected = [torch.autograd.grad(losses[i], [*part.parameters()], retain_graph=True) for i, part in enumerate(parts)]
    module.backward(loss)
    for part, wanted in zip(parts, expected, strict=True):
        for parameter, gradient in zip(part.parameters(), wanted, strict=True):
            torch.testing.assert_close(parameter.grad, gradient)


def test_mmpareto_refuses_a_gamma_that_shortens() -> None:
    with pytest.raises(UserError, match=r"gamma is 0\.5; it must be a finite number of at least 1"):
        load("strategy", "mmpareto")(setting_of(task_of(("vector",))), gamma=0.5)


def test_mmpareto_refuses_to_mix_the_gradients_of_several_batches() -> None:
    task = task_of(("vector", "vector"))
    batches = loader([batch_of(task)] * 4)
    trainer = quiet_trainer(1, limit_val_batches=0)
    trainer.accumulate_grad_batches = 2
    with pytest.raises(UserError, match="accumulate_grad_batches is 2; it must be 1 here"):
        trainer.fit(built("mmpareto", task), batches, batches)


# --- Alternating -------------------------------------------------------------------------------------------------


def test_the_projection_is_the_inverse_that_recursive_least_squares_updates() -> None:
    draw = np.random.default_rng(0)
    projection = torch.eye(5, dtype=torch.float64)
    expected: Array = np.eye(5)
    for alpha in (0.1, 0.05, 0.02):
        r = draw.standard_normal(5)
        projection = recursive_projection(projection, torch.from_numpy(r), alpha)
        expected = np.linalg.inv(np.linalg.inv(expected) + np.outer(r, r) / alpha)
        expected /= np.sqrt((expected**2).sum())
        np.testing.assert_allclose(projection.numpy(), expected, rtol=1e-8)
    assert np.linalg.norm(projection.numpy() @ r) < 0.02 * np.linalg.norm(r)


def test_nothing_seen_yet_leaves_every_direction_alike() -> None:
    found = recursive_projection(torch.eye(4), torch.zeros(4), 0.1)
    torch.testing.assert_close(found, torch.eye(4) / 2)


def trained_by_hand(module: Any, batches: list[MultimodalBatch], learning_rate: float) -> None:
    """Training as the method says: plain SGD in the order of the modalities, with numpy for the head's gradient."""
    p: Array = np.eye(HEAD_WIDTH)
    r: Array = np.zeros(HEAD_WIDTH)
    for step, batch in enumerate(batches):
        alpha = 0.1 ** (1 + step / len(batches))
        for name, encoded in module.encode(batch).items():
            hidden = module.layers[name](encoded.pooled).relu()
            loss = task_loss(module.head(hidden), batch.targets, module.task)
            parameters = [*module.encoders[name].parameters(), *module.layers[name].parameters(), module.head.bias]
            *found, head = torch.autograd.grad(loss, [*parameters, module.head.weight])
            p = p - np.outer(p @ r, p @ r) / (alpha + r @ p @ r)
            p = p / np.linalg.norm(p)
            with torch.no_grad():
                for parameter, gradient in zip(parameters, found, strict=True):
                    parameter.sub_(learning_rate * gradient)
                module.head.weight.sub_(learning_rate * torch.from_numpy(numpy_of(head) @ p).float())
            r = numpy_of(hidden).mean(0)


def with_sgd(module: FusionModule, monkeypatch: pytest.MonkeyPatch) -> FusionModule:
    """The same module under plain SGD with a constant learning rate, so that gradients show as they are."""

    def configure() -> Any:
        sgd = torch.optim.SGD(module.parameters(), lr=0.1)
        schedule = torch.optim.lr_scheduler.LambdaLR(sgd, lambda step: 1.0)
        return {"optimizer": sgd, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    monkeypatch.setattr(module, "configure_optimizers", configure)
    return module


def loader(batches: list[MultimodalBatch]) -> DataLoader[MultimodalBatch]:
    return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [2, 3])
def test_alternating_training_is_step_by_step_what_its_formulas_say(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of(VECTORS[:count])
    module, other = built("alternating", task), built("alternating", task)
    batches = [batch_of(task, 16, seed) for seed in range(5)]
    quiet_trainer(1, limit_val_batches=0).fit(with_sgd(module, monkeypatch), loader(batches), loader(batches))
    trained_by_hand(other, batches, 0.1)
    for (name, found), expected in zip(module.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5, msg=name)


def test_the_head_keeps_its_answers_to_the_modality_before(monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_of(("vector", "vector"))
    module: Any = built("alternating", task)
    before: list[float] = []
    after: list[float] = []
    modify = module._modify_gradient

    def cosine(features: Tensor) -> float:
        gradient: Any = module.head.weight.grad
        return ((gradient @ features).norm() / (gradient.norm() * features.norm()).clamp(min=1e-9)).item()

    def modified(alpha: float) -> None:
        features: Any = module.features
        before.append(cosine(features))
        modify(alpha)
        after.append(cosine(features))

    monkeypatch.setattr(module, "_modify_gradient", modified)
    batches = [batch_of(task, 32, seed) for seed in range(6)]
    quiet_trainer(1, limit_val_batches=0).fit(module, loader(batches), loader(batches))
    assert len(after) == 12
    assert before[0] == after[0] == 0  # There is nothing to keep yet.
    assert np.mean(after) < 0.2 * np.mean(before)
    assert max(after) < 0.25


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_the_surer_modality_counts_more_and_an_absent_one_not_at_all(kind: Any) -> None:
    task = task_of(VECTORS[:3], kind)
    module, batch = built("alternating", task).eval(), batch_of(task)
    with torch.no_grad():
        module.head.weight *= 5  # type: ignore[union-attr, operator]
    batch.present["m1"] = torch.arange(6) % 2 == 0
    prediction = module.predict(batch)
    z = np.stack([numpy_of(own) for own in prediction.unimodal.values()], 1)  # (B, M, C)
    if kind == "multiclass":
        unsure = entropy_of(np.exp(log_softmax(z, -1)), axis=-1)
    else:
        p = 1 / (1 + np.exp(-z))
        unsure = entropy_of(np.stack([p, 1 - p]), axis=0).sum(-1)
    np.testing.assert_allclose(numpy_of(entropy(torch.from_numpy(z), task)), unsure, rtol=1e-6)
    # As the authors write it: from the highest entropy, of those that are there.
    weights = np.exp(unsure.max(1, keepdims=True) - unsure) * np.stack([x.numpy() for x in batch.present.values()], 1)
    weights /= weights.sum(1, keepdims=True)
    assert prediction.weights is not None
    np.testing.assert_allclose(numpy_of(prediction.weights), weights, rtol=1e-4)
    assert (weights[1::2, 1] == 0).all()
    np.testing.assert_allclose(numpy_of(prediction.logits), (weights[..., None] * z).sum(1), rtol=1e-3, atol=1e-5)


class Rates(Callback):
    """The learning rate of every batch's steps, and its loss."""

    def __init__(self) -> None:
        self.found: list[float] = []
        self.losses: list[float] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self.found.append(trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.losses.append(outputs["loss"].item())


@pytest.mark.parametrize("name", NAMES)
def test_the_schedule_goes_on_once_a_batch_and_the_loss_is_counted_once(name: str) -> None:
    task = task_of(("vector", "vector"))
    module = built(name, task)
    rates, trainer = Rates(), quiet_trainer(2, limit_val_batches=0)
    trainer.callbacks.append(rates)  # type: ignore[attr-defined]
    batches = [batch_of(task, 8, seed) for seed in range(15)]
    trainer.fit(module, loader(batches), loader(batches))
    assert rates.found == pytest.approx([1e-2 * learning_rate_factor(step, 30) for step in range(30)])
    assert len(rates.losses) == 30
    assert trainer.callback_metrics["train/loss"].item() == pytest.approx(np.mean(rates.losses[15:]), rel=1e-5)


def test_the_noisy_encoder_learns_as_if_it_were_alone_by_alternating(tmp_path: Path) -> None:
    data = unbalanced(tmp_path)
    scores = {}
    for name in ("alternating", "concat"):
        module = module_for(name, data)
        watch = Norms()
        trainer = quiet_trainer(6, limit_val_batches=0)
        trainer.callbacks.append(watch)  # type: ignore[attr-defined]
        trainer.fit(module, data)
        scores[name] = {part: float(np.mean(norms[len(norms) // 2 :])) for part, norms in watch.found.items()}
    # The joint loss is small as soon as "a" explains it; then "b" is left without a gradient. Its own loss is not.
    assert scores["alternating"]["b"] > 3 * scores["concat"]["b"]
    assert scores["alternating"]["b"] > scores["alternating"]["a"]


class Norms(Callback):
    """The length of each encoder's gradient before every step that trains it."""

    def __init__(self) -> None:
        self.found: dict[str, list[float]] = {}

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        for name, encoder in pl_module.encoders.items():
            if any(parameter.grad is not None for parameter in encoder.parameters()):
                self.found.setdefault(name, []).append(float(np.linalg.norm(left_behind(pl_module, name))))


# --- Gradient blending -------------------------------------------------------------------------------------------


def test_the_blend_follows_from_how_losses_generalise_and_overfit() -> None:
    then = torch.tensor([[2.0, 2.0, 2.0], [2.0, 2.0, 2.0]])
    now = torch.tensor([[0.5, 1.0, 1.5], [1.0, 1.2, 2.5]])
    # G = 1, 0.8, |-0.5|; O = 0.5, 0.2, 1: the second generalises nearly as well and overfits least.
    ratios = np.array([1 / 0.25, 0.8 / 0.04, 0.5 / 1])
    np.testing.assert_allclose(blend_weights(then, now).numpy(), ratios / ratios.sum(), rtol=1e-5)


def test_a_blend_of_losses_that_stand_still_is_equal_and_no_division_by_zero_takes_all() -> None:
    then = torch.ones(2, 4)
    assert blend_weights(then, then).tolist() == [0.25] * 4
    now = torch.tensor([[0.5, 1, 1, 1], [0.5, 1, 1, 1]])
    assert blend_weights(then, now).tolist() == [1, 0, 0, 0]
    assert blend_weights(then, now).isfinite().all()


class Blends(Callback):
    """After every epoch: the weights, and every loss recomputed from the validation rows."""

    def __init__(self) -> None:
        self.weights: list[Array] = []
        self.held_out: list[Array] = []

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if trainer.sanity_checking:
            return
        (batch,) = trainer.datamodule.val_dataloader()
        with torch.no_grad():
            prediction = pl_module.heads(pl_module.encode(batch), with_own=True)
        logits = [prediction.logits, *prediction.unimodal.values()]
        self.held_out.append(np.array([task_loss(z, batch.targets, pl_module.task).item() for z in logits]))
        self.weights.append(numpy_of(pl_module.blend).copy())


def blended(root: Path, epochs: int, super_epoch: int) -> tuple[Any, Blends]:
    data = unbalanced(root)
    module, blends, trainer = (
        module_for("gradient_blend", data, super_epoch=super_epoch),
        Blends(),
        quiet_trainer(epochs),
    )
    trainer.callbacks.append(blends)  # type: ignore[attr-defined]
    trainer.fit(module, data)
    return module, blends


def test_the_blend_is_estimated_after_every_super_epoch_from_validation_rows(tmp_path: Path) -> None:
    module, blends = blended(tmp_path, epochs=7, super_epoch=3)
    changed = [not np.array_equal(a, b) for a, b in zip(blends.weights, blends.weights[1:], strict=False)]
    assert changed == [False, True, False, False, True, False]
    assert blends.weights[1].tolist() == pytest.approx([1 / 3] * 3)
    assert int(module.since) == 6
    np.testing.assert_allclose(numpy_of(module.then[1]), blends.held_out[5], rtol=1e-5)
    assert all(weights.sum() == pytest.approx(1) for weights in blends.weights)
    (note,) = module.notes()
    said = ", ".join(
        f"{w:.2g} for {name}" for w, name in zip(blends.weights[5], ("the joint loss", "a", "b"), strict=True)
    )
    assert note == f"the last estimate of its losses' weights, after epoch 6: {said}."


@pytest.mark.parametrize(("epochs", "first"), [(2, 1), (5, 1), (9, 1), (20, 4)])
def test_unless_said_otherwise_the_blend_is_estimated_five_times(epochs: int, first: int, tmp_path: Path) -> None:
    _, blends = blended(tmp_path, epochs, super_epoch=0)
    weights = [np.full(3, 1 / 3, np.float32), *blends.weights]
    changed = [not np.allclose(a, b) for a, b in pairwise(weights)]
    assert changed == [(epoch + 1) % first == 0 for epoch in range(epochs)]


def test_before_the_first_epoch_every_loss_is_that_of_the_untrained_model(tmp_path: Path) -> None:
    data = unbalanced(tmp_path)
    module = module_for("gradient_blend", data)
    (batch,) = data.val_dataloader()
    with torch.no_grad():
        losses = counted_means(module, *loss_table(module.predict(batch), batch, module.task))
    found: list[Tensor] = []

    class Look(Callback):
        def on_train_batch_start(self, trainer: Any, pl_module: Any, *arguments: Any) -> None:
            found.append(pl_module.then.clone())

    trainer = quiet_trainer(1)
    trainer.callbacks.append(Look())  # type: ignore[attr-defined]
    trainer.fit(module, data)
    torch.testing.assert_close(found[0], torch.stack([losses, losses]))


def test_a_training_too_short_for_an_estimate_is_refused(tmp_path: Path) -> None:
    setting, strategy = setting_of(task_of(("vector", "vector"))), load("strategy", "gradient_blend")
    assert "training ends after the first one" in strategy.unsuitable(replace(setting, epochs=1))
    assert strategy.unsuitable(replace(setting, epochs=2)) == strategy.unsuitable(setting) == ""
    with pytest.raises(UserError, match="super_epoch is 4, and training ends after epoch 4"):
        strategy(replace(setting, epochs=4), super_epoch=4)
    strategy(replace(setting, epochs=5), super_epoch=4)


def test_the_noisy_modality_overfits_and_its_encoder_then_gets_less_of_its_own_loss(tmp_path: Path) -> None:
    module, blends = blended(tmp_path, epochs=11, super_epoch=10)
    weight = blends.weights[-1]
    assert weight[2] < weight[1]  # "b", the noisy one, after "a".
    assert weight[2] < 1 / 3
    data = unbalanced(tmp_path)
    assert data.parts is not None
    batch = data.batch(data.parts.train[:64])
    module.train()
    losses = counted_means(module, *loss_table(module.predict(batch), batch, module.task))
    g, u = (gradients(module, losses[index], "b") for index in (0, 2))
    found = gradients(module, module.loss(module.predict(batch), batch), "b")
    np.testing.assert_allclose(found, weight[0] * g + weight[2] * u, rtol=1e-3, atol=1e-6)
    equal = (g + u) / 3
    assert np.linalg.norm(found) < np.linalg.norm(equal)


def test_without_validation_rows_the_blend_stays_as_it_was(tmp_path: Path) -> None:
    data = unbalanced(tmp_path)
    module = module_for("gradient_blend", data, super_epoch=1)
    quiet_trainer(3, limit_val_batches=0).fit(module, data)
    assert module.blend.tolist() == pytest.approx([1 / 3] * 3)
    assert int(module.since) == -1


def test_validation_and_test_rows_alone_never_change_the_blend(tmp_path: Path) -> None:
    data = unbalanced(tmp_path)
    module = module_for("gradient_blend", data, super_epoch=1)
    trainer = quiet_trainer(2)
    trainer.fit(module, data)
    before = module.blend.clone()
    assert not torch.allclose(before, torch.full((3,), 1 / 3))
    trainer.validate(module, data, verbose=False)
    trainer.test(module, data, verbose=False)
    assert torch.equal(module.blend, before)


# --- All of them -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mmpareto", "gradient_blend"])
def test_the_heads_of_single_modalities_cost_a_prediction_nothing(name: str) -> None:
    task = task_of(("vector", "vector"))
    module, batch = built(name, task), batch_of(task)
    assert set(module.train().predict(batch).unimodal) == {"m0", "m1"}
    assert module.eval().predict(batch).unimodal == {}


@pytest.mark.parametrize("name", ["mmpareto", "gradient_blend"])
def test_a_sample_that_lacks_a_modality_does_not_count_in_its_loss(name: str) -> None:
    task = task_of(("vector", "vector"), "multilabel")
    module, batch = built(name, task), batch_of(task)
    here = torch.tensor([True, True, False, True, False, False])
    batch = replace(batch, present=batch.present | {"m1": here})
    prediction = module.predict(batch)
    losses = counted_means(module, *loss_table(prediction, batch, task))
    expected = [
        task_loss(prediction.logits, batch.targets, task),
        task_loss(prediction.unimodal["m0"], batch.targets, task),
        task_loss(prediction.unimodal["m1"][here], batch.targets[here], task),
    ]
    torch.testing.assert_close(losses, torch.stack(expected))
    total = torch.stack(expected).sum() / (3 if name == "gradient_blend" else 1)
    torch.testing.assert_close(module.loss(prediction, batch), total)


@pytest.mark.parametrize("name", NAMES)
def test_a_modality_that_a_whole_batch_lacks_leaves_its_encoder_alone(name: str) -> None:
    task = task_of(("vector", "vector"))
    module, batch = built(name, task), batch_of(task)
    batch = replace(batch, present=batch.present | {"m1": torch.zeros(6, dtype=torch.bool)})
    before = {key: value.clone() for key, value in module.encoders.state_dict().items()}
    quiet_trainer(1, limit_val_batches=0).fit(module, loader([batch] * 3), loader([batch]))
    for key, value in module.encoders.state_dict().items():
        assert torch.equal(value, before[key]) == key.startswith("m1."), key
    assert all(parameter.isfinite().all() for parameter in module.parameters())
    assert logits_of(module, batch).isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_training_in_bfloat16_keeps_parameters_and_states_in_float32(name: str) -> None:
    task = task_of(("vector", "vector"))
    batches, found = [batch_of(task, 32, seed) for seed in range(6)], {}
    for precision in ("32-true", "bf16-mixed"):
        module = built(name, task)
        trainer = Trainer(
            max_epochs=2,
            accelerator="cpu",
            logger=False,
            precision=precision,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, loader(batches), loader(batches[:1]))
        assert all(tensor.dtype == torch.float32 for tensor in module.parameters())
        assert all(tensor.isfinite().all() for tensor in module.parameters())
        found[precision] = logits_of(module, batches[0]), module.state_dict()
    torch.testing.assert_close(found["bf16-mixed"][0], found["32-true"][0], rtol=0.2, atol=0.2)
    if name == "alternating":
        p = found["bf16-mixed"][1]["projection"]
        torch.testing.assert_close(p, p.T, rtol=0, atol=1e-6)
        assert p.norm().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_encoders_that_stay_as_they_are_leave_nothing_to_change(name: str) -> None:
    setting = setting_of(task_of(("vector", "vector")))
    frozen = {key: replace(choice, pretrain=Pretraining(1, 8, 1e-3)) for key, choice in setting.encoders.items()}
    strategy = load("strategy", name)
    assert "frozen" in strategy.unsuitable(replace(setting, encoders=frozen))
    one = {**setting.encoders, "m0": frozen["m0"]}
    assert bool(strategy.unsuitable(replace(setting, encoders=one))) == (name != "gradient_blend")
    assert strategy.unsuitable(setting) == ""


class Patchy(SyntheticPID):
    """Modality "b" is missing in most of the first half of every batch: unevenly among devices."""

    def train_batch(self, rows: Any, epoch: int) -> MultimodalBatch:
        batch = self.batch(rows)
        here = (torch.arange(len(rows)) >= len(rows) // 2) | (torch.arange(len(rows)) % 4 == 0)
        return replace(batch, present=batch.present | {"b": here})


def patchy_scores(ranks: Ranks, folder: Path) -> dict[str, Any]:
    """What each strategy's training gives after some epochs, on this device's part."""
    found: dict[str, Any] = {}
    for name, options in (("mmpareto", {}), ("alternating", {}), ("gradient_blend", {"super_epoch": 2})):
        data = Patchy(folder, 0, 32, relation="redundant", train=256, validation=72, test=64)
        data.prepare_data()
        data.setup()
        data.share_out(ranks)
        torch.manual_seed(0)
        encoders = {modality: Choice("mlp", {"width": 8}) for modality in data.task.names}
        module = load("strategy", name)(Setting(data.task, encoders, 8, 8, 0.2, Optimiser(1e-3)), **options)
        fitted = fit(module, data, Budget(4, 32, 1e-3, dropout=0.2), lambda *_: None)
        found[name] = fitted.curves, {key: value.tolist() for key, value in module.named_buffers()}
    return found


def test_several_devices_train_what_one_does_where_modalities_are_missing_unevenly(tmp_path: Path) -> None:
    quiet()
    one = patchy_scores(Ranks(), tmp_path)
    first, second = together(patchy_scores, tmp_path)
    for name in NAMES:
        for curve, values in one[name][0].items():
            # One row of 72 may stand on the border, and fall to either side by the last digit of a sum.
            allowed = 1.01 / 72 if curve.endswith("accuracy") else 1e-5
            assert first[name][0][curve] == pytest.approx(values, abs=allowed), f"{name}: {curve}"
        for key in ("projection", "features", "blend", "then"):
            if key in one[name][1]:
                np.testing.assert_allclose(first[name][1][key], one[name][1][key], rtol=1e-3, atol=1e-5)
                assert first[name][1][key] == second[name][1][key]
