from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import cifar10_folder
import imdb_folder
import numpy as np
import pytest
import torch

from fusionbench.core.task import TaskSpec
from fusionbench.data.cifar10 import CIFAR10
from fusionbench.data.cifar10_pickle import CLASSES
from fusionbench.data.imdb_cifar10 import ANIMALS, RELATIONS, VEHICLES, IMDBWithCIFAR10

REAL = os.environ.get("FUSIONBENCH_TEST_DATA")
needs_real_data = pytest.mark.skipif(not REAL, reason="real reviews and pictures: set FUSIONBENCH_TEST_DATA")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small official-looking folders of both datasets, converted."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        # So many that every part has a pair of each cell of a mixture.
        patch.setattr(imdb_folder, "EACH", 160)
        patch.setattr(cifar10_folder, "COUNT", 40)
        imdb_folder.small(patch)
        imdb_folder.lay_out(folder, imdb_folder.made())
        files = cifar10_folder.contents(cifar10_folder.made())
        cifar10_folder.publish(patch, files)
        cifar10_folder.lay_out(folder, files)
        ready(folder, "redundant").prepare_data()
    return folder


def ready(root: Path, relation: str, seed: int = 0) -> IMDBWithCIFAR10:
    data = IMDBWithCIFAR10(root, seed, batch_size=8, relation=relation, length=12)  # type: ignore[arg-type]
    data.prepare_data()
    data.setup()
    return data


def facts(data: IMDBWithCIFAR10, rows: np.ndarray) -> list[tuple[int, int, int]]:
    """s, v and the label of some pairs, each taken from the source."""
    reviews = data.reviews.arrays["targets"][data.pairs.first[rows]].tolist()
    animals = np.isin(data.pictures.arrays["targets"][data.pairs.second[rows]], ANIMALS).astype(int).tolist()
    return list(zip(reviews, animals, data.pairs.targets[rows].tolist(), strict=True))


def test_vehicles_and_animals_are_the_official_classes() -> None:
    assert sorted(VEHICLES + ANIMALS) == list(range(10))
    assert [CLASSES[i] for i in VEHICLES] == ["airplane", "automobile", "ship", "truck"]


def test_test_pairs_are_resampled_by_film_and_alike_for_every_seed(root: Path) -> None:
    first, second = (ready(root, "synergy", seed) for seed in (0, 1))
    assert first.parts
    assert second.parts
    assert first.parts.test_sha256 == second.parts.test_sha256
    assert first.parts.sha256 != second.parts.sha256
    assert first.parts.test_sha256 != getattr(ready(root, "redundant").parts, "test_sha256", None)
    films = first.reviews.arrays["films"][first.pairs.first]
    assert np.array_equal(first.groups(first.parts.test), films[first.parts.test])
    assert np.array_equal(first.groups(first.parts.test), second.groups(second.parts.test))
    assert len(set(first.groups(first.parts.test).tolist())) < len(first.parts.test)


@pytest.mark.parametrize("relation", RELATIONS)
def test_pairs_keep_to_the_parts_of_their_datasets(root: Path, relation: str) -> None:
    data = ready(root, relation)
    assert data.parts
    assert data.reviews.parts
    assert data.pictures.parts
    for name in ("train", "validation", "test"):
        rows = getattr(data.parts, name)
        assert set(data.pairs.first[rows]) <= set(getattr(data.reviews.parts, name))
        assert set(data.pairs.second[rows]) <= set(getattr(data.pictures.parts, name))


@pytest.mark.parametrize("relation", ["unique_text", "unique_image", "synergy"])
def test_cells_are_exactly_balanced_in_every_part(root: Path, relation: str) -> None:
    data = ready(root, relation)
    assert data.parts
    for rows in (data.parts.train, data.parts.validation, data.parts.test):
        found = facts(data, rows)
        assert all(label == {"unique_text": s, "unique_image": v}.get(relation, s ^ v) for s, v, label in found)
        counts = Counter((s, v) for s, v, _ in found)
        assert len(counts) == 4
        assert len(set(counts.values())) == 1


def test_test_pairs_never_move_and_a_seed_moves_the_others(root: Path) -> None:
    one, other = ready(root, "synergy", 0), ready(root, "synergy", 1)
    assert one.parts
    assert other.parts
    np.testing.assert_array_equal(one.parts.test, other.parts.test)
    for side in ("first", "second", "targets"):
        np.testing.assert_array_equal(
            getattr(one.pairs, side)[one.parts.test], getattr(other.pairs, side)[other.parts.test]
        )
    assert one.pairs.second[one.parts.train].tolist() != other.pairs.second[other.parts.train].tolist()
    assert one.parts.sha256 != other.parts.sha256
    assert one.parts.sha256 == ready(root, "synergy", 0).parts.sha256  # type: ignore[union-attr]
    assert one.fingerprint == other.fingerprint


def test_a_batch_holds_the_review_and_the_whole_picture_of_each_pair(root: Path) -> None:
    data = ready(root, "redundant")
    rows = np.array([3, 0, 5])
    batch = data.batch(rows)
    task: TaskSpec = data.task
    assert batch.inputs["image"].shape[1:] == task.modality("image").shape
    pictures: CIFAR10 = data.pictures
    for place, row in enumerate(rows):
        stored = torch.from_numpy(np.array(pictures.arrays["pictures"][data.pairs.second[row]])).float()
        expected = (stored - pictures.mean[0]) / pictures.std[0]
        assert task.modality("image").colours == pictures.colours
        torch.testing.assert_close(batch.inputs["image"][place], expected)
        offsets = data.reviews.arrays["piece_offsets"]
        first, last = offsets[data.pairs.first[row]], offsets[data.pairs.first[row] + 1]
        pieces = data.reviews.arrays["pieces"][max(first, last - 12) : last]
        assert batch.inputs["text"][place][batch.masks["text"][place]].tolist() == pieces.tolist()
    assert batch.auxiliary["text"].tolist() == [s for s, _, _ in facts(data, rows)]
    assert batch.auxiliary["image"].tolist() == [v for _, v, _ in facts(data, rows)]


def test_training_pictures_are_augmented_and_the_epoch_decides_how(root: Path) -> None:
    data = ready(root, "synergy")
    assert data.parts
    rows = data.parts.train[:8]
    once, again, later = data.train_batch(rows, 0), data.train_batch(rows, 0), data.train_batch(rows, 1)
    torch.testing.assert_close(once.inputs["image"], again.inputs["image"])
    assert not torch.equal(once.inputs["image"], later.inputs["image"])
    torch.testing.assert_close(once.inputs["text"], later.inputs["text"])


def test_where_encoders_are_frozen_training_pairs_are_seen_as_validation_pairs(root: Path) -> None:
    data = ready(root, "synergy")
    differ = []
    for augments in (True, False):
        data.augments = augments
        batches = list(data.train_dataloader())
        plain = [data.batch(batch.ids.numpy()).inputs for batch in batches]
        differ.append([not torch.equal(b.inputs["image"], p["image"]) for b, p in zip(batches, plain, strict=True)])
        assert all(torch.equal(b.inputs["text"], p["text"]) for b, p in zip(batches, plain, strict=True))
    assert any(differ[0])
    assert not any(differ[1])


@needs_real_data
def test_the_real_pairs_are_as_many_as_the_scarcest_class_allows() -> None:
    data = IMDBWithCIFAR10(REAL, relation="synergy")
    data.prepare_data()
    data.setup()
    assert data.parts
    assert data.parts.counts["test"] == 8000  # 4,000 vehicles in the official test batch.
    assert Counter(facts(data, data.parts.test)) == {(s, v, s ^ v): 2000 for s in (0, 1) for v in (0, 1)}
