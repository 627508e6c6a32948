"""Strategies that balance modalities while they train, against their formulas in numpy and by other means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, combinations, permutations
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Callback, Trainer
from numpy.typing import NDArray
from scipy.special import expit, log_softmax, softmax
from scipy.stats import entropy
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.catalogue import load
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalityKind, TaskKind
from fusionbench.data.synthetic_pid import SyntheticPID
from fusionbench.fusion import agm, ogm_ge, pmr
from fusionbench.fusion._balance import ModulatedSteps, true_probability
from fusionbench.fusion.base import FusionModule, Optimiser, Setting
from fusionbench.plan.budget import Pretraining
from fusionbench.plan.suite import Choice
from fusionbench.testing.samples import CLASSES, WIDTH, batch_of, built, quiet_trainer, rows_of, setting_of, task_of

Array = NDArray[Any]
VECTORS: tuple[ModalityKind, ...] = ("vector",) * 5
BALANCING = ("ogm_ge", "agm", "pmr")


def numpy_of(tensor: Tensor) -> Array:
    return tensor.detach().numpy().astype(np.float64)


def module_and_batch(strategy: str, count: int = 2, kind: TaskKind = "multiclass") -> tuple[Any, MultimodalBatch]:
    """A module in training mode and samples, of which m1 is there for every second one only."""
    task = task_of(VECTORS[:count], kind)
    batch = batch_of(task, size=12)
    batch.present["m1"] = torch.arange(12) % 2 == 0
    return built(strategy, task).train(), batch


def encoded_of(module: FusionModule, batch: MultimodalBatch) -> Array:
    """(B, M, D)."""
    return np.stack([numpy_of(one.pooled) for one in module.encode(batch).values()], 1)


def present_of(batch: MultimodalBatch) -> Array:
    return np.stack([here.numpy() for here in batch.present.values()], 1)


def own_logits(module: FusionModule, batch: MultimodalBatch) -> Array:
    """(B, M, C)."""
    return np.stack([numpy_of(one) for one in module.predict(batch).unimodal.values()], 1)


def gradients(module: Any, batch: MultimodalBatch, *, plain: bool = False) -> dict[str, Tensor]:
    """What a step of plain SGD at a rate of 1 takes off every parameter; `plain`: by cross-entropy alone."""
    module.zero_grad()
    start = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
    sgd = torch.optim.SGD(module.parameters(), lr=1.0)
    prediction = module.predict(batch)
    loss = F.cross_entropy(prediction.logits, batch.targets) if plain else module.loss(prediction, batch)
    torch.autograd.backward(loss)
    if not plain:
        module.on_before_optimizer_step(sgd)
    sgd.step()
    if not plain:
        for steps in (getattr(module, "_steps", None), getattr(module, "_modulated", None)):
            if isinstance(steps, ModulatedSteps):
                steps.after(sgd)
    found = {name: start[name] - parameter.detach() for name, parameter in module.named_parameters()}
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(start[name])
    return found


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6)


# --- all of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", BALANCING)
def test_frozen_encoders_leave_nothing_to_balance(strategy: str) -> None:
    setting = setting_of(task_of(("vector", "vector")))
    still = {name: replace(choice, pretrain=Pretraining()) for name, choice in setting.encoders.items()}
    frozen = replace(setting, encoders=still)
    assert load("strategy", strategy).unsuitable(setting) == ""
    assert "stay as they are" in load("strategy", strategy).unsuitable(frozen)


@pytest.mark.parametrize(
    ("strategy", "option", "value"),
    [
        ("ogm_ge", "alpha", -0.1),
        ("ogm_ge", "until", -1),
        ("agm", "alpha", float("inf")),
        ("pmr", "mu", -1.0),
        ("pmr", "momentum", 1.0),
        ("pmr", "early", -1),
    ],
)
def test_an_option_out_of_range_is_named(strategy: str, option: str, value: float) -> None:
    with pytest.raises(UserError, match=rf"'{strategy}': {option} is {value}; it must be"):
        load("strategy", strategy)(setting_of(task_of(("vector", "vector"))), **{option: value})


@pytest.mark.parametrize(
    ("strategy", "options"),
    [("ogm_ge", {"alpha": 0.0, "noise": False}), ("agm", {"alpha": 0.0}), ("pmr", {"alpha": 0.0, "mu": 0.0})],
)
def test_with_alpha_0_the_gradients_are_those_of_plain_training(strategy: str, options: dict[str, Any]) -> None:
    module, batch = module_and_batch(strategy, 3)
    module = type(module)(module.setting, **options).train()
    if strategy == "pmr":
        module.update([batch])
    found = gradients(module, batch)
    expected = gradients(module, batch, plain=True)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-6)


# --- the same on data where one modality is ahead ---------------------------------------------------------------------


class Watch(Callback):
    """How far each encoder moves in every step of the optimiser, (steps, M), and by which factor it was modulated."""

    def __init__(self) -> None:
        self.moved: list[list[float]] = []
        self.factors: list[list[float]] = []
        self.before: list[Tensor] = []

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        steps = getattr(pl_module, "_steps", None) or getattr(pl_module, "_modulated", None)
        if steps is None:  # pmr changes the loss alone.
            return
        said = steps.before

        def before(parts: Any, noise: bool = False) -> None:
            kept = [(list(some), factor) for some, factor in parts]
            self.factors.append([float(factor) for _, factor in kept])
            said(kept, noise)

        steps.before = before

    def on_train_batch_start(self, trainer: Any, pl_module: Any, *arguments: Any) -> None:
        self.before = vectors(pl_module)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, *arguments: Any) -> None:
        pairs = zip(vectors(pl_module), self.before, strict=True)
        self.moved.append([float((after - before).norm()) for after, before in pairs])


def vectors(module: Any) -> list[Tensor]:
    """Each encoder's parameters as one vector."""
    return [nn.utils.parameters_to_vector(one.parameters()).detach().clone() for one in module.encoders.values()]


@pytest.fixture(scope="module")
def unbalanced(tmp_path_factory: pytest.TempPathFactory) -> SyntheticPID:
    """Both modalities tell the label, but b is told in much louder noise."""
    data = SyntheticPID(tmp_path_factory.mktemp("data"), 0, 64, relation="redundant", noise=0.5, train=1024)
    data.prepare_data()
    data.setup()
    b = np.array(data.arrays["b"])
    data.arrays["b"] = b + 4.0 * np.random.default_rng(0).standard_normal(b.shape).astype(np.float32)
    data.load_memory()
    return data


def trained(
    strategy: str, data: SyntheticPID, epochs: int, optimiser: tuple[Any, float] | None = None, **options: Any
) -> tuple[Any, Watch]:
    """Fitted by a plain Trainer, by another optimiser and its rate where they are given."""
    torch.manual_seed(0)
    encoders = {name: Choice("mlp", {"width": 16}) for name in data.task.names}
    setting = Setting(data.task, encoders, width=16, head_width=16, optimiser=Optimiser(2e-3))
    module, watch = load("strategy", strategy)(setting, **options), Watch()
    if optimiser is not None:
        kind, rate = optimiser
        module.configure_optimizers = lambda: kind(module.parameters(), lr=rate, weight_decay=0.0)
    trainer = quiet_trainer(epochs, limit_val_batches=0)
    trainer.callbacks.append(watch)  # type: ignore[attr-defined]
    trainer.fit(module, data)
    return module.train(), watch


@pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")
def test_ogm_ge_slows_the_modality_that_is_ahead(unbalanced: SyntheticPID) -> None:
    _, watch = trained("ogm_ge", unbalanced, 2, noise=False)
    later = np.array(watch.factors)[4:]
    assert (later[:, 0] < 1 - np.tanh(0.3)).all()
    np.testing.assert_allclose(later[:, 1], 1, rtol=1e-6)


@pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")
def test_ogm_ge_trains_as_usual_after_its_last_epoch(unbalanced: SyntheticPID) -> None:
    _, watch = trained("ogm_ge", unbalanced, 2, until=0)
    assert len(watch.factors) == len(watch.moved) / 2


@pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")
def test_agm_slows_the_modality_that_takes_the_lead(unbalanced: SyntheticPID) -> None:
    module, _ = trained("agm", unbalanced, 6)
    assert unbalanced.parts is not None
    batch = unbalanced.batch(unbalanced.parts.train[:256])
    shares = torch.from_numpy(own_logits(module, batch)).float()
    first, second = module.kappa(shares, torch.from_numpy(present_of(batch)), batch).tolist()
    assert first < 0.95
    assert second > 1.05
    found, plain = gradients(module, batch), gradients(module, batch, plain=True)
    names = [name for name in found if name.startswith("encoders.a.")]
    assert sum(float(found[n].norm()) for n in names) < sum(float(plain[n].norm()) for n in names)


@pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")
@pytest.mark.parametrize("strategy", ["ogm_ge", "agm"])
@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_a_factor_slows_an_encoder_as_much_under_adam_as_under_sgd(
    strategy: str, name: str, unbalanced: SyntheticPID, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"noise": False} if strategy == "ogm_ge" else {}
    optimiser = (torch.optim.SGD, 1e-3) if name == "SGD" else (torch.optim.AdamW, 1e-6)  # Both stay near the start.
    moved = {}
    for factor in (1.0, 0.3):
        monkeypatch.setattr(ogm_ge, "coefficients", lambda *_, factor=factor: torch.tensor([factor, 1.0]))
        monkeypatch.setattr(agm, "coefficients", lambda *_, factor=factor: torch.tensor([factor, factor]))
        _, watch = trained(strategy, unbalanced, 1, optimiser=optimiser, **options)
        moved[factor] = np.array(watch.moved)[:, 0].mean()
    assert moved[0.3] / moved[1.0] == pytest.approx(0.3, rel=0.03)


@pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")
def test_pmr_adds_to_the_gradients_of_the_modality_that_is_behind_alone(unbalanced: SyntheticPID) -> None:
    module, _ = trained("pmr", unbalanced, 1, early=0)
    assert unbalanced.parts is not None
    batch = unbalanced.batch(unbalanced.parts.train[:256])
    found, plain = gradients(module, batch), gradients(module, batch, plain=True)
    added = {name: float((found[name] - plain[name]).norm()) for name in found}
    assert all(gap < 1e-6 for name, gap in added.items() if not name.startswith("encoders.b."))
    assert all(gap > 1e-3 for name, gap in added.items() if name.startswith("encoders.b.") and "weight" in name)


# --- ogm_ge -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3, 5])
def test_ogm_ge_is_a_linear_layer_on_the_concatenation(count: int) -> None:
    module, batch = module_and_batch("ogm_ge", count)
    x, present = encoded_of(module, batch), present_of(batch)
    z = [
        numpy_of(layer[1:](layer[0](torch.from_numpy(x[:, m]).float()))) * present[:, m, None]
        for m, layer in enumerate(module.hidden.values())
    ]
    expected = np.concatenate(z, 1) @ numpy_of(module.last.weight).T + numpy_of(module.last.bias)
    np.testing.assert_allclose(numpy_of(module.predict(batch).logits), expected, rtol=1e-4, atol=1e-5)
    width = z[0].shape[1]
    first = z[0] @ numpy_of(module.last.weight)[:, :width].T + numpy_of(module.last.bias) / count
    np.testing.assert_allclose(own_logits(module, batch)[:, 0], first, rtol=1e-4, atol=1e-5)


def ogm_factors(module: Any, batch: MultimodalBatch, alpha: float) -> Array:
    """By the paper, sample by sample, from each modality's logits."""
    logits, present = own_logits(module, batch), present_of(batch)
    scores = []
    for m in range(logits.shape[1]):
        found = [softmax(logits[i, m])[batch.targets[i]] for i in range(len(batch)) if present[i, m]]
        scores.append(np.mean(found))
    ratios = np.array(scores) / min(scores)
    return np.where(ratios > 1, 1 - np.tanh(alpha * ratios), 1.0)


def test_the_coefficient_of_two_modalities_is_the_papers() -> None:
    logits = np.array([[[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])  # (2, 2, 3)
    labels = [0, 1]
    first = np.exp(2) / (np.exp(2) + 2) + np.e / (np.e + 2)
    second = 1 / 3 + 1 / (np.e + 2)
    probability, has_label = true_probability(
        torch.from_numpy(logits), torch.tensor(labels), task_of(("vector", "vector"))
    )
    np.testing.assert_allclose(probability.sum(0).numpy(), [first, second], rtol=1e-6)
    assert has_label.all()
    known = torch.tensor([True, True])
    found = ogm_ge.coefficients(probability.mean(0), known, 0.3)
    np.testing.assert_allclose(found.numpy(), [1 - np.tanh(0.3 * first / second), 1.0], rtol=1e-6)
    swapped = ogm_ge.coefficients(probability.mean(0).flip(0), known, 0.3)
    np.testing.assert_allclose(swapped.numpy(), [1.0, 1 - np.tanh(0.3 * first / second)], rtol=1e-6)


def test_equal_modalities_and_those_that_nobody_has_keep_their_gradients() -> None:
    equal = ogm_ge.coefficients(torch.tensor([0.4, 0.4, 0.0]), torch.tensor([True, True, False]), 1.0)
    assert equal.tolist() == [1.0, 1.0, 1.0]
    nobody = ogm_ge.coefficients(torch.zeros(2), torch.zeros(2, dtype=torch.bool), 1.0)
    assert nobody.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_ogm_ge_multiplies_the_gradients_of_each_encoder_by_its_coefficient(count: int) -> None:
    module, batch = module_and_batch("ogm_ge", count)
    module.noise = False
    factors = ogm_factors(module, batch, module.alpha)
    assert sorted(factors)[-1] == 1.0
    assert sorted(factors)[-2] < 1 - np.tanh(module.alpha)
    expected = gradients(module, batch, plain=True)
    for name in expected:
        for m, modality in enumerate(module.task.names):
            if name.startswith((f"encoders.{modality}.", f"hidden.{modality}.")):
                expected[name] = expected[name] * factors[m]
    assert_same(gradients(module, batch), expected)


def test_scores_add_up_over_the_batches_of_one_step() -> None:
    module, batch = module_and_batch("ogm_ge")
    module.noise = False
    parts = [rows_of(batch, torch.arange(12)[half]) for half in (slice(None, 5), slice(5, None))]
    for part in parts:
        module.loss(module.predict(part), part)
    sums = module._sums.clone()
    module._sums = None
    module.loss(module.predict(batch), batch)
    torch.testing.assert_close(sums, module._sums)
    assert sums[1].tolist() == [12, 6]


def test_the_noise_has_the_deviation_of_the_step_and_spares_what_has_no_gradient() -> None:
    torch.manual_seed(0)
    many, one = nn.Parameter(torch.zeros(210, 100)), nn.Parameter(torch.zeros(1))
    gradient = torch.cat([3 + 0.5 * torch.randn(200, 100), torch.zeros(10, 100)])
    many.grad, one.grad = gradient.clone(), torch.tensor([2.0])
    sgd, steps = torch.optim.SGD([many, one], lr=0.1), ModulatedSteps()
    steps.before([([many, one], torch.tensor(0.25))], noise=True)
    sgd.step()
    steps.after(sgd)
    noise = -many.detach() / 0.1 - 0.25 * gradient
    assert (noise[200:] == 0).all()
    assert noise[:200].std().item() == pytest.approx(gradient.std().item(), rel=0.02)
    assert noise[:200].mean().item() == pytest.approx(0, abs=0.02)
    assert one.item() == pytest.approx(-0.1 * 0.25 * 2)


def test_a_step_draws_its_noise_from_the_generator_that_all_devices_share() -> None:
    module, batch = module_and_batch("ogm_ge")
    torch.manual_seed(3)
    first = gradients(module, batch)
    torch.manual_seed(3)
    assert_same(gradients(module, batch), first)
    other = gradients(module, batch)["hidden.m0.1.weight"]
    assert not torch.allclose(other, first["hidden.m0.1.weight"], atol=1e-4)


def test_the_score_of_several_labels_is_the_mean_probability_of_those_a_sample_has() -> None:
    module, batch = module_and_batch("ogm_ge", 2, "multilabel")
    batch.targets[3] = 0
    logits, present, targets = own_logits(module, batch), present_of(batch), batch.targets.numpy().astype(bool)
    expected = [
        np.mean([expit(logits[i, m][targets[i]]).mean() for i in range(12) if present[i, m] and targets[i].any()])
        for m in range(2)
    ]
    module.loss(module.predict(batch), batch)
    np.testing.assert_allclose(numpy_of(module._sums[0] / module._sums[1]), expected, rtol=1e-5)


# --- agm --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_weights_give_the_shapley_value_over_all_orders(count: int) -> None:
    draw = np.random.default_rng(0)
    everyone = range(count)
    game = {frozenset(s): draw.normal() for s in chain(*(combinations(everyone, k) for k in range(1, count + 1)))}
    game[frozenset()] = 0.0
    orders = list(permutations(everyone))
    expected = np.zeros(count)
    for order in orders:
        for place, m in enumerate(order):
            expected[m] += (game[frozenset(order[: place + 1])] - game[frozenset(order[:place])]) / len(orders)
    subsets, shares = agm.shapley(count)
    values = np.array([game[frozenset(np.flatnonzero(subset))] for subset in subsets.numpy()])
    assert subsets[-1].tolist() == [1] * count
    np.testing.assert_allclose(values @ shares.numpy(), expected, rtol=1e-5, atol=1e-6)


def answered(module: Any, x: Array, *here: int) -> Array:
    """The MLP's answer (B, C) from some modalities; the others are zeros."""
    kept = np.zeros_like(x)
    kept[:, list(here)] = x[:, list(here)]
    first, last = module.head[1], module.head[4]
    kept = (kept - kept.mean(2, keepdims=True)) / np.sqrt(kept.var(2, keepdims=True) + 1e-5)  # Each modality by itself.
    hidden = np.maximum(kept.reshape(len(x), -1) @ numpy_of(first.weight).T + numpy_of(first.bias), 0)
    return np.asarray(hidden @ numpy_of(last.weight).T + numpy_of(last.bias))


def test_the_shares_of_two_modalities_are_the_papers_and_an_absent_one_has_none() -> None:
    module, batch = module_and_batch("agm")
    x, present = encoded_of(module, batch), present_of(batch)
    both, first, second = answered(module, x, 0, 1), answered(module, x, 0), answered(module, x, 1)
    expected = np.stack([(both - second + first) / 2, (both - first + second) / 2], 1)
    expected[~present[:, 1]] = np.stack([first, np.zeros_like(first)], 1)[~present[:, 1]]
    found = own_logits(module, batch)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.sum(1), numpy_of(module.predict(batch).logits), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("count", [3, 5])
def test_the_shares_add_up_to_the_logits(count: int) -> None:
    module, batch = module_and_batch("agm", count)
    logits = numpy_of(module.predict(batch).logits)
    np.testing.assert_allclose(own_logits(module, batch).sum(1), logits, rtol=1e-4, atol=1e-5)


def test_subsets_are_answered_without_dropout() -> None:
    module, batch = module_and_batch("agm")
    module.head[3].p = 0.5
    x = encoded_of(module, batch)
    prediction = module.predict(batch)
    first, second = (numpy_of(share) for share in prediction.unimodal.values())
    both = batch.present["m1"].numpy()
    alone = answered(module, x, 0) - answered(module, x, 1)
    np.testing.assert_allclose((first - second)[both], alone[both], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(first + second, numpy_of(prediction.logits), rtol=1e-4, atol=1e-5)


def test_the_coefficients_are_the_authors_for_two_and_three_modalities() -> None:
    now, usual = np.array([0.7, 1.9]), np.array([0.8, 1.2])
    expected = [
        np.exp(0.5 * (np.exp(1.2 - 0.8) - np.exp(1.9 - 0.7))),
        np.exp(0.5 * (np.exp(0.8 - 1.2) - np.exp(0.7 - 1.9))),
    ]
    np.testing.assert_allclose(agm.coefficients(torch.tensor(now), torch.tensor(usual), 0.5).numpy(), expected)
    now, usual = np.array([0.7, 1.9, 1.0]), np.array([0.8, 1.2, 1.1])
    expected = np.exp(0.5 * (np.exp((usual.mean() - usual) * 3 / 2) - np.exp((now.mean() - now) * 3 / 2)))
    np.testing.assert_allclose(agm.coefficients(torch.tensor(now), torch.tensor(usual), 0.5).numpy(), expected)


def test_a_coefficient_is_bounded_where_the_usual_lead_is_large() -> None:
    found = agm.coefficients(torch.tensor([1.0, 1.0]), torch.tensor([0.0, 5.0]), 0.2)
    assert found[0].item() == pytest.approx(np.exp(0.2 * 10), rel=1e-5)


def agm_scores(module: Any, batch: MultimodalBatch) -> Array:
    logits, present = own_logits(module, batch), present_of(batch)
    losses = [
        [-log_softmax(logits[i, m])[batch.targets[i]] for i in range(len(batch)) if present[i, m]]
        for m in range(logits.shape[1])
    ]
    return np.array([np.mean(one) for one in losses])


def test_the_usual_lead_is_that_of_the_mean_over_all_steps_before() -> None:
    module, batch = module_and_batch("agm", 3)
    seen: list[Array] = []
    for seed in range(3):
        other = batch_of(module.task, seed=seed)
        scores = agm_scores(module, other)
        usual = np.mean(seen, 0) if seen else np.zeros(3)
        shares = torch.from_numpy(own_logits(module, other)).float()
        found = module.kappa(shares, torch.from_numpy(present_of(other)), other)
        leads = [np.exp((s.sum() - s) / 2 - s) for s in (usual, scores)]
        np.testing.assert_allclose(found.numpy(), np.exp(leads[0] - leads[1]), rtol=1e-4)
        seen.append(scores)
    np.testing.assert_allclose(module.usual.numpy(), np.mean(seen, 0), rtol=1e-5)
    assert {"usual", "steps"} <= module.state_dict().keys()
    batch.present["m1"][:] = False
    before = module.usual[1].item()
    module.loss(module.predict(batch), batch)
    assert module.usual[1].item() == pytest.approx(before)  # Nobody had it.


def test_agm_changes_the_gradient_that_reaches_each_share() -> None:
    module, batch = module_and_batch("agm", 3)
    module.usual.copy_(torch.tensor([0.5, 1.5, 1.0]))
    module.steps += 4
    usual, scores = numpy_of(module.usual), agm_scores(module, batch)
    kappa = np.exp(np.exp((usual.sum() - usual) / 2 - usual) - np.exp((scores.sum() - scores) / 2 - scores))
    assert np.ptp(kappa) > 0.1
    found = gradients(module, batch)
    module.zero_grad()
    shares = module.predict(batch).unimodal.values()
    for share, factor in zip(shares, kappa, strict=True):
        share.register_hook(lambda gradient, factor=float(factor): gradient * factor)
    torch.autograd.backward(F.cross_entropy(torch.stack(list(shares)).sum(0), batch.targets))
    expected = {name: parameter.grad for name, parameter in module.named_parameters()}
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-6)


def test_agm_leaves_the_loss_itself_as_it_is() -> None:
    module, batch = module_and_batch("agm")
    prediction = module.predict(batch)
    loss = module.loss(prediction, batch)
    assert loss.item() == pytest.approx(F.cross_entropy(prediction.logits, batch.targets).item())
    assert module.eval().predict(batch).unimodal == {}


def test_agm_asks_no_more_subsets_than_it_can() -> None:
    reason = load("strategy", "agm").unsuitable(setting_of(task_of(("vector",) * 11)))
    assert "10 modalities at most" in reason


# --- pmr --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second"), [(0.2, 0.3), (0.3, 0.2), (0.1, 0.9), (0.9, 0.1), (0.4, 0.4)])
def test_the_coefficients_of_two_modalities_are_those_of_equation_11(first: float, second: float) -> None:
    rho = first / second
    beta = np.clip(1 / rho - 1, 0, 1) if rho < 1 else 0.0
    gamma = np.clip(rho - 1, 0, 1) if rho >= 1 else 0.0
    behind, ahead = pmr.coefficients(torch.tensor([first, second]), torch.tensor([True, True]))
    np.testing.assert_allclose(behind.numpy(), [beta, gamma], atol=1e-6)
    np.testing.assert_allclose(ahead.numpy(), [gamma, beta], atol=1e-6)  # The opposite one, equation 13.


def test_a_modality_that_nobody_has_is_neither_behind_nor_ahead() -> None:
    behind, ahead = pmr.coefficients(torch.tensor([0.2, 0.0, 0.3]), torch.tensor([True, False, True]))
    np.testing.assert_allclose(behind.numpy(), [0.5, 0, 0], atol=1e-6)
    np.testing.assert_allclose(ahead.numpy(), [0, 0, 0.5], atol=1e-6)
    assert not torch.stack(pmr.coefficients(torch.zeros(2), torch.zeros(2, dtype=torch.bool))).any()


def class_means(module: FusionModule, batch: MultimodalBatch) -> Array:
    """(M, C, D), sample by sample; NaN where a class has no sample."""
    x, present, means = encoded_of(module, batch), present_of(batch), np.full((2, CLASSES, WIDTH), np.nan)
    for m in range(2):
        for k in range(CLASSES):
            rows = [x[i, m] for i in range(len(batch)) if present[i, m] and batch.targets[i] == k]
            if rows:
                means[m, k] = np.mean(rows, 0)
    return means


def test_prototypes_are_class_means_that_move_by_momentum() -> None:
    module, batch = module_and_batch("pmr")
    first = class_means(module, batch)
    with torch.no_grad():
        module.update([rows_of(batch, torch.arange(7)), rows_of(batch, torch.arange(7, 12))])
    np.testing.assert_allclose(module.prototypes.numpy(), first, rtol=1e-4, atol=1e-6)
    other = batch_of(module.task, size=12, seed=1)
    keep = other.targets != 2
    other = rows_of(other, keep.nonzero().flatten())
    second = class_means(module, other)
    with torch.no_grad():
        module.update([other])
    expected = 0.2 * first + 0.8 * second
    expected[:, 2] = first[:, 2]  # No sample of this class.
    np.testing.assert_allclose(module.prototypes.numpy(), expected, rtol=1e-4, atol=1e-6)
    assert {"prototypes", "seen"} <= module.state_dict().keys()


def pmr_loss(module: Any, batch: MultimodalBatch, early: bool) -> float:
    """Equations 7 to 13, sample by sample."""
    x, present, labels = encoded_of(module, batch), present_of(batch), batch.targets.numpy()
    prototypes, seen = numpy_of(module.prototypes), module.seen.numpy() > 0
    scores, own, spread = np.zeros(2), np.zeros(2), np.zeros(2)
    for m in range(2):
        rows = [i for i in range(len(batch)) if present[i, m] and seen[m, labels[i]]]
        each = []
        for i in rows:
            distances = np.sqrt(((x[i, m] - prototypes[m]) ** 2).sum(1))
            each.append(np.where(seen[m], np.exp(-distances), 0) / np.exp(-distances)[seen[m]].sum())
        scores[m] = np.mean([p[labels[i]] for p, i in zip(each, rows, strict=True)])
        own[m] = np.mean([-np.log(p[labels[i]]) for p, i in zip(each, rows, strict=True)])
        spread[m] = np.mean([entropy(p) for p in each])
    rho = scores[0] / scores[1]
    beta, gamma = (np.clip(1 / rho - 1, 0, 1), 0.0) if rho < 1 else (0.0, np.clip(rho - 1, 0, 1))
    fused = F.cross_entropy(module.predict(batch).logits, batch.targets).item()
    total = fused + module.alpha * (beta * own[0] + gamma * own[1])
    return float(total - module.mu * (gamma * spread[0] + beta * spread[1]) * early)


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("unseen", [False, True])
def test_the_loss_is_that_of_equations_7_to_13(early: bool, unseen: bool) -> None:
    module, batch = module_and_batch("pmr")
    module.early, module.mu = (5 if early else 0), 0.3
    with torch.no_grad():
        module.update([batch])
        module.prototypes[1] += torch.randn(CLASSES, WIDTH)  # Their distances are of another size then.
    module.seen[1, 0] = 0.0 if unseen else 1.0
    found = module.loss(module.predict(batch), batch).item()
    assert found == pytest.approx(pmr_loss(module, batch, early), rel=1e-5)
    assert abs(found - F.cross_entropy(module.predict(batch).logits, batch.targets).item()) > 1e-3


def test_without_prototypes_the_loss_is_the_cross_entropy() -> None:
    module, batch = module_and_batch("pmr")
    found = module.loss(module.predict(batch), batch)
    torch.testing.assert_close(found, F.cross_entropy(module.predict(batch).logits, batch.targets))
    assert module.eval().predict(batch).unimodal == {}
    assert all(gradient.isfinite().all() for gradient in gradients(module.train(), batch).values())


def test_a_trainer_makes_prototypes_of_the_first_tenth_of_the_training_data() -> None:
    task = task_of(("vector", "vector"))
    batches = [batch_of(task, size=12, seed=seed) for seed in range(20)]
    module: Any = built("pmr", task)
    expected = (class_means(module, batches[0]) + class_means(module, batches[1])) / 2  # Classes are balanced.
    found: list[Tensor] = []

    class Look(Callback):
        def on_train_batch_start(self, *arguments: Any) -> None:
            found.append(module.prototypes.clone())

    loader: DataLoader[MultimodalBatch] = DataLoader(batches, batch_size=None)  # type: ignore[arg-type]
    trainer = quiet_trainer(epochs=1, limit_val_batches=0)
    trainer.callbacks.append(Look())  # type: ignore[attr-defined]
    trainer.fit(module, loader, loader)
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=1e-4, atol=1e-6)
    assert torch.equal(found[0], found[-1])  # They stay for the epoch.
    assert module.training


def test_reading_the_training_data_once_more_draws_nothing() -> None:
    task = task_of(("vector", "vector"))
    batches = [batch_of(task, size=12, seed=seed) for seed in range(20)]
    module: Any = built("pmr", task)
    loader: DataLoader[MultimodalBatch] = DataLoader(batches, batch_size=None, shuffle=True)  # type: ignore[arg-type]
    trainer = quiet_trainer(epochs=1, limit_val_batches=0)
    trainer.fit(module, loader, loader)
    state = torch.get_rng_state()
    module.on_train_epoch_start()
    assert torch.equal(torch.get_rng_state(), state)


def test_a_stream_of_unknown_length_gives_prototypes_of_its_first_batch() -> None:
    task = task_of(("vector", "vector"))
    batch = batch_of(task, size=12)

    class Stream:
        def __iter__(self) -> Iterator[MultimodalBatch]:
            return iter([batch] * 3)

    module: Any = built("pmr", task)
    expected = class_means(module, batch)
    found: list[Tensor] = []

    class Look(Callback):
        def on_train_batch_start(self, *arguments: Any) -> None:
            found.append(module.prototypes.clone())

    quiet: Any = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(max_steps=2, accelerator="cpu", limit_val_batches=0, callbacks=[Look()], **quiet)
    trainer.fit(module, Stream(), Stream())
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=1e-4, atol=1e-6)


def test_pmr_says_that_it_takes_one_class_a_sample() -> None:
    reason = load("strategy", "pmr").unsuitable(setting_of(task_of(("vector", "vector"), "multilabel")))
    assert "exactly one" in reason
