"""What is stored of a frozen trunk is what it gives, and the map behind it trains and encodes alike from either."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from bits import Bits
from torch import Tensor, nn

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.task import ModalitySpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.splits import Split
from fusionbench.data.store import open_arrays, prepared
from fusionbench.encoders.base import Encoder, Hidden, Trunk
from fusionbench.fusion._stages import given, without_absent
from fusionbench.training.encodings import EncodedData, StoredEncoding, pieces_of, rows_of, write_pieces
from fusionbench.training.trunks import BehindTrunk, StoredTrunk, write_trunk

N, LONGEST = 300, 6


class Steps(Encoder):
    """A fixed map of every step, then one that learns and a mean over real steps; every seventh has no real step."""

    kinds = ("sequence",)

    def __init__(self) -> None:
        super().__init__(ModalitySpec("a", "sequence", (LONGEST, 3)), 4)
        torch.manual_seed(0)
        self.network = nn.Linear(3, 5).requires_grad_(False)
        self.project, self.stage_widths = nn.Linear(5, 4), (5,)

    def frozen_trunk(self) -> Trunk:
        return Trunk(self.network, {}, reads_data_alone=True)

    def stage(self, number: int, hidden: Hidden) -> Hidden:
        return Hidden(self.network(hidden.map).tanh(), hidden.mask, hidden.present)

    def finish(self, hidden: Hidden) -> Encoded:
        assert hidden.mask is not None
        tokens = self.project(hidden.map) * hidden.mask[..., None]
        return Encoded(
            tokens.sum(1) / hidden.mask.sum(1, keepdim=True).clamp(min=1), tokens, hidden.mask, hidden.present
        )


class Vectors(Encoder):
    """A fixed map of a vector, then one that learns; every fifth sample has none."""

    kinds = ("vector",)

    def __init__(self) -> None:
        super().__init__(ModalitySpec("b", "vector", (3,)), 4)
        torch.manual_seed(0)
        self.network = nn.Linear(3, 5).requires_grad_(False)
        self.project, self.stage_widths = nn.Linear(5, 4), (5,)

    def frozen_trunk(self) -> Trunk:
        return Trunk(self.network, {}, reads_data_alone=True)

    def stage(self, number: int, hidden: Hidden) -> Hidden:
        return Hidden(self.network(hidden.map), None, hidden.present)

    def finish(self, hidden: Hidden) -> Encoded:
        pooled = self.project(hidden.map)
        return Encoded(pooled, pooled[:, None], hidden.present[:, None], hidden.present)


MAKERS = {"a": Steps, "b": Vectors}


class Made(Bits):
    """N samples of both."""

    def batch(self, rows: np.ndarray) -> MultimodalBatch:
        rng, lengths = np.random.default_rng(0), np.arange(N) % 7
        longest = max(1, lengths[rows].max())
        steps = torch.from_numpy(rng.standard_normal((N, LONGEST, 3), np.float32)[rows, :longest])
        mask = torch.from_numpy(np.arange(longest) < lengths[rows, None])
        vectors = torch.from_numpy(rng.standard_normal((N, 3), np.float32)[rows])
        here = torch.from_numpy(rows % 5 > 0)
        present = {"a": torch.ones(len(rows), dtype=torch.bool), "b": here}
        inputs = {"a": steps, "b": torch.where(here[:, None], vectors, torch.nan)}
        return MultimodalBatch(inputs, {"a": mask}, present, torch.from_numpy(rows % 2), torch.from_numpy(rows))


@pytest.fixture
def data(tmp_path: Path) -> MultimodalData:
    made = Made(tmp_path)
    made.parts = Split(*np.split(np.random.default_rng(2).permutation(N)[:250], [150, 200]))
    return made


def stored(name: str, data: MultimodalData, folder: Path) -> StoredTrunk:
    def convert(place: Path) -> None:
        write_trunk(place, MAKERS[name](), name, data, rows_of(data), lambda *_: None)

    return StoredTrunk(open_arrays(prepared(folder, name, {}, None, convert, "encodings")))


def padded_to(tensor: Tensor, steps: int) -> Tensor:
    return nn.functional.pad(tensor, (0, 0) * (tensor.dim() - 2) + (0, steps - tensor.shape[1]))


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("training", [False, True])
def test_the_map_gives_of_what_is_stored_what_the_encoder_gives(
    name: str, training: bool, data: MultimodalData, tmp_path: Path
) -> None:
    seen, encoder = EncodedData(data, {name: stored(name, data, tmp_path)}), MAKERS[name]()
    rows = np.random.default_rng(1).permutation(rows_of(data))[:40]
    behind = BehindTrunk(encoder).train(training)
    live = without_absent(encoder.train(training)(*given(name, data.batch(rows))))
    found = without_absent(behind(*given(name, seen.batch(rows))))
    torch.testing.assert_close(found.pooled, live.pooled, rtol=0, atol=1e-6)
    steps = live.mask.shape[1]
    assert torch.equal(padded_to(found.mask, steps), live.mask)
    mine, other = padded_to(found.tokens, steps) * live.mask[..., None], live.tokens * live.mask[..., None]
    torch.testing.assert_close(mine, other, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", MAKERS)
def test_encodings_made_of_what_is_stored_are_those_of_the_encoder(
    name: str, data: MultimodalData, tmp_path: Path
) -> None:
    seen, encoder = EncodedData(data, {name: stored(name, data, tmp_path)}), MAKERS[name]()
    found = []
    for number, (network, source) in enumerate([(encoder, data), (BehindTrunk(encoder), seen)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        write_pieces(folder, pieces_of(network, name, source, rows_of(data)), lambda *_: None)
        found.append(StoredEncoding({path.stem: np.load(path) for path in folder.glob("*.npy")}))
    rows = rows_of(data)
    live, made = (one.of(rows, data.labels(rows).present[name]) for one in found)
    torch.testing.assert_close(made.pooled, live.pooled, rtol=0, atol=1e-6)
    torch.testing.assert_close(made.tokens, live.tokens, rtol=0, atol=1e-6)
    assert torch.equal(made.mask, live.mask)
    assert len(made.stages) == len(live.stages) == 1
    torch.testing.assert_close(made.stages[0], live.stages[0], rtol=0, atol=1e-6)


def test_samples_without_a_real_step_make_no_nan_even_alone_in_a_batch(data: MultimodalData, tmp_path: Path) -> None:
    seen = EncodedData(data, {"a": stored("a", data, tmp_path)})
    rows = rows_of(data)
    empty = rows[rows % 7 == 0][:3]
    found = BehindTrunk(Steps())(*given("a", seen.batch(empty)))
    assert torch.isfinite(found.pooled).all()
    assert not found.mask.any()
