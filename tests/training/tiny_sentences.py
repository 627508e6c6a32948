"""A tiny text model with random weights, written as the library writes its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

REASON = "the extra `text` is not installed (pip install 'multimodal-fusionbench[text]')"
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film", "a", "the", "was", "not", "##ly", ".")
FEATURES, PLACES, OWN_LENGTH = 12, 16, 10
"""F; tokens that the network has places for; tokens that the model reads by itself."""


def written(folder: Path, pooling: str = "mean", normalise: bool = True, dense: int = 0, seed: int = 0) -> Path:
    """A BERT of two layers over WORDS, pooled, then perhaps mapped to `dense` numbers and brought to norm 1."""
    library = pytest.importorskip("sentence_transformers", reason=REASON)
    modules: Any = pytest.importorskip("sentence_transformers.sentence_transformer.modules", reason=REASON)
    transformers: Any = pytest.importorskip("transformers", reason=REASON)
    inner = folder.with_name(f"{folder.name}-network")
    inner.mkdir(parents=True)
    (inner / "vocab.txt").write_text("\n".join(WORDS))
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=FEATURES,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=20,
        max_position_embeddings=PLACES,
    )
    torch.manual_seed(seed)
    transformers.BertModel(config).save_pretrained(inner)
    transformers.BertTokenizerFast(vocab=str(inner / "vocab.txt"), model_max_length=PLACES).save_pretrained(inner)
    parts = [modules.Transformer(str(inner), max_seq_length=OWN_LENGTH)]
    parts.append(modules.Pooling(FEATURES, pooling_mode=pooling))
    parts += [modules.Dense(FEATURES, dense)] if dense else []
    parts += [modules.Normalize()] if normalise else []
    library.SentenceTransformer(modules=parts, device="cpu").save(str(folder), create_model_card=False)
    return folder


def as_bytes(*texts: str) -> tuple[Tensor, Tensor]:
    """uint8 (B, L) with zeros behind each text, and which bytes are real."""
    raw = [text.encode() for text in texts]
    longest = max(1, *map(len, raw))
    x = torch.tensor([list(one.ljust(longest, b"\0")) for one in raw], dtype=torch.uint8)
    return x, torch.arange(longest) < torch.tensor([[len(one)] for one in raw])
