"""IMDB: 50,000 film reviews, positive or negative, each seen as two modalities.

Multi-view data: one text read twice, not two sources. `sequence_ngrams` is the text as a sequence of subword pieces and
as a bag of words and pairs of words, weighted by naive Bayes. `halves` is the first and the second half of its pieces.
`text_ngrams` is the text itself, whole, for pretrained models that cut it their own way, with that bag.
The test rows are the official 25,000. Validation is about a tenth of the films of the other 25,000, the same for every
seed: a random tenth of the reviews would share films with training, whose names alone tell much.

Pieces, n-grams and weights are fitted on the training rows alone; a training row's weights on other folds of films.
Of a longer review the last `length` pieces are read (of a first half the first ones): its end holds the verdict.
Training batches are of reviews of like length.

Source: Maas et al. 2011, "Learning Word Vectors for Sentiment Analysis", ACL.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.canonical import sha256_of
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.buckets import LengthBuckets
from fusionbench.data.imdb_features import (
    FOLDS,
    PIECES,
    ngrams,
    number_of,
    out_of_fold,
    strongest,
)
from fusionbench.data.imdb_files import (
    FOLDER,
    LABELS,
    LARGEST_BYTES,
    PARTS,
    bring,
    cleaned,
    is_here,
    read_reviews,
    told_missing,
)
from fusionbench.data.imdb_names import ngram_names, subword_names
from fusionbench.data.imdb_text import bytes_of, is_stored, longest, opened, stored
from fusionbench.data.orders import EpochOrder
from fusionbench.data.pieces import pieces_model, pieces_of
from fusionbench.data.progress import progress
from fusionbench.data.ragged import padded
from fusionbench.data.splits import Rows, Split
from fusionbench.data.store import Array, is_prepared, prepared_folder

HELD_OUT = 10
"""One in so many films of the training part is for validation."""
MODEL = "pieces.model"


class IMDB(MultimodalData):
    """Pieces or the text and weighted n-grams, or two halves, of film reviews; 2 classes."""

    views = {
        "sequence_ngrams": {"sequence": "tokens", "ngrams": "bag"},
        "halves": {"first": "tokens", "second": "tokens"},
        "text_ngrams": {"text": "text", "ngrams": "bag"},
    }
    default_encoders = {"tokens": {"name": "lstm"}, "bag": {"name": "bag"}, "text": {"name": "sentence_transformer"}}
    class_names = LABELS
    display = "IMDB"
    paper, licence, home = "maas2011learning", "none stated", "https://ai.stanford.edu/~amaas/data/sentiment"

    def __init__(
        self,
        root: Path | str | None = None,
        seed: int = 0,
        batch_size: int = 128,
        *,
        view: Literal["sequence_ngrams", "halves", "text_ngrams"] = "sequence_ngrams",
        length: int = 256,
        features: int = 50_000,
        entries: int = 512,
    ) -> None:
        super().__init__(root, seed, batch_size)
        for name, value in (("length", length), ("features", features), ("entries", entries)):
            if value < 1:
                raise UserError(f"{self.name}: option {name}: {value} is not at least 1")
        self.view, self.length, self.features, self.entries = view, length, features, entries
        self.text: dict[str, Array] = {}
        """The bytes of all reviews; open after `setup`, where the view has the text."""

    @property
    def task(self) -> TaskSpec:
        """Tokens are (length,) ids, n-grams (entries, 2) pairs of id and weight; the text is whole."""
        most = longest(self.text) if self.text else LARGEST_BYTES
        specs = {
            "tokens": lambda name: ModalitySpec(name, "tokens", (self.length,), PIECES),
            "bag": lambda name: ModalitySpec(name, "bag", (self.entries, 2), self.features + 1),
            "text": lambda name: ModalitySpec(name, "text", (most,)),
        }
        return TaskSpec(tuple(specs[kind](name) for name, kind in self.views[self.view].items()), classes=len(LABELS))

    @property
    def folder(self) -> Path:
        """Where the official files lie."""
        return self.root / FOLDER

    def identity(self) -> dict[str, int]:
        """What the bag is made of; all views share the arrays."""
        return {"features": self.features, "entries": self.entries}

    def origin(self) -> list[list[Any]] | None:
        """Times of the folders and lists, which change when a file comes or goes; None when they are not there.

        Not of every review: looking at 50,000 files would take a run longer than reading its data.
        """
        if not is_here(self.folder):
            return None
        names = [f"{part}/{name}" for part in PARTS for label in LABELS for name in (label, f"urls_{label}.txt")]
        return [[name, (self.folder / name).stat().st_mtime_ns] for name in names if (self.folder / name).exists()]

    # --- preparing -----------------------------------------------------------------------------------------------

    def prepare_data(self) -> None:
        """Download and unpack what is missing, then convert; neither if it is converted already."""
        has_text = "text" in self.views[self.view]
        here = is_prepared(self.root, self.name, self.identity(), self.origin())
        if not here or (has_text and not is_stored(self.root, self.origin())):
            bring(self.folder)
        super().prepare_data()
        if has_text:
            stored(self.root, self.origin(), self.folder)

    def setup(self, stage: str | None = None) -> None:
        """As usual; the text is an array of its own, and part of the fingerprint of the view that has it."""
        if self.parts is not None or "text" not in self.views[self.view]:
            super().setup(stage)
            return
        self.text, fingerprint = opened(stored(self.root, self.origin(), self.folder))
        super().setup(stage)
        self.fingerprint = sha256_of([self.fingerprint, fingerprint])

    def convert(self, folder: Path) -> None:
        """Pieces and the bag of every review, each one after the other with offsets; targets, films, and whose part."""
        if not is_here(self.folder):
            raise UserError(told_missing(self.folder))
        with progress("imdb: converting", 4) as show:
            reviews = read_reviews(self.folder)
            texts = [cleaned(text) for text in reviews.texts]
            targets = np.array(reviews.targets, dtype=np.int64)
            names, film = np.unique(reviews.films, return_inverse=True)
            drawn = np.array([number_of(str(name)) for name in names])[film]  # (n,)
            part = np.where(reviews.is_test, 2, (drawn % HELD_OUT == 0).astype(int))
            show(1, "read")
            model = pieces_model([text for text, of in zip(texts, part, strict=True) if of == 0], PIECES)
            (folder / MODEL).write_bytes(model)
            show(2, "subwords found")
            pieces = pieces_of(model, texts)
            np.save(folder / "pieces.npy", np.concatenate(pieces).astype(np.int16))
            np.save(folder / "piece_offsets.npy", np.cumsum([0, *map(len, pieces)]))
            show(3, "subwords")
            # Not the digits that drew the validation films, which are the same for all of training.
            self._convert_bag(folder, ngrams(texts, part == 0, self.features), targets, part == 0, drawn // HELD_OUT)
            for name, values in (("targets", targets), ("films", film.astype(np.int64)), ("part", part)):
                np.save(folder / f"{name}.npy", values)
            show(4, "n-grams")

    def _convert_bag(
        self, folder: Path, held: Any, targets: NDArray[np.int64], train: NDArray[np.bool_], drawn: NDArray[np.int64]
    ) -> None:
        weights = out_of_fold(held, targets, train, drawn % FOLDS)
        keep = strongest(weights, held.indptr, self.entries)
        kept = np.concatenate([[0], np.cumsum(keep)])
        np.save(folder / "bag_ids.npy", held.indices[keep].astype(np.int32) + 1)  # 0 is padding.
        np.save(folder / "bag_weights.npy", weights[keep])
        np.save(folder / "bag_offsets.npy", kept[held.indptr].astype(np.int64))

    # --- reading -------------------------------------------------------------------------------------------------

    def split(self) -> Split:
        """Test: the official part; validation: a tenth of the other films, the same for every seed."""
        return Split(*(np.flatnonzero(np.asarray(self.arrays["part"]) == part) for part in range(3)))

    def load_memory(self) -> None:
        """Offsets and targets; the rest is read from the memory maps, which all runs share."""
        self.arrays = {name: np.asarray(array) for name, array in self.arrays.items()}
        self.tensors["targets"] = torch.from_numpy(np.array(self.arrays["targets"]))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,): how many pieces each review has, cut where no modality reads more; of a text, how many bytes."""
        if self.text:
            return np.diff(self.text["text_offsets"])
        return np.minimum(np.diff(self.arrays["piece_offsets"]), self.length * len(self.views[self.view]))

    def train_order(self) -> EpochOrder:
        """Batches of reviews of like length."""
        assert self.parts is not None
        return LengthBuckets(self.parts.train, self.batch_size, self.seed, self.lengths)

    def groups(self, rows: Rows) -> NDArray[np.int64]:
        """The film that each review is about."""
        return self.arrays["films"][rows]

    def batch(self, rows: Rows) -> MultimodalBatch:
        """The reviews of those rows, padded to the longest of them."""
        return self._assembled({name: self.modality(name, rows) for name in self.task.names}, rows)

    def labels(self, rows: Rows) -> MultimodalBatch:
        """Without reading a review."""
        return self._assembled({}, rows)

    def _assembled(self, found: dict[str, tuple[Tensor, Tensor]], rows: Rows) -> MultimodalBatch:
        index, here = torch.from_numpy(rows), torch.ones(len(rows), dtype=torch.bool)
        return MultimodalBatch(
            inputs={name: x for name, (x, _) in found.items()},
            masks={name: mask for name, (_, mask) in found.items()},
            present=dict.fromkeys(self.task.names, here),
            targets=self.tensors["targets"][index],
            ids=index,
        )

    def input_names(self, modality: str) -> list[str]:
        """Subwords, or n-grams: what each id stands for."""
        if modality == "ngrams":
            return ngram_names(self.root, self.origin(), self.folder, self.arrays["part"], self.features)
        return subword_names(prepared_folder(self.root, self.name, self.identity()) / MODEL)

    def modality(self, name: str, rows: Rows) -> tuple[Tensor, Tensor]:
        """Ids int64 (B, T), n-grams' ids and weights float32 (B, T, 2), or bytes uint8 (B, T); and the mask."""
        if name == "text":
            return bytes_of(self.text, rows)
        offsets = self.arrays["bag_offsets" if name == "ngrams" else "piece_offsets"]
        first, last = offsets[rows], offsets[rows + 1]
        if name == "ngrams":
            ids, mask = padded(self.arrays["bag_ids"], first, last - first)
            weights, _ = padded(self.arrays["bag_weights"], first, last - first)
            return torch.from_numpy(np.stack([ids.astype(np.float32), weights], axis=2)), torch.from_numpy(mask)
        middle = (first + last + 1) // 2  # The odd piece is the first half's.
        if name == "first":
            last = np.minimum(middle, first + self.length)
        else:
            first = np.maximum(middle if name == "second" else first, last - self.length)
        ids, mask = padded(self.arrays["pieces"], first, last - first)
        return torch.from_numpy(ids.astype(np.int64)), torch.from_numpy(mask)
