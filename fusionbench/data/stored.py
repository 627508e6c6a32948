"""What the files of a modality are called, in data sets that store whatever the user has.

    left.npy               (n, F) a vector, (n, C, H, W) a picture: numbers of any type
    words.npy              uint8 (total,): texts in UTF-8, one after the other
    words.offsets.npy      int64 (n + 1,): where each begins
    words.vocabulary.npy   int64 (1,): how many subwords are looked for
    sound.npy              (total, F): steps of sequences, one sequence after the other
    sound.offsets.npy      as of texts
    left.present.npy       bool (n,): which rows have the modality; not there where all have it
    table.numbers.npy ...  of a vector of numbers and categories: see tables.py

A dot is in no modality's name, so that none of these is taken for another. No torch here: calls write these files.
"""

from __future__ import annotations

MOST_PIECES = 8000
BYTES_A_PIECE = 64
"""So many bytes of text for each subword that is looked for, up to MOST_PIECES."""


def offsets(modality: str) -> str:
    """The array that says where each row of a modality begins."""
    return f"{modality}.offsets"


def vocabulary(modality: str) -> str:
    """The array that says how many subwords a text has at most."""
    return f"{modality}.vocabulary"


def presence(modality: str) -> str:
    """The array that says which rows have a modality."""
    return f"{modality}.present"


def pieces_for(letters: int, size: int) -> int:
    """How many subwords are looked for, at most, in texts of so many different letters and bytes.

    >>> pieces_for(40, 6400), pieces_for(40, 10**9)
    (140, 8000)
    """
    return max(letters + 100, min(MOST_PIECES, size // BYTES_A_PIECE))
