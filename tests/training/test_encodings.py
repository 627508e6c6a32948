"""What is stored of encodings is what the encoder gives, whatever the lengths, the order and who is absent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from bits import Bits
from torch import Tensor

from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalitySpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.splits import Split
from fusionbench.data.store import open_arrays, prepared
from fusionbench.encoders.base import Encoder
from fusionbench.encoders.lstm import LSTM
from fusionbench.encoders.mlp import MLP
from fusionbench.encoders.small_cnn import SmallCNN
from fusionbench.fusion._stages import level_vectors, without_absent
from fusionbench.training.encodings import EncodedData, StoredEncoding, rows_of, write_encoding
from fusionbench.training.torn import refuse_torn

N = 300
LENGTHS = np.arange(N) % 7
"""Of the sentences; every seventh has no step."""
MAKERS: dict[str, Callable[[], Encoder]] = {
    "a": lambda: LSTM(ModalitySpec("a", "tokens", (9,), 11), width=8, hidden=5, layers=2),
    "b": lambda: SmallCNN(ModalitySpec("b", "image", (1, 8, 8)), width=8, channels=(4, 6)),
    "c": lambda: MLP(ModalitySpec("c", "vector", (3,)), width=8),
}


class Made(Bits):
    """N samples of sentences, pictures and vectors; every fifth has no picture."""

    def batch(self, rows: np.ndarray) -> MultimodalBatch:
        rng, longest = np.random.default_rng(0), max(1, LENGTHS[rows].max())
        ids = torch.from_numpy(rng.integers(1, 11, (N, 7))[rows, :longest])
        mask = torch.from_numpy(np.arange(longest) < LENGTHS[rows, None])
        pictures = torch.from_numpy(rng.standard_normal((N, 1, 8, 8), np.float32)[rows])
        here = torch.from_numpy(rows % 5 > 0)
        inputs = {"a": ids * mask, "b": torch.where(here[:, None, None, None], pictures, torch.nan)}
        inputs["c"] = torch.from_numpy(rng.standard_normal((N, 3), np.float32)[rows])
        every = torch.ones(len(rows), dtype=torch.bool)
        present = {"a": every, "b": here, "c": every}
        return MultimodalBatch(inputs, {"a": mask}, present, torch.from_numpy(rows % 2), torch.from_numpy(rows))


@pytest.fixture
def data(tmp_path: Path) -> MultimodalData:
    made = Made(tmp_path)
    made.parts = Split(*np.split(np.random.default_rng(2).permutation(N)[:250], [150, 200]))
    return made


def encoder(name: str) -> Encoder:
    torch.manual_seed(0)
    return MAKERS[name]().requires_grad_(False).eval()


def stored(name: str, data: MultimodalData, folder: Path) -> StoredEncoding:
    def convert(place: Path) -> None:
        write_encoding(place, encoder(name), name, data, rows_of(data), lambda *_: None)

    return StoredEncoding(open_arrays(prepared(folder, name, {}, None, convert, "encodings")))


def live(name: str, data: MultimodalData, rows: np.ndarray) -> Encoded:
    batch = data.batch(rows)
    x = torch.nan_to_num(batch.inputs[name]) if name == "b" else batch.inputs[name]
    return without_absent(encoder(name)(x, batch.masks.get(name), batch.present[name]))


def padded_to(tensor: Tensor, steps: int) -> Tensor:
    return torch.nn.functional.pad(tensor, (0, 0) * (tensor.dim() - 2) + (0, steps - tensor.shape[1]))


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_read_is_what_the_encoder_gives(name: str, data: MultimodalData, tmp_path: Path) -> None:
    found = stored(name, data, tmp_path)
    rows = np.random.default_rng(1).permutation(rows_of(data))[:40]
    present = data.labels(rows).present[name]
    one, other = found.of(rows, present), live(name, data, rows)
    torch.testing.assert_close(one.pooled, other.pooled, rtol=0, atol=1e-6)
    steps = other.mask.shape[1]
    assert torch.equal(padded_to(one.mask, steps), other.mask)
    torch.testing.assert_close(
        padded_to(one.tokens, steps) * other.mask[..., None], other.tokens * other.mask[..., None], rtol=0, atol=1e-6
    )
    assert one.present is present
    levels = len(other.stages)
    for a, b in zip(level_vectors(one, levels) if levels else (), level_vectors(other, levels), strict=False):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)
    assert len(one.stages) == levels


def test_all_parts_and_no_other_rows_are_stored(data: MultimodalData, tmp_path: Path) -> None:
    assert data.parts is not None
    every = {int(row) for part in (data.parts.train, data.parts.validation, data.parts.test) for row in part}
    assert list(stored("c", data, tmp_path).rows) == sorted(every)


def test_a_dataset_with_encodings_gives_the_same_samples_without_their_inputs(
    data: MultimodalData, tmp_path: Path
) -> None:
    seen = EncodedData(data, {name: stored(name, data, tmp_path) for name in MAKERS})
    for one, other in (
        (seen.train_dataloader(), data.train_dataloader()),
        (seen.val_dataloader(), data.val_dataloader()),
        (seen.test_dataloader(), data.test_dataloader()),
    ):
        for a, b in zip(one, other, strict=True):
            assert torch.equal(a.ids, b.ids)
            assert torch.equal(a.targets, b.targets)
            assert a.inputs == {}
            assert a.encoded["b"].pooled.shape == (len(b), 8)
    assert seen.task == data.task


TORN: dict[str, tuple[Callable[[dict[str, np.ndarray]], object], str]] = {
    "other rows": (lambda found: found.update(rows=found["rows"] + 1), "rows.npy holds other rows"),
    "no rows": (lambda found: found.pop("rows"), "rows.npy holds other rows"),
    "no tokens": (lambda found: found.pop("tokens"), "an array is missing"),
    "half of them": (
        lambda found: found.update(pooled=found["pooled"].astype(np.float16)),
        "pooled.npy holds no vectors",
    ),
    "fewer": (lambda found: found.update(pooled=found["pooled"][1:]), "pooled.npy has 249 rows, not 250"),
    "longer mask": (lambda found: found.update(mask=np.append(found["mask"], True)), "mask.npy is not that of tokens"),
    "back": (lambda found: found.update(offsets=found["offsets"][::-1].copy()), "offsets.npy leads out of tokens"),
    "beyond": (lambda found: found.update(offsets=found["offsets"] * 2), "offsets.npy leads out of tokens"),
    "one offset": (lambda found: found.update(offsets=found["offsets"][:-1]), "offsets.npy has not one number"),
}


@pytest.mark.parametrize("name", TORN)
def test_arrays_that_do_not_belong_together_are_told(name: str, data: MultimodalData, tmp_path: Path) -> None:
    write_encoding(tmp_path, encoder("a"), "a", data, rows_of(data), lambda *_: None)
    found = {path.stem: np.load(path) for path in tmp_path.glob("*.npy")}
    refuse_torn(tmp_path, found, rows_of(data))
    tear, told = TORN[name]
    tear(found)
    with pytest.raises(UserError, match=rf"{told}.*remove the folder, it is made again"):
        refuse_torn(tmp_path, found, rows_of(data))
