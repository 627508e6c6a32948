"""What a dataset asks of a model: its modalities and its classes. No torch here: plans and reports read these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ModalityKind = Literal["image", "tokens", "bag", "sequence", "vector", "audio", "text"]
TaskKind = Literal["multiclass", "multilabel", "regression"]
Multiclass = Literal["accuracy", "balanced_accuracy", "macro_f1", "auroc", "nll"]
Multilabel = Literal["gap20", "hit1", "perr", "map_top20", "map_full", "nll"]
Regression = Literal["r2", "rmse", "mae", "pearson", "spearman"]
MetricName = Multiclass | Multilabel | Regression
RANKED_BY: Mapping[TaskKind, MetricName] = {"multiclass": "accuracy", "multilabel": "gap20", "regression": "r2"}
"""The score that ranks where neither a dataset nor a suite names another; scores.py has all that a kind has."""


@dataclass(frozen=True)
class Colours:
    """How the red, green and blue of pixels, from 0 to 1, became what a model meets: (pixel - mean) / std."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class ModalitySpec:
    """One modality as a model meets it."""

    name: str
    kind: ModalityKind
    """image (C, H, W); tokens (T,) ids; bag (T, 2) ids and weights; sequence (T, F); vector (F,); audio (T, F), the
    log-mel spectrogram of T moments in F bands; text (T,) bytes of UTF-8.

    Ids are int64 in tokens and float32 in a bag, whose order says nothing; bytes are uint8; 0 is padding in all three.
    """
    shape: tuple[int, ...]
    """The shape of one sample; for tokens, bag, sequence and text, T is the longest that occurs."""
    vocabulary: int | None = None
    """How many ids there are, the padding's 0 among them; tokens and bag only."""
    colours: Colours | None = None
    """Of an image whose channels are red, green and blue: a network of others can then have its own normalisation."""
    categories: tuple[int, ...] = ()
    """Of a vector that ends in categories, how many numbers each of these is: zeros and a one. The encoder `table`
    embeds them; to all others they are numbers."""


@dataclass(frozen=True)
class TaskSpec:
    """Modalities in, classes or numbers out, and the metric that ranks."""

    modalities: tuple[ModalitySpec, ...]
    classes: int
    """Of a regression: how many numbers a sample has."""
    kind: TaskKind = "multiclass"
    metric: MetricName = ""  # type: ignore[assignment]  # never empty once it is made
    """Left out: the kind's own, as RANKED_BY says."""

    def __post_init__(self) -> None:
        if not self.metric:
            object.__setattr__(self, "metric", RANKED_BY.get(self.kind, "accuracy"))

    @property
    def names(self) -> tuple[str, ...]:
        """The modalities' names, in their fixed order."""
        return tuple(modality.name for modality in self.modalities)

    def modality(self, name: str) -> ModalitySpec:
        """The modality of that name; KeyError if the task has none."""
        return {modality.name: modality for modality in self.modalities}[name]
