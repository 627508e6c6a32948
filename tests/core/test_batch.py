"""Batches: every tensor moves with its batch, those of stored encodings too."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from fusionbench.core.batch import Encoded, MultimodalBatch


def batch(size: int = 5) -> MultimodalBatch:
    """Of modality `a` the input, of `b` the encoding, with and without hidden maps."""
    here, mask = torch.ones(size, dtype=torch.bool), torch.ones(size, 3, dtype=torch.bool)
    tokens = torch.arange(float(size))[:, None, None].expand(-1, 3, 2)
    plain = Encoded(tokens[:, 0], tokens, mask, here)
    deep = Encoded(tokens[:, 0], tokens, mask, here, (tokens, tokens[:, 1]), mask)
    rows = torch.arange(size)
    names = {"a": here, "b": here, "c": here}
    return MultimodalBatch({"a": tokens}, {"a": mask}, names, rows, rows, {"a": rows}, {"b": plain, "c": deep})


def tensors(value: object) -> Iterator[Tensor]:
    """All that a batch holds, in its order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict | tuple):
        for one in value.values() if isinstance(value, dict) else value:
            yield from tensors(one)
    elif value is not None:
        yield from tensors(vars(value))


def test_a_batch_moves_to_a_device_with_its_stored_encodings() -> None:
    found = list(tensors(batch().to("meta")))
    assert len(found) == 8 + 4 + 7
    assert all(one.device.type == "meta" for one in found)


def test_a_part_of_a_batch_has_the_same_samples_of_everything() -> None:
    whole, part = batch(), batch().part(slice(1, 4))
    assert len(part) == 3
    for one, some in zip(tensors(whole), tensors(part), strict=True):
        assert torch.equal(some, one[1:4])


def test_a_batch_without_stored_encodings_has_none() -> None:
    plain = MultimodalBatch({}, {}, {}, torch.zeros(2), torch.zeros(2))
    assert plain.encoded == {}
    assert plain.part(slice(0, 1)).encoded == {}
