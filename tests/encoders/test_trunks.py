"""Frozen networks with a map behind them: what a trunk gives can be kept, named by the hash of what decides it."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn

from fusionbench.core.batch import Encoded
from fusionbench.core.task import ModalitySpec
from fusionbench.encoders.base import Encoder, Hidden, Trunk
from fusionbench.encoders.linear import Linear

SPEC = ModalitySpec("x", "vector", (4,))


class Frozen(Encoder):
    """A fixed affine map with a norm, then one that learns."""

    kinds = ("vector",)

    def __init__(self, seed: int = 0, size: int = 0) -> None:
        super().__init__(SPEC, 3)
        torch.manual_seed(seed)
        self.network = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5)).requires_grad_(False).eval()
        self.size, self.stage_widths, self.project = size, (5,), nn.Linear(5, 3)

    def frozen_trunk(self) -> Trunk:
        return Trunk(self.network, {"size": self.size}, reads_data_alone=False)

    def stage(self, number: int, hidden: Hidden) -> Hidden:
        steps = self.network(hidden.map)[:, None]
        return Hidden(steps, hidden.present[:, None], hidden.present)

    def finish(self, hidden: Hidden) -> Encoded:
        tokens = self.project(hidden.map)
        assert hidden.mask is not None
        return Encoded(tokens.mean(1), tokens, hidden.mask, hidden.present)


def name_of(encoder: Frozen) -> str:
    return encoder.frozen_trunk().sha256()


def test_what_the_trunk_gives_is_all_that_the_map_reads() -> None:
    encoder, x, present = Frozen(), torch.randn(6, 4), torch.ones(6, dtype=torch.bool)
    features = encoder.trunk_features(x, None, present)
    assert features.kept is None
    kept = Hidden(features.map.clone(), features.mask, features.present)
    live, stored = encoder(x, None, present), encoder.finish(kept)
    assert torch.equal(live.tokens, stored.tokens)
    assert torch.equal(live.pooled, stored.pooled)


def test_a_trunks_name_is_moved_by_weights_buffers_and_options_and_by_nothing_else() -> None:
    plain = name_of(Frozen())
    assert plain == name_of(Frozen())
    other_map, other_buffer = Frozen(), Frozen()
    other_map.project.weight.data.zero_()
    other_buffer.get_buffer("network.1.running_var")[0] += 1
    assert name_of(other_map) == plain
    assert len({plain, name_of(Frozen(seed=1)), name_of(Frozen(size=64)), name_of(other_buffer)}) == 4


def test_a_trunks_name_does_not_depend_on_how_its_weights_lie_in_memory() -> None:
    network = nn.Conv2d(3, 4, 2, bias=False)
    before = Trunk(network, {}, reads_data_alone=True).sha256()
    network.to(memory_format=torch.channels_last)
    assert Trunk(network, {}, reads_data_alone=True).sha256() == before


def by_hand(weights: Tensor) -> str:
    head = b"{}" + b'["w","torch.float32",[2]]'
    return hashlib.sha256(head + weights.numpy().tobytes()).hexdigest()


def test_a_trunks_name_is_the_hash_of_options_names_types_shapes_and_bytes() -> None:
    network = nn.ParameterDict({"w": torch.tensor([1.0, 2.0])})
    assert Trunk(network, {}, reads_data_alone=True).sha256() == by_hand(torch.tensor([1.0, 2.0]))


def test_an_encoder_has_no_trunk_unless_it_says_so() -> None:
    assert Linear(SPEC, width=3).frozen_trunk() is None
