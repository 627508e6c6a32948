"""Pathomic Fusion: against the numbers of the authors' file, and what an absent modality leaves."""

from __future__ import annotations

import pytest
import torch
from parity_fixtures import parity
from torch import Tensor

from fusionbench.core.errors import UserError
from fusionbench.fusion._bilinear import Maps
from fusionbench.fusion.gated_kronecker import GatedKronecker
from fusionbench.testing.samples import WIDTH, setting_of, task_of

PAIR = task_of(("vector", "vector"))


class Ungated(GatedKronecker):
    """A broken copy: the gates are there, but let everything pass."""

    def joint(self, x: Tensor, present: Tensor) -> Tensor:
        with torch.no_grad():
            self.gates.bias.fill_(100.0)
        return super().joint(x, present)


def with_their_weights(module: GatedKronecker, theirs: dict[str, Tensor]) -> GatedKronecker:
    def take(maps: Maps, letter: str) -> None:
        for m in range(2):
            maps.weight[m].copy_(theirs[f"linear_{letter}{m + 1}.0.weight"].T)
            maps.bias[m, 0].copy_(theirs[f"linear_{letter}{m + 1}.0.bias"])

    with torch.no_grad():
        take(module.features, "h")
        take(module.gates, "z")
        take(module.outputs, "o")
        for ours, name in ((module.mix, "encoder1.0"), (module.join, "encoder2.0")):
            ours.weight.copy_(theirs[f"{name}.weight"])
            ours.bias.copy_(theirs[f"{name}.bias"])
    return module


@pytest.mark.parametrize(("kind", "sound"), [(GatedKronecker, True), (Ungated, False)])
def test_what_the_head_reads_is_what_the_authors_file_gives(kind: type[GatedKronecker], sound: bool) -> None:
    found = parity("gated_kronecker")
    theirs = {name: value.float() for name, value in found.under("weights").items()}
    module = with_their_weights(kind(setting_of(PAIR), hidden=4, mixed=6).eval(), theirs)
    x = torch.stack([found["m0"], found["m1"]], 1).float()
    with torch.no_grad():
        joint = module.joint(x, torch.ones(x.shape[:2], dtype=torch.bool))
    assert torch.allclose(joint, found["out"], rtol=1e-4, atol=1e-5) == sound


def test_an_absent_modality_leaves_the_others_beside_its_one() -> None:
    module = GatedKronecker(setting_of(PAIR), hidden=4, mixed=6).eval()
    x, present = torch.randn(5, 2, WIDTH), torch.tensor([[True, False]]).expand(5, 2)
    x = x * present[..., None]
    seen: list[Tensor] = []
    module.mix.register_forward_pre_hook(lambda _, inputs: seen.extend(inputs))
    with torch.no_grad():
        module.joint(x, present)
    product = seen[0].view(5, 5, 5)  # The first modality's numbers and 1, by the second's.
    assert not product[:, :, :4].any()
    assert product[:, :4, 4].any()
    assert (product[:, 4, 4] == 1).all()


def test_dropout_is_its_own_and_not_in_a_prediction() -> None:
    x, present = torch.randn(64, 2, WIDTH), torch.ones(64, 2, dtype=torch.bool)
    module = GatedKronecker(setting_of(PAIR))
    assert not torch.equal(module.joint(x, present), module.joint(x, present))
    module.eval()
    assert torch.equal(module.joint(x, present), module.joint(x, present))
    none = GatedKronecker(setting_of(PAIR), dropout=0.0)
    assert torch.equal(none.joint(x, present), none.joint(x, present))


@pytest.mark.parametrize(
    ("options", "words"),
    [({"hidden": -1}, "hidden is -1"), ({"hidden": 2000}, "hidden is 2000"), ({"mixed": 0}, "mixed is 0")],
)
def test_an_option_out_of_range_is_refused_by_name(options: dict[str, int], words: str) -> None:
    with pytest.raises(UserError, match=words):
        GatedKronecker(setting_of(PAIR), **options)
