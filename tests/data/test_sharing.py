"""Several devices: together they see exactly what one sees, and none of it twice."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.errors import UserError
from fusionbench.core.ranks import Ranks
from fusionbench.data.digits import Digits


def digits(folder: Path, ranks: Ranks, batch_size: int = 128) -> Digits:
    data = Digits(folder, seed=0, batch_size=batch_size)
    data.prepare_data()
    data.setup()
    data.share_out(ranks)
    return data


@given(st.integers(0, 200), st.integers(1, 9))
def test_the_parts_of_a_group_follow_each_other_and_leave_nothing_out(count: int, of: int) -> None:
    parts = [np.arange(count)[Ranks(rank, of).span(count)] for rank in range(of)]
    assert np.concatenate(parts).tolist() == list(range(count))
    assert [part.tolist() for part in parts] == [part.tolist() for part in np.array_split(np.arange(count), of)]


def test_a_part_of_a_batch_has_a_part_of_everything() -> None:
    x = torch.arange(6)
    batch = MultimodalBatch({"a": x}, {"a": x > 2}, {"a": x > 0}, x * 2, x, {"a": x * 3})
    part = batch.part(slice(2, 4))
    assert (len(part), part.targets.tolist(), part.auxiliary["a"].tolist()) == (2, [4, 6], [6, 9])
    assert (part.inputs["a"].tolist(), part.masks["a"].tolist()) == ([2, 3], [False, True])


@pytest.mark.parametrize("of", [2, 4])
def test_the_devices_batches_side_by_side_are_those_of_one_device(of: int, tmp_path: Path) -> None:
    whole = list(digits(tmp_path, Ranks()).train_dataloader())
    parts = [list(digits(tmp_path, Ranks(rank, of)).train_dataloader()) for rank in range(of)]
    assert {len(batches) for batches in parts} == {len(whole)}
    for batch, *own in zip(whole, *parts, strict=True):
        assert torch.cat([part.ids for part in own]).tolist() == batch.ids.tolist()
        assert torch.equal(torch.cat([part.inputs["left"] for part in own]), batch.inputs["left"])


@pytest.mark.parametrize("of", [2, 7])
def test_evaluation_rows_are_shared_out_in_order_and_none_is_repeated(of: int, tmp_path: Path) -> None:
    for loader in ("val_dataloader", "test_dataloader"):
        seen = [
            row
            for rank in range(of)
            for b in getattr(digits(tmp_path, Ranks(rank, of), 126), loader)()
            for row in b.ids
        ]
        assert [int(row) for row in seen] == [
            int(row) for batch in getattr(digits(tmp_path, Ranks()), loader)() for row in batch.ids
        ]


@pytest.mark.parametrize(
    ("of", "batch_size", "word"), [(3, 128, "128 samples"), (2, 10_001, "samples"), (200, 200, "validation")]
)
def test_what_cannot_be_shared_out_evenly_is_refused_in_two_lines(
    of: int, batch_size: int, word: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=word) as error:
        digits(tmp_path, Ranks(0, of), batch_size)
    assert len(str(error.value).splitlines()) <= 2
    assert f"{of} devices" in str(error.value)
