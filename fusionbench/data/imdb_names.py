"""What the ids of reviews stand for: subwords as their model has them, n-grams as they are counted once more.

<root>/prepared/imdb_ngrams-<12 hex>/names.npy    the n-gram of each id from 1 on
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fusionbench.data.imdb_features import ngram_counter
from fusionbench.data.imdb_files import cleaned, is_here, read_reviews
from fusionbench.data.pieces import piece_names
from fusionbench.data.store import Array, open_arrays, prepared

NAME = "imdb_ngrams"


def subword_names(model: Path) -> list[str]:
    """The subword of each id; empty if their model is not there."""
    return piece_names(model.read_bytes()) if model.is_file() else []


def ngram_names(root: Path, origin: Any, reviews: Path, part: Array, count: int) -> list[str]:
    """The n-gram of each id, nothing for the padding's 0; empty where the official files are not there to count.

    Args:
        root: the data folder.
        origin: what the official files are, as `IMDB.origin` says.
        reviews: the folder of the official files.
        part: (n,): 0 for the rows that they are counted in.
        count: how many are kept.
    """
    if not is_here(reviews):
        return []

    def convert(folder: Path) -> None:
        texts = [cleaned(text) for text in read_reviews(reviews).texts]
        counter = ngram_counter(texts, np.asarray(part) == 0, count)
        np.save(folder / "names.npy", np.array(counter.get_feature_names_out(), dtype=np.str_))

    found = open_arrays(prepared(root, NAME, {"features": count}, origin, convert))
    return ["", *found["names"].tolist()]
