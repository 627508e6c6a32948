from __future__ import annotations

import os
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from cifar10_folder import COUNT, Made, batch_pickle, contents, lay_out, left_over, made, publish, ready
from numpy.typing import NDArray
from torchvision.transforms.v2 import functional as V

from fusionbench.core.errors import UserError
from fusionbench.data.cifar10 import CIFAR10
from fusionbench.data.cifar10_files import BATCHES, FOLDER
from fusionbench.data.lab import lab_bytes
from fusionbench.data.orders import EpochOrder

REAL = os.environ.get("FUSIONBENCH_TEST_DATA")
needs_real_data = pytest.mark.skipif(not REAL, reason="the real CIFAR-10: set FUSIONBENCH_TEST_DATA to its folder")
VIEWS = ("lab", "halves", "whole")


@pytest.fixture
def batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    found = made()
    publish(monkeypatch, contents(found))
    lay_out(tmp_path, contents(found))
    return found


def flat(batches: Made) -> tuple[NDArray[np.uint8], list[int]]:
    """All pictures and labels in the order of the rows."""
    return np.concatenate([batches[n][0] for n in BATCHES]), [label for n in BATCHES for label in batches[n][1]]


def glued(data: CIFAR10, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    """The views as one picture of bytes again, (B, 3, 32, 32)."""
    parts = [inputs[name] for name in data.task.names]
    return torch.cat(parts, 1 if data.view == "lab" else 3) * data.std + data.mean


def stored(view: str, pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return lab_bytes(pictures) if view == "lab" else pictures


@pytest.mark.parametrize("view", VIEWS)
def test_the_views_glue_back_to_the_pictures_of_the_files(tmp_path: Path, batches: Made, view: str) -> None:
    data = ready(tmp_path, view=view)
    pictures, labels = flat(batches)
    rows = np.random.default_rng(0).permutation(6 * COUNT)
    batch = data.batch(rows)
    assert glued(data, batch.inputs).numpy() == pytest.approx(stored(view, pictures[rows]), abs=1e-3)
    assert batch.targets.tolist() == [labels[row] for row in rows]
    assert batch.ids.tolist() == rows.tolist()
    assert all(x.dtype == torch.float32 and x.is_contiguous() for x in batch.inputs.values())
    assert {name: tuple(x.shape[1:]) for name, x in batch.inputs.items()} == {
        modality.name: modality.shape for modality in data.task.modalities
    }
    assert list(data.task.names) == list(CIFAR10.views[view])


def test_pictures_in_colours_say_how_their_pixels_were_normalised(tmp_path: Path, batches: Made) -> None:
    pictures, _ = flat(batches)
    for view in ("halves", "whole"):
        data = ready(tmp_path, view=view)
        (colours,) = {spec.colours for spec in data.task.modalities}
        assert colours is not None
        mean, std = (torch.tensor(value).view(3, 1, 1) for value in (colours.mean, colours.std))
        found = torch.cat([data.batch(np.arange(5)).inputs[name] * std + mean for name in data.task.names], 3)
        assert found.numpy() == pytest.approx(pictures[:5] / 255, abs=1e-6)
    assert {spec.colours for spec in ready(tmp_path, view="lab").task.modalities} == {None}


@pytest.mark.parametrize("view", VIEWS)
def test_training_rows_have_mean_0_and_deviation_1_in_every_channel(tmp_path: Path, batches: Made, view: str) -> None:
    data = ready(tmp_path, seed=4, view=view)
    assert data.parts is not None
    values = stored(view, flat(batches)[0][data.parts.train]).astype(float)
    assert data.mean.flatten().tolist() == pytest.approx(values.mean((0, 2, 3)), rel=1e-6)
    assert data.std.flatten().tolist() == pytest.approx(values.std((0, 2, 3)), rel=1e-5)
    inputs = data.batch(data.parts.train).inputs
    assert max(abs(x.mean().item()) for x in inputs.values()) < 0.1


def test_parts_are_the_official_test_rows_and_a_stratified_tenth_of_the_others(tmp_path: Path, batches: Made) -> None:
    labels = np.array(flat(batches)[1])
    parts = [ready(tmp_path, seed=seed).parts for seed in (0, 1)]
    for part in parts:
        assert part is not None
        assert part.test.tolist() == list(range(5 * COUNT, 6 * COUNT))
        assert sorted([*part.train, *part.validation]) == list(range(5 * COUNT))
        assert np.bincount(labels[part.validation]).tolist() == [COUNT * 5 // 100] * 10
    assert parts[0].validation.tolist() != parts[1].validation.tolist()  # type: ignore[union-attr]


@pytest.mark.parametrize("view", VIEWS)
def test_training_pictures_are_cropped_and_mirrored_whole_then_taken_apart(
    tmp_path: Path, batches: Made, view: str
) -> None:
    data = ready(tmp_path, view=view)
    pictures = flat(batches)[0]
    rows = np.random.default_rng(1).permutation(5 * COUNT)
    draws = data.draws(3).of(rows)
    expected = []
    for place, row in enumerate(rows):
        y, x = draws.corners[place].tolist()
        # The colours are converted after the padding here: the order in which the dataset does it changes nothing.
        moved = V.crop(V.pad(torch.from_numpy(pictures[row]), [4] * 4), y, x, 32, 32)
        moved = V.horizontal_flip(moved) if draws.mirrored[place] else moved
        colours = torch.from_numpy(stored(view, moved[None].numpy())[0])
        scaled = V.to_dtype(colours, torch.float32, scale=True)
        mean, std = ((x / 255).flatten().tolist() for x in (data.mean, data.std))
        expected.append(V.normalize(scaled, mean, std))
    inputs = data.train_batch(rows, epoch=3).inputs
    found = torch.cat([inputs[name] for name in data.task.names], 1 if view == "lab" else 3)
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-5, atol=1e-5)
    assert 0 < draws.mirrored.sum() < len(rows)


def test_a_picture_is_augmented_alike_whatever_batch_it_is_in(tmp_path: Path, batches: Made) -> None:
    data, again = ready(tmp_path), ready(tmp_path)
    whole = data.train_batch(np.arange(60), epoch=2).inputs["luma"]
    data.train_batch(np.arange(10), epoch=0)
    assert torch.equal(again.train_batch(np.array([7, 30]), epoch=2).inputs["luma"], whole[[7, 30]])
    assert not torch.equal(data.train_batch(np.arange(60), epoch=1).inputs["luma"], whole)
    assert not torch.equal(ready(tmp_path, seed=1).train_batch(np.arange(60), epoch=2).inputs["luma"], whole)


def test_loaders_augment_training_batches_only(tmp_path: Path, batches: Made) -> None:
    data = ready(tmp_path)
    for epoch in (0, 1):
        loader = data.train_dataloader()
        assert isinstance(loader.sampler, EpochOrder)
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            expected = data.train_batch(batch.ids.numpy(), epoch)
            assert torch.equal(batch.inputs["chroma"], expected.inputs["chroma"])
            assert not torch.equal(batch.inputs["chroma"], data.batch(batch.ids.numpy()).inputs["chroma"])
    for loader in (data.val_dataloader(), data.test_dataloader()):
        for batch in loader:
            assert torch.equal(batch.inputs["chroma"], data.batch(batch.ids.numpy()).inputs["chroma"])


def test_without_crop_and_flip_training_pictures_are_as_they_are(tmp_path: Path, batches: Made) -> None:
    data, rows = ready(tmp_path, crop=0, flip=False), np.arange(30)
    assert torch.equal(data.train_batch(rows, 0).inputs["luma"], data.batch(rows).inputs["luma"])
    with pytest.raises(UserError, match=r"cifar10: option crop: 33 is not in 0 \.\. 32 pixels"):
        CIFAR10(tmp_path, crop=33)


def test_options_of_augmentation_share_the_converted_arrays_and_views_do_not(tmp_path: Path, batches: Made) -> None:
    ready(tmp_path)
    ready(tmp_path, crop=2)
    assert len(left_over(tmp_path)) == 1
    ready(tmp_path, view="halves")
    assert len(left_over(tmp_path)) == 2


def test_converted_data_outlive_their_files(tmp_path: Path, batches: Made) -> None:
    before = ready(tmp_path).fingerprint
    for path in (tmp_path / FOLDER).iterdir():
        path.unlink()
    assert ready(tmp_path).fingerprint == before


def test_files_that_change_are_converted_anew(tmp_path: Path, batches: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ready(tmp_path).fingerprint
    batches["test_batch"][0][0, 0, 0, 0] ^= 128
    publish(monkeypatch, contents(batches))
    lay_out(tmp_path, contents(batches))
    assert ready(tmp_path).fingerprint != before


def test_numpys_own_reader_finds_the_same_in_a_file_of_this_form(batches: Made) -> None:
    pictures, labels = batches["data_batch_1"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # numpy.core, where it was when the files were written.
        found = pickle.loads(batch_pickle(pictures, labels), encoding="bytes")
    assert found[b"data"].tolist() == pictures.reshape(COUNT, -1).tolist()
    assert found[b"labels"] == labels


@needs_real_data
def test_the_real_files_are_read_as_torchvision_reads_them(tmp_path: Path) -> None:
    (tmp_path / FOLDER).symlink_to(Path(REAL or "") / FOLDER)
    data = ready(tmp_path, view="halves")
    assert data.parts is not None
    assert data.parts.counts == {"train": 45_000, "validation": 5_000, "test": 10_000}
    for train, rows in ((True, slice(0, 50_000)), (False, slice(50_000, 60_000))):
        theirs = torchvision.datasets.CIFAR10(REAL, train=train)
        assert (data.arrays["pictures"][rows].transpose(0, 2, 3, 1) == theirs.data).all()
        assert data.arrays["targets"][rows].tolist() == theirs.targets
    # The figures that are usually quoted, of all 50,000.
    assert (data.mean / 255).flatten().tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=2e-3)
    assert (data.std / 255).flatten().tolist() == pytest.approx([0.2470, 0.2435, 0.2616], abs=2e-3)
