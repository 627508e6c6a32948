from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import torch
from imdb_folder import EACH, lay_out, made, ready, small

from fusionbench.core.errors import UserError
from fusionbench.data.buckets import LengthBuckets
from fusionbench.data.imdb import IMDB, MODEL
from fusionbench.data.imdb_files import FOLDER, LABELS, PARTS, cleaned, read_reviews
from fusionbench.data.store import prepared_folder

REAL = os.environ.get("FUSIONBENCH_TEST_DATA")
needs_real_data = pytest.mark.skipif(not REAL, reason="the real reviews: set FUSIONBENCH_TEST_DATA to their folder")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    small(monkeypatch)
    found = made()
    lay_out(tmp_path, found)
    return found


def texts(files: dict[str, bytes]) -> list[str]:
    """In the order of the rows."""
    found = []
    for part in PARTS:
        for label in LABELS:
            some = {name: text for name, text in files.items() if name.startswith(f"{part}/{label}/")}
            number = {name: int(name.split("/")[2].split("_")[0]) for name in some}
            found += [some[name].decode() for name in sorted(some, key=number.__getitem__)]
    return found


def pieces(data: IMDB, files: dict[str, bytes]) -> list[list[int]]:
    """Sentencepiece's own, of every row."""
    folder = prepared_folder(data.root, "imdb", data.identity())
    reader = sentencepiece.SentencePieceProcessor(model_file=str(folder / MODEL))
    return [reader.encode(cleaned(text)) for text in texts(files)]


def test_a_sequence_is_the_last_pieces_of_its_review(tmp_path: Path, files: dict[str, bytes]) -> None:
    data = ready(tmp_path, length=20)
    rows = np.random.default_rng(0).permutation(4 * EACH)
    batch, expected = data.batch(rows), pieces(data, files)
    for place, row in enumerate(rows):
        real = batch.masks["sequence"][place]
        assert batch.inputs["sequence"][place][real].tolist() == expected[row][-20:]
        assert not batch.inputs["sequence"][place][~real].any()
    assert batch.inputs["sequence"].dtype == torch.int64
    assert batch.targets.tolist() == [row // EACH % 2 for row in rows]
    assert batch.ids.tolist() == rows.tolist()


def test_the_halves_of_a_short_review_are_its_pieces_and_of_a_long_one_its_ends(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    rows = np.arange(4 * EACH)
    for length in (500, 5):
        data = ready(tmp_path, view="halves", length=length)
        batch = data.batch(rows)
        for row, whole in enumerate(pieces(data, files)):
            middle = (len(whole) + 1) // 2
            first, second = (batch.inputs[name][row][batch.masks[name][row]].tolist() for name in ("first", "second"))
            assert first == whole[:middle][:length]
            assert second == whole[middle:][-length:]


def test_a_bag_is_of_ids_and_weights_that_tell_the_label_of_new_reviews(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    data = ready(tmp_path)
    assert data.parts is not None
    batch = data.batch(data.parts.test)
    x, mask = batch.inputs["ngrams"], batch.masks["ngrams"]
    assert x.shape == (*mask.shape, 2)
    assert (x[..., 0][mask] >= 1).all()
    assert x[..., 0].max() <= 60
    assert not x[~mask].any()
    # The sum of the log-ratios is naive Bayes itself.
    assert ((x[..., 1].sum(1) > 0) == (batch.targets == 1)).float().mean() > 0.9
    assert data.task.modality("ngrams").vocabulary == 61


def test_a_bag_has_at_most_so_many_entries(tmp_path: Path, files: dict[str, bytes]) -> None:
    whole, cut = ready(tmp_path), ready(tmp_path, entries=3)
    rows = np.arange(4 * EACH)
    assert cut.batch(rows).inputs["ngrams"].shape == (4 * EACH, 3, 2)
    assert (
        cut.batch(rows).inputs["ngrams"][..., 1].abs().amax() == whole.batch(rows).inputs["ngrams"][..., 1].abs().amax()
    )


def test_validation_shares_no_film_with_training_and_no_seed_moves_it(tmp_path: Path, files: dict[str, bytes]) -> None:
    one, other = ready(tmp_path, seed=0), ready(tmp_path, seed=1)
    assert one.parts is not None
    assert other.parts is not None
    assert one.parts.sha256 == other.parts.sha256
    films = one.arrays["films"]
    parts = (one.parts.train, one.parts.validation, one.parts.test)
    seen = [set(films[rows].tolist()) for rows in parts]
    assert sum(map(len, seen)) == len(set.union(*seen))
    assert all(seen)
    assert sorted(np.concatenate(parts)) == list(range(4 * EACH))
    assert one.parts.test.tolist() == list(range(2 * EACH, 4 * EACH))


def test_reviews_of_one_film_belong_together(tmp_path: Path, files: dict[str, bytes]) -> None:
    lay_out(tmp_path, files)
    data = ready(tmp_path)
    urls = [
        line for part in PARTS for label in LABELS for line in files[f"{part}/urls_{label}.txt"].decode().splitlines()
    ]
    rows = np.arange(len(urls))[::-1]
    groups = data.groups(rows)
    assert [[a == b for b in groups] for a in groups] == [[urls[i] == urls[j] for j in rows] for i in rows]


def test_nothing_of_training_depends_on_a_validation_or_test_review(tmp_path: Path, files: dict[str, bytes]) -> None:
    before = ready(tmp_path)
    assert before.parts is not None
    other = dict(files)
    order = texts(files)
    names = {text: name for name, text in files.items()}
    for row in (*before.parts.validation, *before.parts.test):
        other[names[order[row].encode()]] = b"quite other words, zebra xylophone quixotic"
    lay_out(tmp_path / "other", other)
    after = ready(tmp_path / "other")
    rows = before.parts.train
    for name in ("sequence", "ngrams"):
        assert torch.equal(before.batch(rows).inputs[name], after.batch(rows).inputs[name])


def test_the_rating_in_a_files_name_is_no_input(tmp_path: Path, files: dict[str, bytes]) -> None:
    plain = {(name.rpartition("_")[0] + "_5.txt" if name[-5].isdigit() else name): t for name, t in files.items()}
    lay_out(tmp_path / "plain", plain)
    assert ready(tmp_path / "plain").fingerprint == ready(tmp_path).fingerprint


def test_training_batches_are_of_like_length_and_views_share_the_arrays(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    data, halves = ready(tmp_path), ready(tmp_path, view="halves")
    assert isinstance(data.train_order(), LengthBuckets)
    assert data.fingerprint == halves.fingerprint
    assert len([path for path in (tmp_path / "prepared").iterdir() if path.is_dir()]) == 1
    assert sum(len(batch) for batch in data.train_dataloader()) == len(data.train_order()) * 8


def test_shapes_of_a_batch_keep_to_the_task(tmp_path: Path, files: dict[str, bytes]) -> None:
    for view in IMDB.views:
        data = ready(tmp_path, view=view, length=30)
        batch = data.batch(np.arange(50))
        assert list(batch.inputs) == list(data.task.names) == list(IMDB.views[view])
        for modality in data.task.modalities:
            assert modality.kind == IMDB.views[view][modality.name]
            assert batch.inputs[modality.name].shape[1] <= modality.shape[0]
            assert batch.inputs[modality.name].shape[2:] == modality.shape[1:]
            assert int(batch.inputs[modality.name].max()) < (modality.vocabulary or 256)  # Bytes have none.


def test_a_folder_that_gets_another_file_is_looked_at_anew(tmp_path: Path, files: dict[str, bytes]) -> None:
    ready(tmp_path)
    (tmp_path / FOLDER / "train" / "pos" / "7_11.txt").write_text("x")
    with pytest.raises(UserError, match=f"{EACH + 1} files, expected {EACH} reviews"):
        ready(tmp_path)


def test_wrong_options_are_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="imdb: option length: 0 is not at least 1"):
        IMDB(tmp_path, length=0)


@needs_real_data
def test_the_real_reviews_are_whole_and_their_test_films_are_others() -> None:
    found = read_reviews(Path(REAL or "") / FOLDER)
    assert len(found.texts) == len(found.films) == 50_000
    assert sum(found.targets) == sum(found.is_test) == 25_000
    films = [{film for film, test in zip(found.films, found.is_test, strict=True) if test is part} for part in (0, 1)]
    assert not films[0] & films[1]
