"""Bilinear strategies against their tensors, written out in numpy, and what their products promise beyond that."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusionbench.core.catalogue import load
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalityKind
from fusionbench.fusion._bilinear import Maps, power_normalised
from fusionbench.fusion.base import Setting
from fusionbench.fusion.mlb import MLBFusion
from fusionbench.testing.samples import WIDTH, batch_of, built, setting_of, task_of
from fusionbench.testing.scale import encodings, heads_watched, size_of
from fusionbench.testing.strategies import check_learning

Array = NDArray[Any]
LETTERS = "abcdefg"
VECTORS: tuple[ModalityKind, ...] = ("vector",) * 5
STRATEGIES = ["bilinear", "tensor", "compact_bilinear", "mlb", "mutan", "mfb", "mfh", "block"]
FACTORS = {
    "bilinear": {"maps"},
    "tensor": {"maps"},
    "compact_bilinear": set[str](),
    "mlb": {"maps"},
    "mutan": {"project", "core"},
    "mfb": {"maps"},
    "mfh": {"blocks.0", "blocks.1"},
    "block": {"project", "core"},
}
HERE = pytest.mark.parametrize("here", [[0, 1], [0, 1, 2], [0, 2]], ids=["two", "three", "two of three"])


def numpy_of(tensor: Tensor) -> Array:
    return tensor.detach().numpy().astype(np.float64)


def made(strategy: str, here: Sequence[int], scale: float = 1.0, size: int = 5) -> tuple[Any, Tensor, Tensor]:
    """A strategy whose biases have left their start, encodings (B, M, D), and which modalities are there."""
    count = max(here) + 1
    module, draw = built(strategy, task_of(VECTORS[:count])), torch.Generator().manual_seed(3)
    for maps in module.modules():
        if isinstance(maps, Maps):
            maps.bias.data += 0.5 * torch.randn(maps.bias.shape, generator=draw)
    present = torch.zeros(size, count, dtype=torch.bool)
    present[:, list(here)] = True
    return module, scale * torch.randn(size, count, WIDTH, generator=draw) * present[..., None], present


def with_one(x: Array) -> Array:
    """[x; 1]: (B, X) -> (B, X+1)."""
    return np.concatenate([x, np.ones((len(x), 1))], 1)


def matrix(maps: Maps, index: int) -> Array:
    """[A; b] of one affine map, (inputs+1, outputs): what [x; 1] is multiplied by."""
    return np.concatenate([numpy_of(maps.weight)[index], numpy_of(maps.bias)[index]])


def full(factors: Sequence[Array]) -> Array:
    """The weight tensor of a sum over k of products: (X_i, H, K) each -> (H, X_1, ..., X_n)."""
    letters = LETTERS[: len(factors)]
    terms = ",".join(f"{letter}hk" for letter in letters)
    return np.einsum(f"{terms}->h{letters}", *factors, optimize=True)


def form(tensor: Array, vectors: Sequence[Array]) -> Array:
    """The multilinear form of a full tensor: (H, X_1, ..., X_n) and (B, X_i) each -> (B, H)."""
    letters = LETTERS[: len(vectors)]
    terms = f"h{letters},{','.join(letters)}->h"
    return np.stack([np.einsum(terms, tensor, *sample, optimize=True) for sample in zip(*vectors, strict=True)])


def normalised(z: Array) -> Array:
    """The signed square root, over its length, times the root of its width: a unit's size is 1."""
    root = np.sign(z) * np.sqrt(np.abs(z))
    return root / np.linalg.norm(root, axis=-1, keepdims=True) * z.shape[-1] ** 0.5


@HERE
def test_tensor_is_the_outer_product_of_all_with_ones(here: list[int]) -> None:
    module, x, present = made("tensor", here)
    z = []
    for m in range(x.shape[1]):
        h = np.maximum(with_one(numpy_of(x[:, m])) @ matrix(module.maps, m), 0)
        z.append(with_one(h if m in here else np.zeros_like(h)))
    letters = LETTERS[: len(z)]
    terms = ",".join(f"z{letter}" for letter in letters)
    expected = np.einsum(f"{terms}->z{letters}", *z).reshape(len(x), -1)
    np.testing.assert_allclose(numpy_of(module.joint(x, present)), expected, rtol=1e-4, atol=1e-5)


def test_tensor_without_one_is_the_tensor_of_the_others() -> None:
    module, x, present = made("tensor", [0, 2])
    cube = module.joint(x, present).view(5, 8, 8, 8)  # H + 1 = 8; the last index of each is that of its 1.
    assert cube[:, :, :-1].eq(0).all()
    h = module.maps(x).relu()
    torch.testing.assert_close(cube[:, :-1, -1, :-1], h[:, 0, :, None] * h[:, 2, None, :])


def sketched(module: Any, x: Array, m: int) -> Array:
    """The count sketch of one modality, entry by entry: (B, D) -> (B, S)."""
    sketch = np.zeros((len(x), module.sketch))
    for i in range(x.shape[1]):
        sketch[:, int(module.bins[m, i])] += float(module.signs[m, i]) * x[:, i]
    return sketch


def convolved(a: Array, b: Array) -> Array:
    """Circular convolution by its definition: (B, S), (B, S) -> (B, S)."""
    size = a.shape[1]
    result = np.zeros_like(a)
    for i, j in product(range(size), repeat=2):
        result[:, (i + j) % size] += a[:, i] * b[:, j]
    return result


@HERE
def test_compact_bilinear_is_the_convolution_of_count_sketches(here: list[int]) -> None:
    module, x, present = made("compact_bilinear", here)
    expected, *others = [sketched(module, numpy_of(x[:, m]), m) for m in here]
    for other in others:
        expected = convolved(expected, other)
    np.testing.assert_allclose(numpy_of(module.joint(x, present)), expected, rtol=1e-4, atol=1e-5)


@HERE
def test_compact_bilinear_is_a_sketch_of_the_outer_product(here: list[int]) -> None:
    module, x, present = made("compact_bilinear", here)
    expected = np.zeros((len(x), module.sketch))
    for index in product(range(WIDTH), repeat=len(here)):
        places = list(zip(here, index, strict=True))
        value = np.prod([numpy_of(x[:, m, i]) * float(module.signs[m, i]) for m, i in places], axis=0)
        expected[:, sum(int(module.bins[m, i]) for m, i in places) % module.sketch] += value
    np.testing.assert_allclose(numpy_of(module.joint(x, present)), expected, rtol=1e-4, atol=1e-5)


@HERE
def test_mlb_is_a_rank_one_form_of_squashed_projections(here: list[int]) -> None:
    module, x, _ = made("mlb", here)
    h = [np.tanh(with_one(numpy_of(x[:, m])) @ matrix(module.maps, m)) for m in range(x.shape[1])]
    one = np.eye(h[0].shape[1])[:, :, None]  # Each hidden unit picks itself of every modality.
    np.testing.assert_allclose(numpy_of(module.joint(x)), form(full([one] * len(h)), h), rtol=1e-4, atol=1e-5)


@HERE
def test_mutan_is_a_tucker_form_with_its_whole_core(here: list[int]) -> None:
    module, x, present = made("mutan", here)
    count = x.shape[1]
    t = [np.tanh(with_one(numpy_of(x[:, m])) @ matrix(module.project, m)) * (m in here) for m in range(count)]
    t = [with_one(one) for one in t]  # Of an absent modality [0; 1].
    core = full([matrix(module.core, m).reshape(8, module.rank, 7).swapaxes(1, 2) for m in range(count)])
    np.testing.assert_allclose(numpy_of(module.joint(x, present)), form(core, t), rtol=1e-4, atol=1e-5)


@HERE
def test_mfb_is_a_normalised_form_with_its_whole_tensor(here: list[int]) -> None:
    module, x, present = made("mfb", here)
    tensor = full([matrix(module.maps, m).reshape(WIDTH + 1, -1, module.factors) for m in here])
    expected = normalised(form(tensor, [with_one(numpy_of(x[:, m])) for m in here]))
    np.testing.assert_allclose(numpy_of(module.joint(x, present)), expected, rtol=1e-4, atol=1e-4)


@HERE
def test_mfh_is_a_row_of_forms_of_rising_degree(here: list[int]) -> None:
    module, x, present = made("mfh", here)
    z = [with_one(numpy_of(x[:, m])) for m in here]
    expected, factors = [], []
    for maps in module.blocks:
        factors += [matrix(maps, m).reshape(WIDTH + 1, -1, module.factors) for m in here]
        expected.append(normalised(form(full(factors), z * (len(factors) // len(z)))))
    found = numpy_of(module.joint(x, present))
    assert len(expected) == 2
    np.testing.assert_allclose(found, np.concatenate(expected, 1), rtol=1e-4, atol=1e-4)


@HERE
def test_block_is_a_form_whose_core_is_block_diagonal(here: list[int]) -> None:
    module, x, present = made("block", here)
    blocks, rank, inner = module.blocks, module.rank, 6
    core = np.zeros((blocks * inner, *[blocks * (inner + 1)] * len(here)))
    for n in range(blocks):
        own = [matrix(module.core, m * blocks + n).reshape(inner + 1, rank, inner).swapaxes(1, 2) for m in here]
        rows, columns = slice(n * inner, (n + 1) * inner), slice(n * (inner + 1), (n + 1) * (inner + 1))
        core[(rows, *[columns] * len(here))] = full(own)
    t = []
    for m in here:
        parts = (with_one(numpy_of(x[:, m])) @ matrix(module.project, m)).reshape(len(x), blocks, inner)
        t.append(np.concatenate([parts, np.ones((len(x), blocks, 1))], 2).reshape(len(x), -1))
    expected = normalised(form(core, t).reshape(len(x), blocks, inner)).reshape(len(x), -1)
    np.testing.assert_allclose(numpy_of(module.joint(x, present)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_factor_is_registered_and_has_a_gradient_for_each_modality(strategy: str) -> None:
    task = task_of(VECTORS[:3])
    module, batch = built(strategy, task), batch_of(task, size=32)
    torch.autograd.backward(module.loss(module.predict(batch), batch))
    names = {name.rsplit(".", 1)[0] for name, _ in module.named_parameters()}
    assert {name for name in names if not name.startswith(("encoders", "head"))} == FACTORS[strategy]
    for maps in module.modules():
        if isinstance(maps, Maps):
            for parameter in maps.parameters():
                assert parameter.grad is not None
                assert parameter.grad.flatten(1).abs().amax(1).min() > 0


class FactorsInAList(MLBFusion):
    """Keeps its factors as published code did."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        weights, _ = self.maps.parameters()
        self.factors = [weight.detach().requires_grad_() for weight in weights]
        del self.maps

    def joint(self, x: Tensor) -> Tensor:
        first, second = (x[:, m] @ factor for m, factor in enumerate(self.factors))
        return first * second


def test_factors_in_a_plain_list_are_found() -> None:
    task = task_of(VECTORS[:2])
    with pytest.raises(AssertionError, match=r"not registered, so neither trained nor saved: factors"):
        check_learning(FactorsInAList(setting_of(task)), batch_of(task))


def test_count_sketches_are_drawn_once_and_saved() -> None:
    one, same, other = (built("compact_bilinear", task_of(VECTORS), seed) for seed in (0, 0, 1))
    drawn = {name: tensor for name, tensor in one.state_dict().items() if name in ("bins", "signs")}
    assert {name: tensor.shape for name, tensor in drawn.items()} == dict.fromkeys(("bins", "signs"), (5, WIDTH))
    assert drawn["signs"].unique().tolist() == [-1, 1]
    for name, tensor in drawn.items():
        assert torch.equal(tensor, same.state_dict()[name])
        assert not torch.equal(tensor, other.state_dict()[name])


@pytest.mark.parametrize("width", [4, 40, 400])
def test_the_power_normalisation_is_a_signed_root_whose_units_have_size_one(width: int) -> None:
    z = torch.randn(50, width, generator=torch.Generator().manual_seed(0))
    found = numpy_of(power_normalised(z))
    np.testing.assert_allclose(found, normalised(numpy_of(z)), atol=1e-3)
    np.testing.assert_allclose(np.square(found).mean(1), 1, atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 1e-38, 1e-12, 1e-6, 1e30])
def test_the_power_normalisation_has_finite_slopes_everywhere(value: float) -> None:
    z = torch.tensor([[0.0, value, -value]], requires_grad=True)
    found = power_normalised(z)
    torch.autograd.backward(found.sum())
    assert found.isfinite().all()
    assert z.grad is not None
    assert z.grad.isfinite().all()
    assert z.grad.abs().max() <= 1e6


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_encodings_of_zeros_have_a_finite_gradient(strategy: str) -> None:
    module: Any = built(strategy, task_of(VECTORS[:3]))
    x, present = torch.zeros(4, 3, WIDTH, requires_grad=True), torch.ones(4, 3, dtype=torch.bool)
    module.fuse(encodings(x, present)).logits.sum().backward()
    gradients = [x.grad, *(parameter.grad for name, parameter in module.named_parameters() if "encoders" not in name)]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("strategy", ["mlb", "mutan", "mfb", "mfh", "block"])
def test_a_product_of_five_small_encodings_does_not_vanish(strategy: str) -> None:
    torch.manual_seed(0)
    module = load("strategy", strategy)(setting_of(task_of(VECTORS)))  # All options at their defaults.
    x, present = 0.05 * torch.randn(64, 5, WIDTH), torch.ones(64, 5, dtype=torch.bool)
    with heads_watched(module) as seen:
        module.fuse(encodings(x, present))
    assert size_of(seen["head.0"]) > 0.3


def test_compact_bilinear_transforms_in_float32_under_autocast() -> None:
    module, x, present = made("compact_bilinear", [0, 1, 2])
    exact = module.joint(x.bfloat16().float(), present)
    with torch.autocast("cpu", torch.bfloat16):
        found = module.joint(x.bfloat16(), present)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact)


@pytest.mark.parametrize(("count", "hidden"), [(1, 4096), (2, 64), (3, 16), (4, 8), (5, 5), (13, 1)])
def test_bilinear_takes_the_widest_projections_whose_product_is_affordable(count: int, hidden: int) -> None:
    module = load("strategy", "bilinear")(setting_of(task_of(VECTORS[:1] * count)))
    assert module.maps.weight.shape == (count, WIDTH, hidden)
    assert module.head[1].in_features == hidden**count


@pytest.mark.parametrize(("count", "hidden"), [(1, 4095), (2, 63), (3, 15), (4, 7), (5, 4), (12, 1)])
def test_tensor_takes_the_widest_projections_whose_product_is_affordable(count: int, hidden: int) -> None:
    module = load("strategy", "tensor")(setting_of(task_of(VECTORS[:1] * count)))
    assert module.maps.weight.shape == (count, WIDTH, hidden)
    assert module.head[1].in_features == (hidden + 1) ** count


def test_tensor_does_not_take_a_crowd_of_modalities() -> None:
    reason = load("strategy", "tensor").unsuitable(setting_of(task_of(VECTORS[:1] * 21)))
    assert reason == "an outer product of 21 modalities has at least 2097152 entries"


@pytest.mark.parametrize(
    ("strategy", "options", "words"),
    [
        ("bilinear", {"hidden": -1}, ["'bilinear'", "hidden is -1", "at least 0"]),
        ("bilinear", {"hidden": 1025}, ["'bilinear'", "hidden is 1025", "1050625 entries", "1 to 1024"]),
        ("tensor", {"hidden": -1}, ["'tensor'", "hidden is -1", "at least 0"]),
        ("tensor", {"hidden": 1024}, ["'tensor'", "hidden is 1024", "2 modalities", "1050625 entries", "1 to 1023"]),
        ("compact_bilinear", {"sketch": 1}, ["'compact_bilinear'", "sketch is 1", "at least 2"]),
        ("mlb", {"hidden": 0}, ["'mlb'", "hidden is 0", "at least 1"]),
        *[("mutan", {name: 0}, ["'mutan'", f"{name} is 0", "at least 1"]) for name in ("rank", "hidden")],
        *[("mfb", {name: 0}, ["'mfb'", f"{name} is 0", "at least 1"]) for name in ("hidden", "factors")],
        *[("mfh", {name: 0}, ["'mfh'", f"{name} is 0", "at least 1"]) for name in ("hidden", "factors", "order")],
        *[("block", {name: 0}, ["'block'", f"{name} is 0", "at least 1"]) for name in ("blocks", "inner", "rank")],
    ],
)
def test_an_option_of_a_product_out_of_range_is_refused(
    strategy: str, options: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(UserError) as caught:
        load("strategy", strategy)(setting_of(task_of(VECTORS[:2])), **options)
    assert all(word in str(caught.value) for word in words), str(caught.value)
