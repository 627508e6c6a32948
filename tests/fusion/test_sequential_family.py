"""The sequential strategies and `graph` against their formulas, written out by other means; and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import expit, softmax
from token_samples import normed
from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.core.catalogue import load
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalityKind
from fusionbench.fusion.base import FusionModule
from fusionbench.fusion.cascade import CascadeFusion
from fusionbench.fusion.graph import GraphFusion
from fusionbench.fusion.interleave import InterleaveFusion
from fusionbench.fusion.memory import MemoryFusion, aligned
from fusionbench.fusion.sequential_rnn import SequentialRNNFusion
from fusionbench.fusion.shift_gate import ShiftGateFusion
from fusionbench.testing.samples import WIDTH, batch_of, built, logits_of, setting_of, task_of

Array = NDArray[Any]
FAMILY = ["sequential_rnn", "cascade", "shift_gate", "memory", "interleave", "graph"]
VECTORS: tuple[ModalityKind, ...] = ("vector",) * 3
STEPPED: tuple[ModalityKind, ...] = ("sequence", "tokens", "vector")
PRESENT = [(True, True, True), (True, False, True), (False, True, True), (False, False, True), (True, False, False)]
PAIR = task_of(("vector", "vector"))


def numpy_of(tensor: Tensor) -> Array:
    return tensor.detach().numpy().astype(np.float64)


def affine(layer: nn.Module, x: Array) -> Array:
    """A linear layer by hand: rows (..., D) -> (..., H)."""
    assert isinstance(layer, nn.Linear)
    return x @ numpy_of(layer.weight).T + (0 if layer.bias is None else numpy_of(layer.bias))


def mlp(layers: nn.Module, x: Array) -> Array:
    """Linear, ReLU, (dropout,) Linear by hand."""
    assert isinstance(layers, nn.Sequential)
    return affine(layers[-1], np.maximum(affine(layers[0], x), 0))


def classified(head: nn.Module, x: Array, parts: int = 1) -> Array:
    """The MLP head behind its norm, which takes each of `parts` parts by itself: (B, X) -> (B, C)."""
    assert isinstance(head, nn.Sequential)
    return mlp(head[1:], normed(x, parts))


def encodings(module: FusionModule, present: tuple[bool, ...], batch: Any) -> dict[str, Any]:
    """What the encoders of an evaluated module give where these modalities are there."""
    here = {name: torch.full((len(batch),), there) for name, there in zip(module.task.names, present, strict=True)}
    return module.eval().encode(replace(batch, present=here))


def pooled(module: FusionModule, present: tuple[bool, ...]) -> tuple[Array, Array]:
    """Encodings (B, M, D) and logits (B, C) of a strategy of three vectors."""
    encoded = encodings(module, present, batch_of(module.task))
    return numpy_of(torch.stack([one.pooled for one in encoded.values()], 1)), numpy_of(module.fuse(encoded).logits)


def gru_like(cell: nn.GRUCell | nn.GRU) -> nn.GRU:
    """torch's recurrence over whole sequences, with the same weights."""
    gru = nn.GRU(cell.input_size, cell.hidden_size, batch_first=True)
    gru.load_state_dict({f"{name.removesuffix('_l0')}_l0": value for name, value in cell.state_dict().items()})
    return gru


@pytest.mark.parametrize("present", PRESENT)
def test_sequential_rnn_is_the_recurrence_of_torch_over_the_modalities_that_are_there(
    present: tuple[bool, ...],
) -> None:
    module = built("sequential_rnn", task_of(VECTORS))
    assert isinstance(module, SequentialRNNFusion)
    x, logits = pooled(module, present)
    steps = torch.tensor(x[:, np.array(present)], dtype=torch.float32)
    _, last = gru_like(module.cell)(steps)
    np.testing.assert_allclose(logits, classified(module.head, numpy_of(last[0])), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("present", PRESENT)
def test_cascade_adds_up_corrections_that_see_the_hidden_layer_before(present: tuple[bool, ...]) -> None:
    module = built("cascade", task_of(VECTORS))
    assert isinstance(module, CascadeFusion)
    x, logits = pooled(module, present)
    total = numpy_of(module.start) + np.zeros_like(logits)
    hidden = np.zeros((len(x), module.setting.head_width))
    for m in [m for m, here in enumerate(present) if here]:
        first = module.hidden[m].get_submodule("1")
        seen = [normed(x[:, m]), normed(hidden)] if m else [normed(x[:, m])]
        hidden = np.maximum(affine(first, np.concatenate(seen, 1)), 0)
        total = total + affine(module.corrections[m], hidden)
    np.testing.assert_allclose(logits, total, rtol=1e-4, atol=1e-5)


def test_cascade_starts_a_multilabel_task_at_one_label_a_sample_however_many_modalities() -> None:
    task = replace(task_of(("vector",) * 5, "multilabel"), classes=1000)
    chances = logits_of(load("strategy", "cascade")(setting_of(task)), batch_of(replace(task, classes=3))).sigmoid()
    assert float(chances.sum(1).mean()) == pytest.approx(1, rel=0.2)


def shifted_by_hand(module: ShiftGateFusion, x: Array, present: tuple[bool, ...]) -> Array:
    """z + min(beta |z| / |h|, 1) h, (B, D): the formula of Rahman et al. 2020."""
    others = [m for m in range(len(present)) if m != module.anchor]
    z, h = x[:, module.anchor], np.zeros_like(x[:, 0])
    for m, gate, value in zip(others, module.gates, module.shifts, strict=True):
        if present[m]:
            h = h + np.maximum(affine(gate, np.concatenate([x[:, m], z], 1)), 0) * affine(value, x[:, m])
    if not h.any() or not present[module.anchor]:
        return z + h
    ratio = module.beta * np.linalg.norm(z, axis=1) / np.linalg.norm(h, axis=1)
    return z + np.minimum(ratio, 1)[:, None] * h


@pytest.mark.parametrize("present", PRESENT)
@pytest.mark.parametrize(("anchor", "beta"), [("m0", 1.0), ("m1", 0.5), ("m2", 0.01)])
def test_shift_gate_is_the_multimodal_adaptation_gate(present: tuple[bool, ...], anchor: str, beta: float) -> None:
    torch.manual_seed(0)
    module = ShiftGateFusion(setting_of(task_of(VECTORS)), anchor=anchor, beta=beta)
    x, logits = pooled(module, present)
    shifted = shifted_by_hand(module, x, present)
    centred = shifted - shifted.mean(1, keepdims=True)
    layer_normed = centred / np.sqrt((centred**2).mean(1, keepdims=True) + module.norm.eps)
    np.testing.assert_allclose(logits, classified(module.head, layer_normed), rtol=1e-3, atol=1e-4)


def test_shift_gate_never_moves_the_anchor_further_than_beta_times_its_length() -> None:
    module = ShiftGateFusion(setting_of(PAIR), beta=0.25)
    x = 100 * torch.randn(50, 2, WIDTH, generator=torch.Generator().manual_seed(0))
    moved = module.shifted(x, torch.ones(50, 2, dtype=torch.bool)).detach() - x[:, 0]
    assert float((moved.norm(dim=1) / x[:, 0].norm(dim=1)).max()) == pytest.approx(0.25, rel=1e-3)


def test_shift_gate_has_finite_gradients_where_nothing_moves_it() -> None:
    module = ShiftGateFusion(setting_of(PAIR))
    x = torch.zeros(3, 2, WIDTH, requires_grad=True)
    total: Any = module.shifted(x, torch.tensor([[True, True], [True, False], [False, True]])).sum()
    total.backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in module.parameters() if p.grad is not None)


def lstm_by_hand(cell: nn.Module, x: Array) -> tuple[Array, Array]:
    """The last output (B, H) and the memory before and after each step (B, K+1, H) over steps (B, K, D)."""
    weight, recurrent, *biases = [numpy_of(parameter) for parameter in cell.parameters()]
    h = c = np.zeros((len(x), recurrent.shape[1]))
    memories = [c]
    for k in range(x.shape[1]):
        let_in, forget, proposal, out = np.split(x[:, k] @ weight.T + h @ recurrent.T + sum(biases), 4, axis=1)
        c = expit(forget) * c + expit(let_in) * np.tanh(proposal)
        h = expit(out) * np.tanh(c)
        memories.append(c)
    return h, np.stack(memories, 1)


@pytest.mark.parametrize("present", PRESENT)
def test_memory_is_the_memory_fusion_network_step_by_step(present: tuple[bool, ...]) -> None:
    module = built("memory", task_of(STEPPED))
    assert isinstance(module, MemoryFusion)
    encoded = encodings(module, present, batch_of(module.task))
    size, count, width = 6, len(present), module.hidden
    outputs, cells = np.zeros((size, count, width)), np.zeros((size, module.steps + 1, count, width))
    for m, one in enumerate(encoded.values()):
        if present[m]:
            steps = numpy_of(aligned(one.tokens, one.mask, module.steps))
            outputs[:, m], cells[:, :, m] = lstm_by_hand(module.cells[m], steps)
    out_of_sight = np.tile(np.repeat(~np.array(present), width), 2)
    u = np.zeros((size, module.memory))
    for k in range(1, module.steps + 1):
        delta = cells[:, k - 1 : k + 1].reshape(size, -1)  # both steps of all modalities, one after another
        seen = softmax(np.where(out_of_sight, -np.inf, mlp(module.attention, delta)), axis=1) * delta
        both = np.concatenate([seen, u], 1)
        u = expit(mlp(module.retain, both)) * u + expit(mlp(module.write, both)) * np.tanh(mlp(module.proposal, seen))
    read = np.concatenate([normed(outputs.reshape(size, -1), count), normed(u)], 1)
    expected = mlp(module.head[1:], read)
    np.testing.assert_allclose(numpy_of(module.fuse(encoded).logits), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("length", [1, 2, 3, 5, 8, 11])
def test_alignment_is_adaptive_average_pooling_of_the_real_steps(length: int) -> None:
    tokens = torch.randn(2, 12, WIDTH, generator=torch.Generator().manual_seed(length))
    mask = torch.arange(12) < length
    gaps = torch.arange(12) >= 12 - length  # Real steps need not stand at the front.
    found = aligned(tokens, torch.stack([mask, gaps]), 5)
    for row, real in enumerate((mask, gaps)):
        expected = F.adaptive_avg_pool1d(tokens[row, real].T, 5).T
        torch.testing.assert_close(found[row], expected)


@pytest.mark.parametrize("present", PRESENT)
def test_interleave_is_the_recurrence_of_torch_over_steps_sorted_by_hand(present: tuple[bool, ...]) -> None:
    module = built("interleave", task_of(STEPPED))
    assert isinstance(module, InterleaveFusion)
    encoded = encodings(module, present, batch_of(module.task))
    gru, logits = gru_like(module.gru), numpy_of(module.fuse(encoded).logits)
    for row in range(6):
        timed = []
        for m, one in enumerate(encoded.values()):
            real = one.tokens[row][one.mask[row]]
            timed += [((t + 0.5) / len(real), m, step + module.marks[m]) for t, step in enumerate(real)]
        ordered = [step for _, _, step in sorted(timed, key=lambda item: item[:2])]
        states, _ = gru(torch.stack(ordered)[None])
        expected = classified(module.head, numpy_of(states[0].amax(0)))
        np.testing.assert_allclose(logits[row], expected, rtol=1e-4, atol=1e-5)


def test_interleave_reads_long_and_short_modalities_side_by_side() -> None:
    module = built("interleave", task_of(STEPPED))
    assert isinstance(module, InterleaveFusion)
    batch = batch_of(module.task)
    batch.masks["m0"] = torch.ones_like(batch.masks["m0"])  # four steps, then two, then one: times 1/8 3/8 .. 1/2 ..
    batch.masks["m1"] = torch.arange(4).expand(6, 4) < 2
    encoded = encodings(module, (True, True, True), batch)
    read: list[Tensor] = []
    module.gru.register_forward_pre_hook(lambda _, given: read.append(given[0]))
    module.fuse(encoded)
    a, b, c = (one.tokens + mark for one, mark in zip(encoded.values(), module.marks, strict=True))
    expected = [a[:, 0], b[:, 0], a[:, 1], c[:, 0], a[:, 2], b[:, 1], a[:, 3]]
    torch.testing.assert_close(read[0][:, :7], torch.stack(expected, 1))


@pytest.mark.parametrize("present", PRESENT)
def test_graph_is_attention_over_the_edges_of_the_nodes_that_are_there(present: tuple[bool, ...]) -> None:
    module = built("graph", task_of(VECTORS))
    assert isinstance(module, GraphFusion)
    x, logits = pooled(module, present)
    nodes = normed(x[:, np.array(present)])
    for layer in module.layers:
        weight, gathers, sends = [
            numpy_of(layer.get_parameter(name)) for name in ("project.weight", "gathers", "sends")
        ]
        heads = []
        for w, a, b in zip(np.split(weight, len(gathers)), gathers, sends, strict=True):
            p = nodes @ w.T  # (B, M, F)
            edges = (p @ a)[:, :, None] + (p @ b)[:, None, :]
            gathered = softmax(np.where(edges > 0, edges, 0.2 * edges), axis=2) @ p
            heads.append(np.where(gathered > 0, gathered, np.exp(np.minimum(gathered, 0)) - 1))
        nodes = np.concatenate(heads, 2)
    np.testing.assert_allclose(logits, classified(module.head, nodes.mean(1)), rtol=1e-4, atol=1e-5)


def test_graph_does_not_care_in_which_order_its_nodes_stand() -> None:
    module = built("graph", task_of(VECTORS)).eval()
    encoded = encodings(module, (True, True, True), batch_of(module.task))
    turned = dict(reversed(encoded.items()))
    torch.testing.assert_close(module.fuse(turned).logits, module.fuse(encoded).logits)


@pytest.mark.parametrize("strategy", FAMILY)
def test_without_any_modality_the_logits_are_finite(strategy: str) -> None:
    module = built(strategy, task_of(STEPPED))
    logits = module.fuse(encodings(module, (False, False, False), batch_of(module.task))).logits
    assert logits.isfinite().all()


@pytest.mark.parametrize("strategy", FAMILY)
def test_gradients_are_finite_where_modalities_are_missing(strategy: str) -> None:
    module = built(strategy, task_of(STEPPED))
    batch = batch_of(module.task)
    batch = replace(batch, present={f"m{m}": torch.arange(6) % 3 == m for m in range(3)})
    loss: Any = module.loss(module.predict(batch), batch)
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize("strategy", ["sequential_rnn", "shift_gate", "interleave", "graph"])
def test_one_modality_alone_is_refused_with_the_reason(strategy: str) -> None:
    assert "two modalities" in load("strategy", strategy).unsuitable(setting_of(task_of(("vector",))))


@pytest.mark.parametrize(
    ("strategy", "options", "words"),
    [
        ("sequential_rnn", {"hidden": 0}, ["hidden is 0", "at least 1"]),
        ("interleave", {"hidden": -1}, ["hidden is -1", "at least 1"]),
        ("memory", {"steps": 1}, ["steps is 1", "at least 2"]),
        ("memory", {"hidden": 0}, ["hidden is 0", "at least 1"]),
        ("memory", {"memory": 0}, ["memory is 0", "at least 1"]),
        ("memory", {"inner": 0}, ["inner is 0", "at least 1"]),
        ("graph", {"layers": 0}, ["layers is 0", "at least 1"]),
        ("graph", {"heads": 0}, ["heads is 0", "at least 1"]),
        ("graph", {"hidden": 0}, ["hidden is 0", "at least 1"]),
        ("shift_gate", {"beta": 0.0}, ["beta is 0.0", "above 0"]),
        ("shift_gate", {"beta": float("nan")}, ["beta is nan", "above 0"]),
        ("shift_gate", {"anchor": "m9"}, ["anchor", "no modality 'm9'", "m0, m1"]),
    ],
)
def test_the_family_refuses_an_option_out_of_range(strategy: str, options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        load("strategy", strategy)(setting_of(PAIR), **options)
    assert all(word in str(caught.value) for word in [f"'{strategy}'", *words]), str(caught.value)
