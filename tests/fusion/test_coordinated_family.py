"""The strategies that coordinate representations by a second loss, against numpy, scikit-learn and torch's layers."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.cross_decomposition import CCA
from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.catalogue import load
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalityKind
from fusionbench.fusion.base import task_loss
from fusionbench.fusion.contrastive import ContrastiveFusion
from fusionbench.fusion.deep_cca import DeepCCA, correlation
from fusionbench.fusion.shared_private import NormAfter, SharedPrivate, moment_distance, overlap
from fusionbench.testing.samples import WIDTH, batch_of, built, logits_of, setting_of, task_of

Array = NDArray[Any]
VECTORS: tuple[ModalityKind, ...] = ("vector",) * 5
COORDINATED = ("contrastive", "deep_cca", "shared_private")


def numpy_of(tensor: Tensor) -> Array:
    return tensor.detach().numpy().astype(np.float64)


def partly(count: int, size: int = 6) -> MultimodalBatch:
    """A batch in which every third sample lacks m0, and the last one all but the last modality."""
    batch = batch_of(task_of(VECTORS[:count]), size)
    batch.present["m0"] = torch.arange(size) % 3 != 0
    for m in range(count - 1):
        batch.present[f"m{m}"] = batch.present[f"m{m}"] & (torch.arange(size) < size - 1)
    return batch


def inputs_of(module: Any, batch: MultimodalBatch) -> tuple[Tensor, Tensor]:
    """Encodings (B, M, D) and presence (B, M)."""
    encoded = module.encode(batch).values()
    return torch.stack([one.pooled for one in encoded], 1), torch.stack([one.present for one in encoded], 1)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_contrast_is_that_of_clip_between_all_pairs(count: int) -> None:
    module: Any = built("contrastive", task_of(VECTORS[:count]))
    assert isinstance(module, ContrastiveFusion)
    np.testing.assert_allclose(module.contrast.log_scale.exp().item(), 1 / 0.07, rtol=1e-5)
    x, present = inputs_of(module, partly(count))
    weights = [numpy_of(layer.weight) for layer in module.contrast.projections]  # type: ignore[arg-type]
    e = [numpy_of(x[:, m]) @ weights[m].T for m in range(count)]
    losses = []
    for m, n in combinations(range(count), 2):
        both = (present[:, m] & present[:, n]).numpy()
        a, b = (v[both] / np.linalg.norm(v[both], axis=1, keepdims=True) for v in (e[m], e[n]))
        s = a @ b.T / 0.07
        losses.append(-(np.trace(log_softmax(s, axis=1)) + np.trace(log_softmax(s.T, axis=1))) / (2 * both.sum()))
    np.testing.assert_allclose(module.contrast(x, present).item(), np.mean(losses), rtol=1e-4)


def test_the_scale_of_the_contrast_counts_as_100_at_most() -> None:
    module: Any = built("contrastive", task_of(VECTORS[:2]))
    x, present = inputs_of(module, partly(2))
    nn.init.constant_(module.contrast.log_scale, np.log(100.0))
    at_most = module.contrast(x, present)
    nn.init.constant_(module.contrast.log_scale, 9.0)
    torch.testing.assert_close(module.contrast(x, present), at_most)


@pytest.mark.parametrize("sizes", [(2, 2), (4, 4), (3, 5)])
def test_the_correlation_is_the_sum_of_canonical_correlations(sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    common = rng.normal(size=(300, 2))
    a, b = (common @ rng.normal(size=(2, size)) + rng.normal(size=(300, size)) for size in sizes)
    least = min(sizes)
    u, v = CCA(n_components=least, max_iter=5000, tol=1e-12).fit_transform(a, b)
    expected = sum(np.corrcoef(u[:, i], v[:, i])[0, 1] for i in range(least))
    widened = [np.pad(x, ((0, 0), (0, max(sizes) - x.shape[1]))) for x in (a, b)]  # Columns of zeros: no correlation.
    found = correlation(torch.tensor(widened[0]), torch.tensor(widened[1]), torch.ones(300, dtype=torch.bool), 1e-9)
    np.testing.assert_allclose(found.item(), expected, rtol=1e-4)


def test_the_correlation_is_the_trace_norm_of_the_paper_over_those_present() -> None:
    rng = np.random.default_rng(1)
    a, b, here = rng.normal(size=(12, 4)), rng.normal(size=(12, 4)), np.arange(12) % 3 != 0
    x, y = (v[here] - v[here].mean(0) for v in (a, b))
    roots = []
    for v in (x, y):
        values, vectors = np.linalg.eigh(v.T @ v / 7 + 0.1 * np.eye(4))
        roots.append(vectors @ np.diag(values**-0.5) @ vectors.T)
    expected = np.linalg.norm(roots[0] @ (x.T @ y / 7) @ roots[1], "nuc")
    found = correlation(torch.tensor(a), torch.tensor(b), torch.tensor(here), 0.1)
    np.testing.assert_allclose(found.item(), expected, rtol=1e-9)
    a[~here] = 1e6
    np.testing.assert_allclose(
        correlation(torch.tensor(a), torch.tensor(b), torch.tensor(here), 0.1).item(), expected, rtol=1e-9
    )


def test_the_slope_of_the_correlation_is_that_of_differences() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(9, 3, dtype=torch.double, requires_grad=True), torch.randn(9, 3, dtype=torch.double)
    here = torch.arange(9) != 4
    assert torch.autograd.gradcheck(lambda x: correlation(x, b, here, 1e-3), (a,))


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf, 1e155, 1e200, -1e308])
@pytest.mark.parametrize("whole", [False, True])
def test_what_has_diverged_has_no_correlation_but_is_no_error(value: float, whole: bool) -> None:
    a, b, here = torch.randn(9, 3, dtype=torch.double), torch.randn(9, 3, dtype=torch.double), torch.ones(9).bool()
    a[2, slice(None) if whole else 1] = value
    assert correlation(a, b, here, 1e-3).isnan()
    assert correlation(b, a, here, 1e-3).isnan()
    assert correlation(a, a, here, 1e-3).isnan()


def test_deep_cca_is_one_less_the_mean_correlation_of_all_pairs() -> None:
    module: Any = built("deep_cca", task_of(VECTORS[:3]))
    assert isinstance(module, DeepCCA)
    x, present = inputs_of(module, partly(3, 40))
    h = [project(x[:, m]).double() for m, project in enumerate(module.projections)]
    pairs = [correlation(h[m], h[n], present[:, m] & present[:, n], 1e-3) for m, n in combinations(range(3), 2)]
    expected = 1 - sum(one.item() for one in pairs) / 3 / 7  # 7 is `hidden` here.
    np.testing.assert_allclose(module.discord(x, present).item(), expected, rtol=1e-5)


def test_training_on_the_correlation_alone_finds_what_modalities_share() -> None:
    torch.manual_seed(0)
    a, b = (nn.Linear(6, 1, bias=False).double() for _ in range(2))
    common = torch.randn(200, 1, dtype=torch.double)
    x, y = (torch.cat([common + 0.1 * torch.randn(200, 1), torch.randn(200, 5)], 1).double() for _ in range(2))
    everyone = torch.ones(200, dtype=torch.bool)
    adam = torch.optim.Adam([*a.parameters(), *b.parameters()], lr=0.05)
    for _ in range(200):
        loss = -correlation(a(x), b(y), everyone, 1e-3)
        adam.zero_grad()
        torch.autograd.backward(loss)
        adam.step()
    assert -loss.item() > 0.97


def central_moments(values: Array) -> list[Array]:
    mean = values.mean(0)
    return [mean, *(((values - mean) ** k).mean(0) for k in (2, 3, 4, 5))]


def test_similarity_compares_five_central_moments() -> None:
    rng = np.random.default_rng(2)
    a, b, a_here = rng.uniform(size=(8, 5)), rng.uniform(size=(8, 5)), np.arange(8) > 2
    pairs = zip(central_moments(a[a_here]), central_moments(b), strict=True)
    expected = sum(np.linalg.norm(one - other) for one, other in pairs)
    everyone = torch.ones(8, dtype=torch.bool)
    found = moment_distance(torch.tensor(a), torch.tensor(b), torch.tensor(a_here), everyone)
    np.testing.assert_allclose(found.item(), expected, rtol=1e-9)
    assert moment_distance(torch.tensor(a), torch.tensor(b), ~everyone, everyone).item() == 0


def test_difference_is_the_mean_square_of_the_products_of_centred_directions() -> None:
    rng = np.random.default_rng(3)
    a, b, here = rng.uniform(size=(8, 5)), rng.uniform(size=(8, 5)), np.arange(8) % 4 != 0
    x, y = (v[here] - v[here].mean(0) for v in (a, b))
    x, y = (v / (np.linalg.norm(v, axis=1, keepdims=True) + 1e-6) for v in (x, y))
    total = sum((x[:, i] @ y[:, j]) ** 2 for i in range(5) for j in range(5))
    for detach in (True, False):
        found = overlap(torch.tensor(a), torch.tensor(b), torch.tensor(here), detach)
        np.testing.assert_allclose(found.item(), total / 25, rtol=1e-9)


def test_the_difference_does_not_pull_harder_on_shorter_rows_unless_lengths_are_detached() -> None:
    draw = torch.Generator().manual_seed(0)
    x, other = (torch.randn(8, 5, dtype=torch.double, generator=draw) for _ in range(2))
    here = torch.ones(8, dtype=torch.bool)
    along = {}
    for detach in (True, False):
        for scale in (1.0, 1e-2):
            a = (scale * (x - x.mean(0))).requires_grad_()
            (gradient,) = torch.autograd.grad(overlap(a, other, here, detach), a)
            along[detach, scale] = (gradient * a).sum().item()  # The slope as all rows grow by a factor.
    assert along[True, 1.0] > 0.1  # Detached: a row that shrinks lowers the loss, but its value does not change.
    assert along[True, 1e-2] == pytest.approx(along[True, 1.0], rel=1e-3)
    assert abs(along[False, 1.0]) < 1e-5
    assert abs(along[False, 1e-2]) < 1e-3
    a = x.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda a: overlap(a, other, here, detach=False), (a,))


@pytest.mark.parametrize("count", [2, 3])
def test_the_losses_of_misa_are_weighted_as_in_its_code(count: int) -> None:
    module: Any = built("shared_private", task_of(VECTORS[:count]))
    x, present = inputs_of(module, batch_of(task_of(VECTORS[:count])))
    h = torch.stack([layer(x[:, m]) for m, layer in enumerate(module.inputs)], 1)
    private = torch.stack([layer(h[:, m]) for m, layer in enumerate(module.private)], 1).sigmoid()
    shared = module.shared(h).sigmoid()
    here, pairs = present[:, 0], list(combinations(range(count), 2))
    sim = sum(moment_distance(shared[:, m], shared[:, n], here, here) for m, n in pairs) / len(pairs)
    apart = [overlap(shared[:, m], private[:, m], here, detach=False) for m in range(count)]
    apart += [overlap(private[:, m], private[:, n], here, detach=False) for m, n in pairs]
    rebuilt = [decode(private[:, m] + shared[:, m]) for m, decode in enumerate(module.decoders)]
    recon = sum(F.mse_loss(one, h[:, m]) for m, one in enumerate(rebuilt)) / count
    torch.testing.assert_close(module.losses(h, private, shared, present), sim + 0.3 * torch.stack(apart).sum() + recon)


def test_the_layer_of_misa_is_that_of_torch() -> None:
    torch.manual_seed(0)
    ours, theirs = NormAfter(8, 2, 12, 0.0), nn.TransformerEncoderLayer(8, 2, 12, 0.0, batch_first=True)
    attention = ours.attention
    with torch.no_grad():
        theirs.self_attn.in_proj_weight.copy_(torch.cat([attention.query.weight, attention.key_value.weight]))
        theirs.self_attn.in_proj_bias.copy_(torch.cat([attention.query.bias, torch.zeros(16)]))
        theirs.self_attn.out_proj.load_state_dict(attention.out.state_dict())
        theirs.linear1.load_state_dict(ours.expand.state_dict())
        theirs.linear2.load_state_dict(ours.contract.state_dict())
        for norm, mine in ((theirs.norm1, ours.first), (theirs.norm2, ours.second)):
            nn.init.normal_(mine.weight)
            norm.load_state_dict(mine.state_dict())
    z, mask = torch.randn(5, 6, 8), torch.arange(6) < torch.tensor([[6], [3], [1], [4], [2]])
    torch.testing.assert_close(ours(z, mask)[mask], theirs(z, src_key_padding_mask=~mask)[mask], rtol=1e-4, atol=1e-5)


def test_the_dropout_of_the_layer_is_the_papers_whatever_the_settings() -> None:
    task = task_of(VECTORS[:2])
    module: Any = SharedPrivate(replace(setting_of(task), dropout=0.7))
    assert module.layer.dropout.p == 0.1  # That of nn.TransformerEncoderLayer, which the authors' code builds.
    assert module.head[3].p == 0.7
    assert SharedPrivate(setting_of(task), dropout=0.0).layer.dropout.p == 0.0


def test_misa_puts_private_then_shared_vectors_into_the_layer_and_all_into_the_head() -> None:
    module: Any = built("shared_private", task_of(VECTORS[:2])).eval()
    assert isinstance(module, SharedPrivate)
    batch = partly(2)
    x, present = inputs_of(module, batch)
    h = [layer(x[:, m]) for m, layer in enumerate(module.inputs)]
    vectors = [module.private[m](h[m]).sigmoid() for m in range(2)] + [module.shared(one).sigmoid() for one in h]
    z = module.layer(torch.stack(vectors, 1), present.repeat(1, 2)) * present.repeat(1, 2)[..., None]
    torch.testing.assert_close(module.predict(batch).logits, module.head(z.flatten(1)))


@pytest.mark.parametrize("strategy", COORDINATED)
def test_the_second_loss_is_added_in_training_only_and_a_weight_of_zero_leaves_the_labels(strategy: str) -> None:
    task = task_of(VECTORS[:2])
    module, batch = built(strategy, task), batch_of(task)
    assert module.eval().predict(batch).penalty == 0.0
    prediction = module.train().predict(batch)
    labels = task_loss(prediction.logits, batch.targets, task)
    torch.testing.assert_close(module.loss(prediction, batch), labels + prediction.penalty)
    names = ("similarity", "difference", "reconstruction") if strategy == "shared_private" else ("weight",)
    without = load("strategy", strategy)(setting_of(task), **dict.fromkeys(names, 0.0))
    assert without.predict(batch).penalty.item() == 0.0


@pytest.mark.parametrize("strategy", COORDINATED)
@pytest.mark.parametrize("here", ["nobody", "never together", "one sample", "two samples", "all the same"])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_gradients_are_finite_whoever_is_missing(strategy: str, here: str, scale: float) -> None:
    task = task_of(VECTORS[:3])
    module, batch = built(strategy, task), batch_of(task)
    rows = torch.arange(6)
    subsets = {
        "nobody": [rows < 0, rows < 0, rows < 0],
        "never together": [rows % 3 == 0, rows % 3 == 1, rows % 3 == 2],
        "one sample": [rows == 2, rows == 2, rows < 0],
        "two samples": [rows > 3, rows > 3, rows > 2],
        "all the same": [rows >= 0, rows >= 0, rows >= 0],
    }
    batch = replace(batch, present={f"m{m}": subset for m, subset in enumerate(subsets[here])})
    for name in batch.inputs:
        x = batch.inputs[name]
        batch.inputs[name] = scale * (x[:1].expand(6, -1) if here == "all the same" else x)
    loss = module.loss(module.predict(batch), batch)
    torch.autograd.backward(loss)
    assert loss.isfinite()
    for name, parameter in module.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("strategy", ["contrastive", "deep_cca"])
def test_a_prediction_is_that_of_concat(strategy: str) -> None:
    task = task_of(VECTORS[:3])
    module, concat = built(strategy, task), built("concat", task)
    concat.load_state_dict({name: value for name, value in module.state_dict().items() if name in concat.state_dict()})
    torch.testing.assert_close(logits_of(module, batch_of(task)), logits_of(concat, batch_of(task)))


def test_the_contrast_draws_encodings_of_a_sample_together() -> None:
    torch.manual_seed(0)
    module: Any = built("contrastive", task_of(VECTORS[:2]))
    x, present = torch.randn(16, 2, WIDTH), torch.ones(16, 2, dtype=torch.bool)
    adam = torch.optim.Adam(module.contrast.projections.parameters(), lr=0.02)
    before = module.contrast(x, present).item()
    for _ in range(100):
        adam.zero_grad()
        torch.autograd.backward(module.contrast(x, present))
        adam.step()
    assert module.contrast(x, present).item() < before / 2


@pytest.mark.parametrize(
    ("strategy", "options", "words"),
    [
        ("contrastive", {"hidden": 0}, ["hidden is 0", "at least 1"]),
        ("contrastive", {"weight": -0.5}, ["weight is -0.5", "at least 0"]),
        ("deep_cca", {"hidden": 0}, ["hidden is 0", "at least 1"]),
        ("deep_cca", {"weight": -1.0}, ["weight is -1.0", "at least 0"]),
        ("deep_cca", {"ridge": 0.0}, ["ridge is 0.0", "above 0"]),
        ("shared_private", {"common": 0}, ["common is 0", "at least 1"]),
        ("shared_private", {"heads": 3}, ["heads is 3", "divide"]),
        ("shared_private", {"feedforward": 0}, ["feedforward is 0", "at least 1"]),
        ("shared_private", {"difference": -0.1}, ["difference is -0.1", "at least 0"]),
        ("shared_private", {"dropout": 1.0}, ["dropout is 1.0", "below 1"]),
    ],
)
def test_an_option_out_of_range_is_refused(strategy: str, options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        load("strategy", strategy)(setting_of(task_of(VECTORS[:2])), **options)
    assert all(word in str(caught.value) for word in (f"'{strategy}'", *words))
