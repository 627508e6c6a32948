"""What is kept of every batch: copies in large blocks, which nothing that comes and goes lies among."""

from __future__ import annotations

import pytest
import torch

from fusionbench.metrics.blocks import BLOCK, OFTEN, Blocks, give_back
from fusionbench.metrics.gap import GAP
from fusionbench.metrics.map_full import MAPFull


def places(*tensors: torch.Tensor) -> set[int]:
    """In which blocks they lie."""
    return {tensor.untyped_storage().data_ptr() for tensor in tensors}


def test_what_is_kept_are_copies_of_its_shape_and_type() -> None:
    blocks = Blocks()
    given = [torch.arange(6.0).view(2, 3), torch.zeros(0, 4), torch.ones(3, dtype=torch.bool), torch.tensor(7)]
    kept = [blocks.keep(tensor) for tensor in given]
    expected = [tensor.clone() for tensor in given]
    for tensor in given:
        tensor.zero_()
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(kept, expected, strict=True))
    assert len(places(kept[0], kept[1])) == 1
    assert len(places(*kept)) == 3  # A block for each type.


def test_a_block_that_is_full_is_followed_by_another_and_a_large_tensor_has_its_own() -> None:
    blocks, quarter = Blocks(), BLOCK // 16
    kept = [blocks.keep(torch.full((quarter,), float(number))) for number in range(5)]
    large = blocks.keep(torch.zeros(BLOCK // 4 + 1))
    assert len(places(*kept[:4])) == 1
    assert len(places(*kept, large)) == 3
    assert all((tensor == number).all() for number, tensor in enumerate(kept))


def test_blocks_of_an_evaluation_are_written_to_outside_of_it() -> None:
    gap = GAP()
    with torch.inference_mode():
        gap.update(torch.randn(3, 30), torch.ones(3, 30))
    gap.update(torch.randn(3, 30), torch.ones(3, 30))
    assert float(gap.compute()) == pytest.approx(20 / 30)


def test_logits_that_are_counted_leave_no_block_behind() -> None:
    metric = MAPFull(10, exact=100)
    metric.update(torch.randn(5, 10), torch.ones(5, 10))
    logits = places(*metric.logits)
    assert not logits & places(*metric.scores, *metric.owners)
    metric.update(torch.randn(6, 10), torch.ones(6, 10))
    assert metric.logits == []


def test_free_memory_is_given_back_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    times = list[int]()
    monkeypatch.setattr("fusionbench.metrics.blocks.give_back", lambda: times.append(1))
    blocks = Blocks()
    for _ in range(3 * OFTEN):
        blocks.keep(torch.zeros(1))
    assert len(times) == 3
    monkeypatch.undo()
    give_back()  # Whatever the C library: no error.
