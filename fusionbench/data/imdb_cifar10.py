"""IMDB with CIFAR-10: film reviews paired with photographs, so that the label depends on both in a known way.

Two modalities from two sources that have nothing to do with each other: `text`, the subword pieces of a review, and
`image`, a 32x32 photograph in RGB. s is whether the review is positive, v whether the picture shows an animal (else a
vehicle). What the label is, the option `relation` says (see `data.pairs`):

    redundant       y = s = v                       either one tells it
    unique_text     y = s                           the picture is useless
    unique_image    y = v                           the review is useless
    synergy         y = s XOR v                     each alone is useless
    mixture         a quarter of the pairs each; the picture's class names the relation: airplane and bird redundant,
                    automobile and cat unique_text, ship and deer unique_image, truck and dog synergy

Reviews and pictures keep to the parts that `imdb` and `cifar10` put them in, and each is used once at most. Test pairs
are the same for every seed; the seed draws those of training and validation, and which pictures are for validation.
Training pictures are cropped and mirrored as in `cifar10`, unless every encoder is frozen: then training pairs are seen
as validation pairs. Training batches are of reviews of like length as in `imdb`.
Each modality has labels of its own, s and v, on which its encoder may be trained beforehand: from raw inputs, neither
modality of a synergy has a gradient to start from.

Source: Maas et al. 2011, "Learning Word Vectors for Sentiment Analysis", ACL; the pictures are those of Krizhevsky
2009, "Learning Multiple Layers of Features from Tiny Images"; the pairing is ours.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.canonical import sha256_of
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.buckets import LengthBuckets
from fusionbench.data.cifar10 import CIFAR10
from fusionbench.data.imdb import IMDB
from fusionbench.data.orders import EpochOrder
from fusionbench.data.pairs import Pairs, cells_of, paired
from fusionbench.data.splits import Rows, Split

TEST_SEED = 20_250_103
"""Draws the test pairs, once and for all."""
VEHICLES, ANIMALS = (0, 1, 8, 9), (2, 3, 4, 5, 6, 7)
"""Classes of CIFAR-10: airplane, automobile, ship, truck; bird, cat, deer, dog, frog, horse."""
RELATIONS = {
    "redundant": ("redundant",),
    "unique_text": ("unique_first",),
    "unique_image": ("unique_second",),
    "synergy": ("synergy",),
    "mixture": ("redundant", "unique_first", "unique_second", "synergy"),
}
"""In the words of `data.pairs`, which of the two a relation is about."""


class IMDBWithCIFAR10(MultimodalData):
    """A review and a picture; 2 classes."""

    views = {"pair": {"text": "tokens", "image": "image"}}
    default_encoders = {"tokens": {"name": "lstm"}, "image": {"name": "small_cnn"}}
    auxiliary_classes = {"text": 2, "image": 2}
    xor_of = {"synergy": ("text", "image")}
    """Relations whose label is the XOR of two modalities' own labels: a table then states what its encoders allow."""
    display = "IMDB + CIFAR-10"
    paper, licence, home = "maas2011learning, krizhevsky2009learning", "none stated", "imdb and cifar10"

    def __init__(
        self,
        root: Path | str | None = None,
        seed: int = 0,
        batch_size: int = 128,
        *,
        view: Literal["pair"] = "pair",
        relation: Literal["redundant", "unique_text", "unique_image", "synergy", "mixture"],
        length: int = 256,
    ) -> None:
        super().__init__(root, seed, batch_size)
        self.view, self.relation, self.length = view, relation, length
        self.reviews = IMDB(self.root, seed, batch_size, length=length)
        # Halves, put together again: both views of cifar10 store whole pictures.
        self.pictures = CIFAR10(self.root, seed, batch_size, view="halves")
        self.pairs = Pairs(*(np.zeros(0, dtype=np.int64) for _ in range(3)))
        """All pairs, those of training first, then validation, then test; known after `setup`."""

    @property
    def task(self) -> TaskSpec:
        """(length,) ids and (3, 32, 32)."""
        tokens = self.reviews.task.modalities[0]
        text = ModalitySpec("text", "tokens", tokens.shape, tokens.vocabulary)
        image = ModalitySpec("image", "image", (3, 32, 32), colours=self.pictures.colours)
        return TaskSpec((text, image), classes=2)

    def prepare_data(self) -> None:
        """Both datasets there and converted; nothing of its own."""
        self.reviews.prepare_data()
        self.pictures.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Both set up, and the pairs drawn; once, however many stages."""
        if self.parts is None:
            self.reviews.setup()
            self.pictures.setup()
            self.fingerprint = sha256_of([self.reviews.fingerprint, self.pictures.fingerprint])
            self.take_parts()

    def split(self) -> Split:
        """Rows of the pairs; the pairs themselves are drawn here."""
        assert self.reviews.parts is not None
        assert self.pictures.parts is not None
        drawn = [
            self._paired(self.reviews.parts.train, self.pictures.parts.train, np.random.default_rng([self.seed, 0])),
            self._paired(
                self.reviews.parts.validation, self.pictures.parts.validation, np.random.default_rng([self.seed, 1])
            ),
            self._paired(self.reviews.parts.test, self.pictures.parts.test, np.random.default_rng(TEST_SEED)),
        ]
        self.pairs = Pairs(*(np.concatenate([getattr(part, name) for part in drawn]) for name in vars(self.pairs)))
        ends = np.cumsum([len(part.targets) for part in drawn])
        train, validation, test = np.split(np.arange(ends[-1]), ends[:-1])
        return Split(train, validation, test, drawn=np.stack([self.pairs.first, self.pairs.second]))

    def _paired(self, reviews: Rows, pictures: Rows, rng: np.random.Generator) -> Pairs:
        sentiment = self.reviews.arrays["targets"][reviews]
        classes = self.pictures.arrays["targets"][pictures]
        relations = RELATIONS[self.relation]
        kinds = np.isin(classes, ANIMALS).astype(int)
        if len(relations) > 1:
            named = {c: 2 * r + v for v, group in enumerate((VEHICLES, ANIMALS)) for r, c in enumerate(group[:4])}
            kinds = np.array([named.get(c, -1) for c in classes.tolist()])
        return paired(
            {s: reviews[sentiment == s] for s in (0, 1)},
            {kind: pictures[kinds == kind] for kind in range(2 * len(relations))},
            cells_of(relations),
            rng,
        )

    def load_memory(self) -> None:
        """Targets and each modality's own labels; inputs are read by the two datasets."""
        text = self.reviews.arrays["targets"][self.pairs.first]
        image = np.isin(self.pictures.arrays["targets"][self.pairs.second], ANIMALS).astype(np.int64)
        for name, values in (("targets", self.pairs.targets), ("text", text), ("image", image)):
            self.tensors[name] = torch.from_numpy(np.array(values))

    def train_order(self) -> EpochOrder:
        """Batches of reviews of like length."""
        assert self.parts is not None
        lengths = self.reviews.lengths[self.pairs.first]
        return LengthBuckets(self.parts.train, self.batch_size, self.seed, lengths)

    def groups(self, rows: Rows) -> NDArray[np.int64]:
        """The film that each pair's review is about."""
        return self.reviews.groups(self.pairs.first[rows])

    def input_names(self, modality: str) -> list[str]:
        """Subwords of the text."""
        return self.reviews.input_names("sequence") if modality == "text" else []

    def batch(self, rows: Rows) -> MultimodalBatch:
        """The pairs of those rows, reviews padded to the longest of them."""
        return self._assembled(rows, self.pictures.batch(self.pairs.second[rows]).inputs)

    def labels(self, rows: Rows) -> MultimodalBatch:
        """Without reading a review or a picture."""
        index, here = torch.from_numpy(rows), torch.ones(len(rows), dtype=torch.bool)
        return MultimodalBatch(
            inputs={},
            masks={},
            present=dict.fromkeys(self.task.names, here),
            targets=self.tensors["targets"][index],
            ids=index,
            auxiliary={name: self.tensors[name][index] for name in self.task.names},
        )

    def train_batch(self, rows: Rows, epoch: int) -> MultimodalBatch:
        """The same, pictures cropped and mirrored as (seed, epoch, their row in cifar10) say."""
        return self._assembled(rows, self.pictures.train_batch(self.pairs.second[rows], epoch).inputs)

    def _assembled(self, rows: Rows, halves: dict[str, Tensor]) -> MultimodalBatch:
        ids, mask = self.reviews.modality("sequence", self.pairs.first[rows])
        pictures = torch.cat([halves["left"], halves["right"]], 3)  # (B, 3, 32, 32)
        return replace(self.labels(rows), inputs={"text": ids, "image": pictures}, masks={"text": mask})
