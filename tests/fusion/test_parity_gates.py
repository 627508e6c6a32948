"""Gates, memories, lots and sums between layers against numbers of their authors' files (parity/)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from parity_fixtures import Parity, parity
from parity_models import close, ours, pair, put, read_by_head, steps
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.core.catalogue import load
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.encoders.base import Hidden
from fusionbench.fusion._stages import scaled, squeezed
from fusionbench.fusion.base import Setting
from fusionbench.fusion.channel_attention import Recalibration
from fusionbench.fusion.embrace import EmbraceNet, embraced
from fusionbench.fusion.memory import MemoryFusion
from fusionbench.fusion.shift_gate import ShiftGateFusion
from fusionbench.plan.suite import Choice


def test_channel_attention_is_twice_the_authors_transfer_module() -> None:
    found = parity("channel_attention")
    module, weights = Recalibration([6, 4], 4), found.under("weights")
    for layer, name in ((module.squeeze, "fc_squeeze"), *zip(module.excite, ("fc_visual", "fc_skeleton"), strict=True)):
        put(layer, *pair(weights, name))
    there, mask = torch.ones(3, dtype=torch.bool), torch.ones(3, 5, dtype=torch.bool)
    maps = found["picture"], found["sequence"].mT  # Steps before channels, here.
    means = torch.cat([squeezed(maps[0], None, there), squeezed(maps[1], mask, there)], 1)
    with torch.no_grad():
        gates = module(means)
        out = [scaled(Hidden(x, mask, there), gate).map for x, gate in zip(maps, gates, strict=True)]
    # The factor 2 is the paper's; the code has none.
    close(out[0], 2 * found["picture_out"])
    close(out[1].mT, 2 * found["sequence_out"])


def test_central_is_the_authors_sums_and_zeros_where_widths_differ() -> None:
    found, weights = parity("central"), parity("central").under("central")
    names, widths = ("visual", "skeleton"), ([6, 8, 10], [4, 8, 5])
    specs = tuple(ModalitySpec(name, "image", (1, 4, 4)) for name in names)
    encoders = {n: Choice("small_cnn", {"width": 5, "channels": k}) for n, k in zip(names, widths, strict=True)}
    module: Any = load("strategy", "central")(Setting(TaskSpec(specs, 3), encoders, 5, 7, head_norm=False)).eval()
    for number, layer in enumerate(module.layers):
        put(layer[0], *pair(weights, f"{number}.0"))
    with (
        torch.no_grad()
    ):  # Their numbers pass a sigmoid; "a" is of what comes first there. The first sum has no network.
        module.read[:3] = torch.stack([found["alphas_a"], found["alphas_v"]], 1)[:3].sigmoid()
        module.keep[:2] = found["alphas_c"][1:3].sigmoid()
    encoded = {n: replace(steps(torch.zeros(4, 1, 5)), stages=tuple(found.under(n).values())) for n in names}
    total = read_by_head(module, encoded)
    close(nn.functional.linear(total, *pair(weights, "2")), found["out"])


def test_memory_is_the_authors_whole_network() -> None:
    found, weights = parity("memory"), parity("memory").under("weights")
    shapes = dict.fromkeys(("l", "a", "v"), (5, 4))
    module = ours("memory", shapes, classes=1, steps=5, hidden=3, memory=6, inner=5)
    assert isinstance(module, MemoryFusion)
    for name, cell in zip(shapes, module.cells, strict=True):
        cell.load_state_dict(
            {key.removeprefix(f"lstm_{name}."): v for key, v in weights.items() if f"lstm_{name}" in key}
        )
    networks = {"att1": module.attention, "att2": module.proposal, "gamma1": module.retain, "gamma2": module.write}
    for name, network in networks.items():
        put(network[0], *pair(weights, f"{name}_fc1"))
        put(network[-1], *pair(weights, f"{name}_fc2"))
    put(module.head[1], *pair(weights, "out_fc1"))
    put(module.head[-1], *pair(weights, "out_fc2"))
    parts = torch.split(found["x"].transpose(0, 1), 4, -1)  # (T, B, 12), which holds words, sound and pictures.
    encoded = {name: steps(x) for name, x in zip(shapes, parts, strict=True)}
    close(module.fuse(encoded).logits.detach(), found["out"])


def test_shift_gate_is_the_authors_adaptation_gate() -> None:
    found, weights = parity("shift_gate"), parity("shift_gate").under("weights")
    module = ours("shift_gate", dict.fromkeys(("visual", "text", "acoustic"), (1, 8)), anchor="text", beta=0.7)
    assert isinstance(module, ShiftGateFusion)
    for layers, names in ((module.gates, ("W_hv", "W_ha")), (module.shifts, ("W_v", "W_a"))):
        for layer, name in zip(layers, names, strict=True):
            put(layer, *pair(weights, name))
    put(module.norm, *pair(weights, "LayerNorm"))
    encoded = {name: steps(found[name][:, None]) for name in module.task.names}
    close(read_by_head(module, encoded), found["out"])


def embrace(found: Parity) -> tuple[EmbraceNet, dict[str, Encoded]]:
    """Our network with the authors' weights, and their inputs."""
    module, weights = ours("embrace", {f"m{i}": (1, 5) for i in range(3)}, hidden=6), found.under("weights")
    assert isinstance(module, EmbraceNet)
    for number, layer in enumerate(module.docking):
        put(layer, *pair(weights, f"docking_{number}"))
    return module, {f"m{i}": steps(x[:, None]) for i, x in enumerate(found["x"].unbind(1))}


def absent(encoded: dict[str, Encoded], there: Tensor) -> dict[str, Encoded]:
    """The same where only some modalities are there: bool (B, M)."""
    named = zip(encoded.items(), there.unbind(1), strict=True)
    return {name: replace(one, pooled=one.pooled * here[:, None], present=here) for (name, one), here in named}


def test_embrace_with_one_modality_is_the_authors_network_in_training_and_after() -> None:
    found = parity("embrace")
    module, encoded = embrace(found)
    for mode in (True, False):
        read = read_by_head(module.train(mode), absent(encoded, found["there"]))
        close(read, found["alone"])


def test_embrace_draws_what_the_authors_draw_and_predicts_from_their_mean() -> None:
    found = parity("embrace")
    module, encoded = embrace(found)
    some = absent(encoded, found["some"])
    with torch.no_grad():
        alone = [read_by_head(module, absent(some, torch.eye(3)[[m] * 4].bool())) for m in range(3)]
    docked = torch.stack(alone, 1)  # (B, M, H)
    near = ((found["drawn"][:, :, None] - docked).abs() < 1e-5) & found["some"][
        ..., None
    ]  # Each unit is of a present one.
    assert near.any(2).all()
    torch.manual_seed(0)
    drawn = torch.stack([embraced(docked, found["some"]) for _ in range(20_000)]).mean(0)
    read = read_by_head(module, some)
    # Means of 20,000 draws, each: off by some multiples of a standard deviation over 141.
    tolerance = 6 * float(docked.max()) / 141
    torch.testing.assert_close(read, found["mean"], rtol=0, atol=tolerance)
    torch.testing.assert_close(drawn, found["mean"], rtol=0, atol=2 * tolerance)
