"""The strategies that fuse decisions, against their formulas and rules written out by other means."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import digamma, expit, gammaln, log_softmax, logsumexp
from torch import Tensor, nn

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.catalogue import load
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalityKind, TaskKind
from fusionbench.fusion._evidence import combined, dirichlet_loss
from fusionbench.fusion.conflictive import ConflictiveFusion, conflict_degree
from fusionbench.fusion.evidential import EvidentialFusion
from fusionbench.fusion.mixture_of_experts import MixtureOfExperts
from fusionbench.fusion.pseudo_view import PseudoViewFusion
from fusionbench.fusion.quality_aware import QualityAwareFusion, ranking_loss
from fusionbench.testing.samples import WIDTH, batch_of, built, logits_of, rows_of, setting_of, task_of

Array = NDArray[Any]
VECTORS: tuple[ModalityKind, ...] = ("vector",) * 5
DECISIONS = (
    "late_learned",
    "mixture_of_experts",
    "product_of_experts",
    "evidential",
    "pseudo_view",
    "conflictive",
    "quality_aware",
)


def numpy_of(tensor: Tensor) -> Array:
    return tensor.detach().numpy().astype(np.float64)


def predicted(strategy: str, count: int, kind: TaskKind = "multiclass") -> tuple[Any, Array, Array, Array, Array]:
    """A module, its logits (B, C), its modalities' (B, M, C), inputs (B, M, D) and presence; m1 is partly absent."""
    task = task_of(VECTORS[:count], kind)
    module: Any = built(strategy, task).eval()
    batch = batch_of(task)
    batch.present["m1"] = torch.arange(6) % 2 == 0
    encoded = module.encode(batch)
    prediction = module.fuse(encoded)
    own = np.stack([numpy_of(module.heads[name](one.pooled)) for name, one in encoded.items()], 1)
    x = np.stack([numpy_of(one.pooled) for one in encoded.values()], 1)
    present = np.stack([one.present.numpy() for one in encoded.values()], 1)
    return module, numpy_of(prediction.logits), own, x, present


@pytest.mark.parametrize("count", [2, 3, 5])
def test_late_learned_is_the_weighted_mean_of_those_present(count: int) -> None:
    module, _, _, _, _ = predicted("late_learned", count)
    nn.init.normal_(module.scores)
    batch = batch_of(module.task)
    batch.present["m1"] = torch.arange(6) % 2 == 0
    own = np.stack([numpy_of(logits) for logits in module.predict(batch).unimodal.values()], 1)
    weights = np.exp(numpy_of(module.scores))[None].repeat(6, 0)
    weights[1::2, 1] = 0
    expected = (weights[..., None] * own).sum(1) / weights.sum(1, keepdims=True)
    np.testing.assert_allclose(numpy_of(logits_of(module, batch)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_mixture_of_experts_is_the_mixture_of_their_probabilities(count: int, kind: TaskKind) -> None:
    module, logits, own, x, present = predicted("mixture_of_experts", count, kind)
    assert isinstance(module, MixtureOfExperts)
    last: Any = module.gate[1]
    x = (x - x.mean(2, keepdims=True)) / np.sqrt(x.var(2, keepdims=True) + 1e-5)  # Each modality by itself.
    gate = np.exp(x.reshape(6, -1) @ numpy_of(last.weight).T + numpy_of(last.bias)) * present
    gate /= gate.sum(1, keepdims=True)
    experts = np.exp(log_softmax(own, axis=2)) if kind == "multiclass" else expit(own)
    expected = (gate[..., None] * experts).sum(1)
    found = np.exp(logits) if kind == "multiclass" else expit(logits)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_product_of_experts_multiplies_posteriors_and_normalises(count: int, kind: TaskKind) -> None:
    _, logits, own, _, present = predicted("product_of_experts", count, kind)
    if kind == "multiclass":
        posteriors = np.where(present[..., None], np.exp(log_softmax(own, axis=2)), 1).prod(1)
        expected = posteriors / posteriors.sum(1, keepdims=True)
        found = np.exp(logits - logsumexp(logits, axis=1, keepdims=True))
    else:
        yes, no = (np.where(present[..., None], expit(sign * own), 1).prod(1) for sign in (1, -1))
        expected, found = yes / (yes + no), expit(logits)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_a_product_of_multilabel_experts_starts_from_the_common_prior() -> None:
    module: Any = built("product_of_experts", task_of(VECTORS[:5], "multilabel"))
    total = sum(head[-1].bias for head in module.heads.values())
    torch.testing.assert_close(total, torch.full((3,), -np.log(2.0), dtype=torch.float32))


def dempster(sources: list[dict[frozenset[int], float]]) -> dict[frozenset[int], float]:
    """Dempster's rule by brute force: masses on focal sets, intersected pair by pair; the empty set is conflict."""
    joint = sources[0]
    for source in sources[1:]:
        masses: dict[frozenset[int], float] = {}
        for a, p in joint.items():
            for b, q in source.items():
                masses[a & b] = masses.get(a & b, 0.0) + p * q
        conflict = masses.pop(frozenset(), 0.0)
        joint = {focal: mass / (1 - conflict) for focal, mass in masses.items()}
    return joint


def opinion(evidence: Array) -> dict[frozenset[int], float]:
    """The masses of a modality: belief in each class, the rest on all of them."""
    classes = len(evidence)
    strength = evidence.sum() + classes
    masses = {frozenset([c]): e / strength for c, e in enumerate(evidence)}
    return masses | {frozenset(range(classes)): classes / strength}


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize("classes", [2, 4])
def test_evidence_is_combined_as_dempster_combines_masses(count: int, scale: float, classes: int) -> None:
    rng = np.random.default_rng(7)
    for _ in range(5):
        evidence = scale * rng.exponential(size=(count, classes))
        evidence[-1] = 0  # Says nothing: an absent modality.
        joint = dempster([opinion(row) for row in evidence])
        uncertainty = joint[frozenset(range(classes))]
        expected = [joint[frozenset([c])] * classes / uncertainty for c in range(classes)]
        np.testing.assert_allclose(combined(torch.tensor(evidence)[None])[0].numpy(), expected, rtol=1e-9)
        single = combined(torch.tensor(evidence, dtype=torch.float32)[None])[0].numpy()
        np.testing.assert_allclose(single, expected, rtol=1e-4)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_evidential_logits_are_those_of_the_combined_dirichlet(count: int) -> None:
    _, logits, own, _, present = predicted("evidential", count)
    for row in range(6):
        evidence = np.logaddexp(0, own[row])[present[row]]
        joint = dempster([opinion(one) for one in evidence])
        alpha = np.array([joint[frozenset([c])] * 3 / joint[frozenset(range(3))] + 1 for c in range(3)])
        np.testing.assert_allclose(np.exp(logits[row]), alpha, rtol=1e-4)


def pseudo_view_of(count: int) -> tuple[Any, MultimodalBatch, Array, Array, Array]:
    """A module, a batch in which m1 is partly absent, evidence (B, M, C) and that of all together (B, C), presence."""
    task = task_of(VECTORS[:count])
    module, batch = built("pseudo_view", task).eval(), batch_of(task)
    assert isinstance(module, PseudoViewFusion)
    batch.present["m1"] = torch.arange(6) % 2 == 0
    encoded = list(module.encode(batch).values())
    own = np.stack([numpy_of(head(one.pooled)) for head, one in zip(module.heads.values(), encoded, strict=True)], 1)
    jointly = numpy_of(module.together(torch.cat([one.pooled for one in encoded], 1)))
    present = np.stack([one.present.numpy() for one in encoded], 1)
    return module, batch, np.logaddexp(0, own), np.logaddexp(0, jointly), present


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_pseudo_view_is_one_more_source_for_dempsters_rule(count: int) -> None:
    module, batch, own, jointly, present = pseudo_view_of(count)
    for row, logits in enumerate(numpy_of(module.predict(batch).logits)):
        joint = dempster([opinion(one) for one in [*own[row][present[row]], jointly[row]]])
        alpha = np.array([joint[frozenset([c])] * 3 / joint[frozenset(range(3))] + 1 for c in range(3)])
        np.testing.assert_allclose(np.exp(logits), alpha, rtol=1e-4)


def loss_by_hand(alpha: Array, targets: Tensor, weight: float) -> Array:
    """The loss of Dirichlets (B, C), which another test holds to its formula."""
    return numpy_of(dirichlet_loss(torch.tensor(alpha), targets, weight))


def test_the_pseudo_view_has_a_loss_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    module, batch, own, jointly, present = pseudo_view_of(3)
    monkeypatch.setattr(PseudoViewFusion, "current_epoch", 1)
    prediction = module.predict(batch)
    total = loss_by_hand(np.exp(numpy_of(prediction.logits)), batch.targets, 0.1)
    total = total + loss_by_hand(jointly + 1, batch.targets, 0.1)
    total = total + sum(loss_by_hand(own[:, m] + 1, batch.targets, 0.1) * present[:, m] for m in range(3))
    np.testing.assert_allclose(module.loss(prediction, batch).item(), total.mean(), rtol=1e-4)  # A tenth of the weight.


def test_conflictive_aggregates_two_opinions_by_each_others_uncertainty() -> None:
    _, logits, own, _, present = predicted("conflictive", 2)
    for row in range(6):
        evidence = np.logaddexp(0, own[row])[present[row]]
        belief, unsure = evidence / (evidence.sum(1, keepdims=True) + 3), 3 / (evidence.sum(1) + 3)
        if len(evidence) == 2:
            belief = (belief[0] * unsure[1] + belief[1] * unsure[0])[None] / unsure.sum()
            unsure = np.array([2 * unsure[0] * unsure[1] / unsure.sum()])
        np.testing.assert_allclose(np.exp(logits[row]), belief[0] * 3 / unsure[0] + 1, rtol=1e-4)


@pytest.mark.parametrize("count", [3, 5])
def test_conflictive_averages_the_evidence_of_those_present(count: int) -> None:
    _, logits, own, _, present = predicted("conflictive", count)
    expected = [np.logaddexp(0, own[row])[present[row]].mean(0) + 1 for row in range(6)]
    np.testing.assert_allclose(np.exp(logits), expected, rtol=1e-4)


def conflict_by_hand(alpha: Array) -> float:
    """Of the modalities of one sample, (M, C)."""
    mean, sure = alpha / alpha.sum(1, keepdims=True), 1 - alpha.shape[1] / alpha.sum(1)
    total = 0.0
    for m in range(len(alpha)):
        for n in range(len(alpha)):
            total += np.abs(mean[m] - mean[n]).sum() / 2 * sure[m] * sure[n]
    return total / max(1, len(alpha) - 1)


def test_conflict_is_how_far_those_that_are_sure_are_apart() -> None:
    alpha = 1 + 5 * np.random.default_rng(4).exponential(size=(7, 4, 3))
    present = np.random.default_rng(5).uniform(size=(7, 4)) < 0.6
    found = conflict_degree(torch.tensor(alpha), torch.tensor(present))
    expected = [conflict_by_hand(one[here]) if here.any() else 0 for one, here in zip(alpha, present, strict=True)]
    np.testing.assert_allclose(numpy_of(found), expected, rtol=1e-9, atol=1e-12)
    agreed = torch.full((2, 3, 4), 5.0)
    assert conflict_degree(agreed, torch.ones(2, 3, dtype=torch.bool)).eq(0).all()


def test_the_conflictive_loss_averages_the_losses_and_adds_the_conflict() -> None:
    module, logits, own, _, present = predicted("conflictive", 3)
    assert isinstance(module, ConflictiveFusion)
    batch = batch_of(module.task)
    batch.present["m1"] = torch.arange(6) % 2 == 0
    alpha = np.logaddexp(0, own) + 1
    total = loss_by_hand(np.exp(logits), batch.targets, 0.02)
    total = total + sum(loss_by_hand(alpha[:, m], batch.targets, 0.02) * present[:, m] for m in range(3))
    conflict = [conflict_by_hand(alpha[row][present[row]]) for row in range(6)]
    expected = (total / (1 + present.sum(1)) + conflict).mean()
    np.testing.assert_allclose(module.loss(module.predict(batch), batch).item(), expected, rtol=1e-4)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_the_dirichlet_loss_is_expected_cross_entropy_and_divergence(weight: float) -> None:
    alpha = 1 + 5 * np.random.default_rng(1).exponential(size=(6, 4))
    targets = np.arange(6) % 4
    losses = dirichlet_loss(torch.tensor(alpha, dtype=torch.float32), torch.tensor(targets), weight)
    for row, k in enumerate(targets):
        wrong = alpha[row].copy()
        wrong[k] = 1
        log_normaliser = gammaln(wrong.sum()) - gammaln(wrong).sum()
        kl = log_normaliser - gammaln(4) + ((wrong - 1) * (digamma(wrong) - digamma(wrong.sum()))).sum()
        expected = digamma(alpha[row].sum()) - digamma(alpha[row, k]) + weight * kl
        np.testing.assert_allclose(losses[row].item(), expected, rtol=1e-4)


def test_the_dirichlet_loss_is_that_of_samples_from_it() -> None:
    alpha = torch.tensor([[3.0, 1.5, 6.0]])
    torch.manual_seed(0)
    drawn = torch.distributions.Dirichlet(alpha).sample((200_000,))
    torch.testing.assert_close(
        dirichlet_loss(alpha, torch.tensor([0]), 0.0), -drawn[..., 0].log().mean(0), atol=0.01, rtol=0
    )


def test_divergence_from_no_evidence_counts_more_with_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_of(VECTORS[:2])
    module, batch = EvidentialFusion(setting_of(task), annealing=4), batch_of(task)
    losses = []
    for epoch in (0, 1, 3, 9):
        monkeypatch.setattr(EvidentialFusion, "current_epoch", epoch)
        losses.append(module.loss(module.predict(batch), batch).item())
    step = losses[1] - losses[0]
    assert step > 0
    np.testing.assert_allclose(losses[2:], [losses[0] + 3 * step] * 2, rtol=1e-4)


@pytest.mark.parametrize(("strategy", "usual"), [("evidential", 50), ("pseudo_view", 10), ("conflictive", 50)])
def test_a_trained_model_says_how_far_the_weight_of_the_divergence_came(
    strategy: str, usual: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of(VECTORS[:2])
    module, batch = load("strategy", strategy)(setting_of(task)), batch_of(task)
    assert module.notes() == ()
    monkeypatch.setattr(type(module), "current_epoch", 19)  # The last of 20.
    module.train().loss(module.predict(batch), batch)
    monkeypatch.setattr(type(module), "current_epoch", 0)
    module.eval().loss(module.predict(batch), batch)
    (note,) = module.notes()
    assert f"rises over {usual} epochs; it had reached {min(1.0, 20 / usual):.2g} of 1" in note


def test_the_divergence_of_much_evidence_is_not_lost_to_rounding() -> None:
    alpha = np.array([[1.0, 2e5, 3e5], [1.0, 1.0, 1.0 + 1e-3]])
    targets = torch.tensor([0, 0])
    found = dirichlet_loss(torch.tensor(alpha, dtype=torch.float32), targets, 1.0)
    exact = alpha.astype(np.float32).astype(np.float64)
    uniform = torch.distributions.Dirichlet(torch.ones(3, dtype=torch.double))
    for row in range(2):
        kl = torch.distributions.kl_divergence(torch.distributions.Dirichlet(torch.tensor(exact[row])), uniform)
        expected = digamma(exact[row].sum()) - digamma(exact[row, 0]) + kl.item()
        assert found[row].item() == pytest.approx(expected, rel=1e-6)
    assert found.dtype == torch.float32


def test_an_absent_modality_adds_no_loss_of_its_own() -> None:
    for strategy in ("evidential", "conflictive", "quality_aware"):
        task = task_of(VECTORS[:2])
        module, batch = built(strategy, task), batch_of(task)
        batch.present["m1"] = torch.zeros(6, dtype=torch.bool)
        torch.autograd.backward(module.loss(module.predict(batch), batch))
        for name, parameter in module.named_parameters():
            assert name.startswith(("heads.m1", "encoders.m1")) == (not parameter.grad.any()), name  # type: ignore[union-attr]


def quality_aware_by_hand(z: Array, present: Array) -> Array:
    return sum(0.1 * logsumexp(z[m]) * z[m] for m in range(len(z)) if present[m])


@pytest.mark.parametrize("count", [2, 3, 5])
def test_quality_aware_weighs_logits_by_their_energy(count: int) -> None:
    _, logits, own, _, present = predicted("quality_aware", count)
    expected = [quality_aware_by_hand(own[row], present[row]) for row in range(6)]
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_ranking_compares_each_sample_with_the_next() -> None:
    confidence, hardness = np.array([0.9, 0.2, 0.5]), np.array([0.8, 0.1, 0.6])
    total = 0.0
    for i in range(3):
        j = (i + 1) % 3
        gap = hardness[i] - hardness[j]
        total += max(0.0, np.sign(gap) * (confidence[i] - confidence[j]) - abs(gap))
    everywhere = torch.ones(3, 1, dtype=torch.bool)
    found = ranking_loss(torch.tensor(confidence)[:, None], torch.tensor(hardness)[:, None], everywhere)
    np.testing.assert_allclose(found.item(), total / 3)
    nowhere = ranking_loss(torch.tensor(confidence)[:, None], torch.tensor(hardness)[:, None], ~everywhere)
    assert nowhere.item() == 0


def test_the_history_sums_losses_by_sample_and_grows_with_their_ids() -> None:
    module = QualityAwareFusion(setting_of(task_of(VECTORS[:2])))
    everyone = torch.ones(2, 2, dtype=torch.bool)
    module.remembered(torch.tensor([0, 5]), torch.tensor([[1.0, 1.0], [3.0, 2.0]]), everyone)
    scaled = module.remembered(torch.tensor([5, 1]), torch.tensor([[1.0, 2.0], [2.0, 3.0]]), everyone)
    expected = torch.full((6, 2), torch.nan)
    expected[[0, 1, 5]] = torch.tensor([[1.0, 1.0], [2.0, 3.0], [4.0, 4.0]])
    torch.testing.assert_close(module.history, expected, equal_nan=True)
    torch.testing.assert_close(scaled, torch.tensor([[1.0, 1.0], [1 / 3, 2 / 3]]))
    assert "history" not in module.state_dict()


def test_rows_that_were_never_trained_on_do_not_scale_the_history() -> None:
    module = QualityAwareFusion(setting_of(task_of(VECTORS[:2])))
    ids, losses = torch.tensor([700, 3]), torch.tensor([[5.0, 1.0], [6.0, 9.0]])  # Other ids are validation rows, say.
    present = torch.tensor([[True, True], [True, False]])  # Nothing was learned of m1 in row 3.
    torch.testing.assert_close(
        module.remembered(ids, losses * present, present), torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    )


@pytest.mark.parametrize("detach", [True, False])
def test_the_joint_loss_trains_confidences_only_where_they_are_not_detached(detach: bool) -> None:
    task = task_of(VECTORS[:2])
    module, batch = QualityAwareFusion(setting_of(task), weight=0.0, detach=detach), batch_of(task)
    prediction = module.predict(batch)
    logits = torch.stack(list(prediction.unimodal.values()), 1)
    assert prediction.weights is not None
    weights = prediction.weights.detach() if detach else 0.1 * logits.logsumexp(-1)
    own = torch.autograd.grad(prediction.logits.square().sum(), list(module.parameters()), retain_graph=True)
    expected = torch.autograd.grad((weights[..., None] * logits).sum(1).square().sum(), list(module.parameters()))
    for one, other in zip(own, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_a_weight_of_the_ranking_below_zero_is_refused() -> None:
    with pytest.raises(UserError, match=r"'quality_aware': weight is -1\.0; it must be a finite number from 0 on"):
        QualityAwareFusion(setting_of(task_of(VECTORS[:2])), weight=-1.0)


def test_no_prediction_depends_on_the_history() -> None:
    task = task_of(VECTORS[:2])
    module, batch = built("quality_aware", task), batch_of(task)
    before = logits_of(module, batch)
    module.train().loss(module.predict(batch), batch)
    torch.testing.assert_close(logits_of(module, batch), before, rtol=0, atol=0)


@pytest.mark.parametrize("strategy", ["evidential", "pseudo_view", "conflictive", "quality_aware"])
def test_one_true_class_is_needed_and_the_reason_is_said(strategy: str) -> None:
    plugin = load("strategy", strategy)
    assert "multilabel" in plugin.unsuitable(setting_of(task_of(VECTORS[:2], "multilabel")))
    assert plugin.unsuitable(setting_of(task_of(VECTORS[:2]))) == ""


@pytest.mark.parametrize("strategy", ["evidential", "pseudo_view", "conflictive"])
def test_annealing_below_one_epoch_is_refused(strategy: str) -> None:
    with pytest.raises(UserError, match=f"'{strategy}': annealing is 0; it must be an integer of at least 1"):
        load("strategy", strategy)(setting_of(task_of(VECTORS[:2])), annealing=0)


def test_a_conflict_that_is_rewarded_is_refused() -> None:
    with pytest.raises(UserError, match=r"'conflictive': conflict is -1\.0; it must be a number of at least 0"):
        load("strategy", "conflictive")(setting_of(task_of(VECTORS[:2])), conflict=-1.0)


def crossed(strategy: str) -> Tensor:
    """Logits (4, C) for two values of each of two modalities, all four ways."""
    task = task_of(VECTORS[:2])
    module, batch = built(strategy, task), batch_of(task, size=2)
    four = rows_of(batch, torch.tensor([0, 0, 1, 1]))
    four.inputs["m1"] = batch.inputs["m1"][torch.tensor([0, 1, 0, 1])]
    return logits_of(module, four)


def interactions(values: Tensor) -> float:
    """How far f(a, b) - f(a, b') - f(a', b) + f(a', b') is from the zero of a sum over modalities."""
    return (values[0] - values[1] - values[2] + values[3]).abs().max().item()


@pytest.mark.parametrize("strategy", ["late_learned", "product_of_experts", "quality_aware"])
def test_without_interaction_the_logits_are_a_sum_over_modalities(strategy: str) -> None:
    assert interactions(crossed(strategy)) < 1e-5


def test_evidence_is_additive_only_in_the_logarithm_of_what_decides() -> None:
    task = task_of(VECTORS[:2])
    module, bits = built("evidential", task), torch.tensor([0, 0, 1, 1])
    for head in module.get_submodule("heads").children():
        nn.init.normal_(head[-1].weight, std=3.0)  # type: ignore[index]  # Much evidence, so that it shows.
    x = 10 * torch.randn(2, 2, WIDTH, generator=torch.Generator().manual_seed(0))  # (modality, bit, D)
    here = torch.ones(4, 1, dtype=torch.bool)
    values = {"m0": x[0, bits], "m1": x[1, torch.tensor([0, 1, 0, 1])]}
    encoded = {name: Encoded(value, value[:, None], here, here[:, 0]) for name, value in values.items()}
    logits = module.fuse(encoded).logits
    assert interactions(logits) > 0.01
    assert interactions((1 + logits.expm1() / 3).log()) < 1e-5  # log prod_m (1 + e_m / C)


@pytest.mark.parametrize("strategy", ["evidential", "conflictive", "softmax_attention", "mixture_of_experts"])
def test_limited_interaction_never_gets_all_four_cells_of_xor(strategy: str) -> None:
    torch.manual_seed(0)
    task = replace(task_of(VECTORS[:2]), classes=2)
    right = torch.tensor([0, 1, 1, 0])
    for _ in range(200):
        module = load("strategy", strategy)(setting_of(task))
        codes = 3 * torch.randn(2, 2, WIDTH)  # (modality, bit, D)
        x = torch.stack([codes[0, [0, 0, 1, 1]], codes[1, [0, 1, 0, 1]]], 1)  # (4, M, D)
        here = torch.ones(4, 1, dtype=torch.bool)
        encoded = {f"m{m}": Encoded(x[:, m], x[:, m : m + 1], here, here[:, 0]) for m in range(2)}
        said = module.eval().fuse(encoded).logits.argmax(1)
        assert not torch.equal(said, right)
        assert not torch.equal(said, 1 - right)


def test_a_gate_on_all_modalities_makes_a_mixture_interact() -> None:
    assert interactions(crossed("mixture_of_experts").exp()) > 1e-4


@pytest.mark.parametrize("strategy", DECISIONS)
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e3])
def test_gradients_are_finite_however_sure_a_modality_is_and_whoever_is_missing(strategy: str, scale: float) -> None:
    task = task_of(VECTORS[:3])
    module, batch = built(strategy, task), batch_of(task)
    batch.present["m0"], batch.present["m1"] = torch.arange(6) > 2, torch.arange(6) < 2
    batch.present["m2"] = torch.arange(6) == 4  # Row 2 has nothing at all.
    for head in module.get_submodule("heads").children():
        nn.init.normal_(list(head.parameters())[-2], std=scale)
    loss = module.loss(module.predict(batch), batch)
    torch.autograd.backward(loss)
    assert loss.isfinite()
    for name, parameter in module.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), name
