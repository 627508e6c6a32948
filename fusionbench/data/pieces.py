"""Texts as ids of subword pieces, by a sentencepiece model that is fitted on some of them.

Source: Kudo 2018, arXiv:1804.10959 (the unigram model of subwords).
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import sentencepiece
from numpy.typing import NDArray


def pieces_model(texts: Sequence[str], pieces: int) -> bytes:
    """A sentencepiece unigram model of these texts, of at most so many pieces: 0 is padding, 1 an unknown letter.

    Texts of more than 64 KiB are not looked at.
    """
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=made,
        model_type="unigram",
        vocab_size=pieces,
        hard_vocab_limit=False,
        pad_id=0,
        unk_id=1,
        bos_id=-1,
        eos_id=-1,
        num_threads=1,  # With more, the sums depend on their order.
        max_sentence_length=2**16,
        minloglevel=2,
    )
    return made.getvalue()


def piece_names(model: bytes) -> list[str]:
    """The piece of each id: one that begins a word begins with `\u2581`."""
    reader = sentencepiece.SentencePieceProcessor(model_proto=model)
    return [reader.id_to_piece(number) for number in range(reader.get_piece_size())]


def pieces_of(model: bytes, texts: Sequence[str]) -> list[NDArray[np.int64]]:
    """The ids of every text's pieces."""
    reader = sentencepiece.SentencePieceProcessor(model_proto=model)
    return [np.array(ids, dtype=np.int64) for ids in reader.encode(list(texts), out_type=int, num_threads=1)]
