"""Strategies that fuse vectors against numbers from authors' files: our layers with their weights give their outputs.

Heads are ours (protocol), so what is compared is what a head reads, or where a paper's head is ours the logits.
"""

from __future__ import annotations

from typing import Any

import torch
from parity_fixtures import Parity, parity
from parity_models import close, put, read_by_head
from torch import Tensor
from torch.nn import functional as F

from fusionbench.core.catalogue import load
from fusionbench.core.task import ModalitySpec, TaskKind, TaskSpec
from fusionbench.fusion._bilinear import Maps
from fusionbench.fusion.base import FusionModule, Setting
from fusionbench.plan.suite import Choice
from fusionbench.testing.scale import encodings

LINEAR = ("weight", "bias")


def made(
    strategy: str, width: int, count: int = 2, classes: int = 3, kind: TaskKind = "multiclass", **options: Any
) -> Any:
    """The strategy for encodings of a width, nothing normalised before its head, whose hidden width is 6."""
    specs = tuple(ModalitySpec(f"m{i}", "vector", (width,)) for i in range(count))
    task = TaskSpec(specs, classes, kind, "accuracy" if kind == "multiclass" else "gap20")
    encoders = {name: Choice("linear", {"width": width}) for name in task.names}
    return load("strategy", strategy)(Setting(task, encoders, width, 6, head_norm=False), **options).eval()


def all_here(*vectors: Tensor) -> tuple[Tensor, Tensor]:
    """(B, D) each -> (B, M, D) and present, bool (B, M)."""
    x = torch.stack(vectors, 1)
    return x, torch.ones(x.shape[:2], dtype=torch.bool)


def head_input(module: FusionModule, *vectors: Tensor) -> Tensor:
    """What the head reads of (B, D) each."""
    return read_by_head(module, encodings(*all_here(*vectors)))


def give_maps(maps: Maps, layers: list[dict[str, Tensor]]) -> None:
    """Their linear layers, (out, in) each, to our maps side by side."""
    weight, bias = (torch.stack([one[name] for one in layers]) for name in LINEAR)
    maps.load_state_dict({"weight": weight.transpose(1, 2), "bias": bias[:, None]})


def test_mutan_gives_the_authors_numbers() -> None:
    theirs = parity("mutan")
    module = made("mutan", 4, rank=5, hidden=3)
    give_maps(module.project, [theirs.under(f"net.linear_{m}") for m in "vq"])
    cores = []
    for m in "vq":
        parts = [theirs.under(f"net.list_linear_h{m}.{r}") for r in range(5)]
        cores.append({name: torch.cat([part[name] for part in parts]) for name in LINEAR})
    give_maps(module.core, cores)
    close(head_input(module, theirs["v"], theirs["q"]), theirs["z"])


def test_block_gives_the_authors_numbers_up_to_the_length_of_its_blocks() -> None:
    theirs = parity("block")
    module = made("block", 4, blocks=3, inner=2, rank=4)
    give_maps(module.project, [theirs.under(f"net.linear{m}") for m in range(2)])
    give_maps(module.core, [theirs.under(f"net.merge_linears{m}.{n}") for m in range(2) for n in range(3)])
    close(head_input(module, theirs["v"], theirs["q"]) / 2**0.5, theirs["z"])  # A block of 2 has length 1 there.


def test_mfb_gives_the_authors_numbers_up_to_its_length() -> None:
    theirs = parity("mfb")
    module = made("mfb", 4, hidden=6, factors=5)
    give_maps(module.maps, [theirs.under(f"net.proj_{m}") for m in "iq"])
    close(head_input(module, theirs["v"], theirs["q"]) / 6**0.5, theirs["z"])


def test_mfh_gives_the_authors_numbers_up_to_the_length_of_its_blocks() -> None:
    theirs = parity("mfh")
    module = made("mfh", 4, hidden=6, factors=5, order=2)
    for maps, block in zip(module.blocks, ("first", "second"), strict=True):
        give_maps(maps, [theirs.under(f"{block}.proj_{m}") for m in "iq"])
    close(head_input(module, theirs["v"], theirs["q"]) / 6**0.5, theirs["z"])


def test_low_rank_gives_the_authors_numbers() -> None:
    theirs = parity("low_rank")
    module = made("low_rank", 3, count=3, rank=4, hidden=5)
    weights = theirs["net.fusion_weights"].view(4, 1, 1)  # Theirs of the sum over r; ours are in the first factor.
    factors = [theirs["net.audio_factor"] * weights, theirs["net.video_factor"], theirs["net.text_factor"]]
    ours = torch.stack(factors).roll(-1, 2)  # (M, R, D+1, H): the row of their leading 1 is our last.
    module.factors.data.copy_(ours.permute(0, 2, 1, 3).flatten(2))
    assert theirs["net.fusion_bias"].eq(0).all()
    close(head_input(module, theirs["a"], theirs["v"], theirs["text"]), theirs["h"])


def test_tensor_gives_the_authors_numbers() -> None:
    theirs = parity("tensor")
    module = made("tensor", 3, count=3, hidden=3)
    module.maps.weight.data.copy_(torch.eye(3).expand(3, 3, 3))  # What it is given has been through their own layers.
    module.maps.bias.data.zero_()
    found = head_input(module, theirs["a"], theirs["v"], theirs["text"]).view(-1, 4, 4, 4)
    close(found.roll((1, 1, 1), (1, 2, 3)).flatten(1), theirs["z"])  # Their 1 leads, ours is last.


def test_mlb_gives_the_authors_numbers() -> None:
    theirs = parity("mlb")
    module = made("mlb", 4, hidden=5)
    give_maps(module.maps, [theirs.under("question"), theirs.under("picture")])
    joint = head_input(module, theirs["q"], theirs["v"])
    close(F.linear(joint, theirs["last.weight"], theirs["last.bias"]), theirs["y"])


def test_product_gives_the_authors_numbers() -> None:
    theirs = parity("product")
    module = made("product", 4, hidden=5)
    for layer, m in zip(module.projections, "qi", strict=True):
        put(layer, **theirs.under(m))
    close(head_input(module, theirs["q"], theirs["i"]), theirs["y"])


def test_concat_gives_the_authors_logits() -> None:
    theirs = parity("concat")
    module = made("concat", 4)
    put(module.head[1], **theirs.under("net.classifier.layers.0"))
    put(module.head[4], **theirs.under("net.classifier.layers.3"))
    close(module.fuse(encodings(*all_here(theirs["text"], theirs["image"]))).logits, theirs["scores"])


def test_gated_gives_the_authors_numbers() -> None:
    theirs = parity("gated")
    module = made("gated", 5, hidden=5)
    for value in module.values:
        put(value, torch.eye(5))  # Their x is projected before; so is what their gate reads, in place of ours.
    put(module.gate, theirs["W"].t())
    close(head_input(module, theirs["x_1"], theirs["x_2"]), theirs["h"])
    close(module.gates(*all_here(theirs["x_1"], theirs["x_2"]))[:, 0], theirs["z"])


def test_a_modality_that_film_modulates_has_the_authors_numbers() -> None:
    theirs = parity("film")
    module = made("film", 10, hidden=5)
    for parameter in module.parameters():
        parameter.data.zero_()  # The other modality has no features: what is left of the sum is the first's.
    x = F.pad(theirs["x"], (0, 6))
    put(module.features[0], F.pad(theirs["conv1.weight"].flatten(1), (0, 6)), theirs["conv1.bias"])
    put(module.generators[1], torch.eye(10), torch.zeros(10))  # Says the scales less 1, and the shifts.
    said = torch.cat([theirs["gammas"] - 1, theirs["betas"]], 1)
    close(head_input(module, x, said), theirs["y"])


def test_context_gating_gates_features_as_the_authors_do() -> None:
    theirs = parity("context_gating-features")
    module = made("context_gating", 3)
    put(module.features, torch.eye(6), torch.zeros(6))
    weight, bias = torch.zeros(6, 6), torch.zeros(6)
    weight[:5, :5], bias[:5] = theirs["net.gating_weights"].t(), theirs["net.gating_biases"]
    put(module.gate, weight, bias)
    x = F.pad(theirs["x"], (0, 1)).view(-1, 2, 3)
    close(module.gated(x)[:, :5], theirs["y"])


def test_context_gating_mixes_experts_and_gates_classes_as_the_authors_do() -> None:
    theirs = parity("context_gating-classes")
    module = made("context_gating", 3, classes=4, kind="multilabel")
    put(module.features, torch.eye(6), torch.zeros(6))
    put(module.gate, torch.zeros(6, 6), torch.full((6,), 100.0))  # All features pass.
    put(module.choice, F.pad(theirs["net.gates.weights"], (0, 0, 0, 1)).t())
    put(module.experts, F.pad(theirs["net.experts.weights"], (0, 0, 0, 1)).t(), theirs["net.experts.biases"])
    norm = theirs.under("net.gating_prob_bn")  # In training over the batch; by its statistics it is an affine map.
    scale = norm["gamma"] / (norm["moving_variance"] + 1e-3).sqrt()
    put(module.class_gate, (theirs["net.gating_prob_weights"] * scale).t(), norm["beta"] - norm["moving_mean"] * scale)
    x = F.pad(theirs["x"], (0, 1)).view(-1, 2, 3)
    close(module.fuse(encodings(*all_here(*x.unbind(1)))).logits.sigmoid(), theirs["p"])


def test_graph_gives_the_authors_nodes() -> None:
    theirs = parity("graph")
    module = made("graph", 4, count=3, heads=2, hidden=3)
    for index, layer in enumerate(module.layers):
        give_heads(layer, theirs, first=6 * index)
    present = torch.ones(6, 3, dtype=torch.bool)
    present[3:, 1] = False
    nodes = theirs["x"]
    for layer in module.layers:
        nodes = layer(nodes, present)
    close(nodes[present], theirs["nodes"][present])


def give_heads(layer: Any, theirs: Parity, first: int) -> None:
    """Their two heads, three one-wide convolutions each, to a layer of ours."""
    names = ["conv1d" if at == 0 else f"conv1d_{at}" for at in range(first, first + 6)]
    kernels = [theirs[f"net.{name}.kernel"][0] for name in names]
    put(layer.project, torch.cat([kernels[0], kernels[3]], 1).t())
    layer.gathers.data.copy_(torch.stack([kernels[1], kernels[4]]).squeeze(-1))
    layer.sends.data.copy_(torch.stack([kernels[2], kernels[5]]).squeeze(-1))
