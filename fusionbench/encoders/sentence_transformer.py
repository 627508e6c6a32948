"""A text model of the library sentence-transformers: raw text in, the model's own vector and its tokens out.

    t = network(tokenizer(text))       (B, T, F), each token in its context
    v = pool(t)                        (B, F), as the model itself pools: for MiniLM the mean of real tokens, of norm 1
    tokens = W rms(t) + b              (B, T, D); steps = S > 0: of the means of S runs of neighbours, (B, S, D)
    pooled = W rms(v) + b              (B, D);  rms(x) = x * sqrt(F) / |x|, since models differ in size by far

Of a text of more tokens than `max_length` (0: as the model's authors chose), the first ones are read, or the last
(`keep`). No prompt is put before it. `frozen` trains the linear map W alone; otherwise the network learns too, which
on a CPU takes long.

The model is that of the hub by its name, in the cache where HF_HOME says, fetched if it is not there; or that of a
folder (`weights: FOLDER`) as the library saves it, whose content is in the run's key. Weights are .safetensors. The
extra `text` installs the library.

Source: Reimers & Gurevych 2019, "Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks", EMNLP-IJCNLP; each
model's own page on the hub says how it was trained.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusionbench.core.batch import Encoded
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalitySpec
from fusionbench.encoders._sentence_models import OWNER, loaded, model_folder, settings_of
from fusionbench.encoders._steps import at_least_none, averaged, real_steps
from fusionbench.encoders.base import Encoder, Hidden, Trunk

AT_ONCE = 16
"""Texts of like length that a CPU reads together: little padding, and what is read stays near the processor."""
LONGEST = 512
"""Tokens, of a model that states no limit."""


class SentenceTransformer(Encoder):
    """Any text model of sentence-transformers with a linear map behind it."""

    kinds, paper, files = ("text",), "reimers2019sentence", ("weights",)

    def __init__(
        self,
        spec: ModalitySpec,
        dropout: float = 0.0,
        *,
        width: int = 128,
        model: str = "sentence-transformers/all-MiniLM-L6-v2",
        revision: str = "",
        weights: str = "",
        frozen: bool = True,
        max_length: int = 0,
        keep: Literal["first", "last"] = "first",
        steps: int = 0,
    ) -> None:
        super().__init__(spec, width)
        self.most = at_least_none("sentence_transformer", steps)
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # How many threads there are is the runner's to say.
        self.network: Any = loaded(model_folder(model, revision, weights))
        self.longest, self.keep, self.stays = _longest(self.network, max_length), keep, frozen
        self.steps = min(self.most or self.longest, self.longest)
        self.network.requires_grad_(not frozen)
        features = self.network[0].auto_model.config.hidden_size
        self.dropout = nn.Dropout(dropout)
        self.project = nn.Linear(features, width)
        self.stage_widths = (features,)
        self.train()

    @classmethod
    def comes_trained(cls, options: Mapping[str, Any]) -> bool:
        """Always."""
        return True

    def frozen_trunk(self) -> Trunk | None:
        """The network, where it is frozen."""
        if not self.stays:
            return None
        read = {"max_length": self.longest, "keep": self.keep, "steps": self.most}
        facts = {"encoder": "sentence_transformer", **read, **settings_of(self.network)}
        return Trunk(self.network, facts, reads_data_alone=True)

    def train(self, mode: bool = True) -> Self:
        """As usual, but a frozen network stays in eval mode."""
        super().train(mode)
        if self.stays:
            self.network.eval()
        return self

    def begin(self, x: Tensor, mask: Tensor | None, present: Tensor) -> Hidden:
        """Bytes (B, L) -> ids (B, T) and which are real; an absent text is an empty one."""
        tokenizer = self.network.tokenizer
        tokenizer.truncation_side = "right" if self.keep == "first" else "left"  # Which side is cut off.
        found = tokenizer(
            _decoded(x, real_steps(x, mask) & present[:, None]),
            padding=True,
            truncation=True,
            max_length=self.longest,
            return_tensors="pt",
        )
        return Hidden(found["input_ids"].to(x.device), found["attention_mask"].bool().to(x.device), present)

    def stage(self, number: int, hidden: Hidden) -> Hidden:
        """The whole network: (B, 1 + T or S, F), the model's vector and then its tokens."""
        ids, mask = hidden.map, hidden.mask
        assert mask is not None
        order = mask.sum(1).argsort()
        parts = torch.split(order, AT_ONCE if ids.device.type == "cpu" else len(ids))
        with torch.no_grad() if self.stays else nullcontext():
            found = [self._read(ids[rows], mask[rows]) for rows in parts]
        most = max(real.shape[1] for _, real in found)
        steps = torch.cat([F.pad(one, (0, 0, 0, most - one.shape[1])) for one, _ in found])
        real = torch.cat([F.pad(one, (0, most - one.shape[1])) for _, one in found])
        back = order.argsort()
        return Hidden(steps[back], real[back], hidden.present)

    def finish(self, hidden: Hidden) -> Encoded:
        """(B, 1 + T, F) -> pooled (B, D), tokens (B, T, D)."""
        assert hidden.mask is not None
        steps, mask = self.project(self.dropout(F.rms_norm(hidden.map, hidden.map.shape[-1:]))), hidden.mask[:, 1:]
        return Encoded(steps[:, 0], steps[:, 1:] * mask[..., None], mask, hidden.present)

    def _read(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Some texts, without what is padding to all of them: steps (b, 1 + T, F) and which are real, (b, 1 + T)."""
        kept = mask.any(0)
        ids, mask = ids[:, kept], mask[:, kept]
        found = self.network({"input_ids": ids, "attention_mask": mask.long()})
        tokens, mask = averaged(found["token_embeddings"], mask, self.most)
        return torch.cat([found["sentence_embedding"][:, None], tokens], 1), F.pad(mask, (1, 0), value=True)


def _decoded(x: Tensor, real: Tensor) -> list[str]:
    """The texts of bytes (B, L), those that are real, bool (B, L); what is no UTF-8 is a sign that says so."""
    bytes_, mask = x.cpu().numpy(), real.cpu().numpy()
    return [row[there].tobytes().decode("utf-8", errors="replace") for row, there in zip(bytes_, mask, strict=True)]


def _longest(network: Any, wanted: int) -> int:
    """How many tokens of a text are read: so many as wanted, or as the model says.

    Raises:
        UserError: fewer than 3, of which two only begin and end a text; or more than the network has places for.
    """
    own = int(network.max_seq_length or LONGEST)
    if wanted == 0 or wanted == own:
        return own
    if wanted < 3 or (wanted > own and not _has_places(network, wanted)):
        raise UserError(
            f"{OWNER}: max_length is {wanted}; it must be at least 3, at most what the network has places for, or 0 "
            f"for the model's own {own}"
        )
    return wanted


def _has_places(network: Any, count: int) -> bool:
    """Whether it reads so many tokens: tried, since networks do not count their places alike."""
    ids = torch.full((1, count), network.tokenizer.cls_token_id or 0)
    try:
        with torch.no_grad():
            network({"input_ids": ids, "attention_mask": torch.ones_like(ids)})
    except (IndexError, RuntimeError):  # A place that its table does not have.
        return False
    return True
