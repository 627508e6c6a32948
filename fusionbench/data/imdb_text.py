"""Film reviews as raw text: the bytes of each in UTF-8, one after the other, stored once whatever a view's options are.

    <root>/prepared/imdb_text-<12 hex>/text.npy          uint8 (total,): every review, cleaned, by row
                                       text_offsets.npy  int64 (n + 1,): where each begins

A folder of its own, so that the other views keep their arrays, their fingerprint and so their records.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fusionbench.data.imdb_files import cleaned, read_reviews
from fusionbench.data.npy import GrowingArray
from fusionbench.data.ragged import padded
from fusionbench.data.splits import Rows
from fusionbench.data.store import Array, is_prepared, open_arrays, prepared, read_manifest

NAME = "imdb_text"


def is_stored(root: Path, origin: Any) -> bool:
    """Whether the bytes lie there, made from these files."""
    return is_prepared(root, NAME, {}, origin)


def stored(root: Path, origin: Any, reviews: Path) -> Path:
    """The folder of the bytes; made from the official files where it is not there.

    Args:
        root: the data folder.
        origin: what the official files are, as `IMDB.origin` says.
        reviews: the folder of the official files.

    Raises:
        UserError: files are missing or damaged, or the folder cannot be written.
    """

    def convert(folder: Path) -> None:
        offsets = [0]
        with GrowingArray(folder / "text.npy", np.uint8) as text:
            for review in read_reviews(reviews).texts:
                text.append(np.frombuffer(cleaned(review).encode(), dtype=np.uint8))
                offsets.append(text.rows)
        np.save(folder / "text_offsets.npy", np.array(offsets))

    return prepared(root, NAME, {}, origin, convert)


def opened(folder: Path) -> tuple[dict[str, Array], str]:
    """The bytes, memory-mapped, with offsets in memory; and their fingerprint."""
    arrays = open_arrays(folder)
    arrays["text_offsets"] = np.asarray(arrays["text_offsets"])
    return arrays, read_manifest(folder)["fingerprint"]


def longest(arrays: dict[str, Array]) -> int:
    """Bytes of the longest review."""
    return int(np.diff(arrays["text_offsets"]).max())


def bytes_of(arrays: dict[str, Array], rows: Rows) -> tuple[Tensor, Tensor]:
    """The reviews of those rows: uint8 (B, T), zeros behind a review's end, and which are real, bool (B, T)."""
    first = arrays["text_offsets"][rows]
    values, mask = padded(arrays["text"], first, arrays["text_offsets"][rows + 1] - first)
    return torch.from_numpy(values), torch.from_numpy(mask)
