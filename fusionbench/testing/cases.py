"""The tasks that a strategy is tried on: every kind of modality, several numbers of them, mixtures, kinds of task."""

from __future__ import annotations

from itertools import product
from typing import cast

from fusionbench.core.catalogue import load
from fusionbench.core.task import ModalityKind, TaskKind, TaskSpec
from fusionbench.testing.samples import setting_of

KINDS = cast(tuple[ModalityKind, ...], ("image", "vector", "sequence", "tokens", "bag"))
TASK_KINDS = cast(tuple[TaskKind, ...], ("multiclass", "multilabel", "regression"))
MIXTURES: tuple[tuple[ModalityKind, ...], ...] = (
    ("image", "vector"),
    ("sequence", "image", "vector"),
    ("tokens", "bag", "image"),
    ("audio", "image"),
)
ALIKE: list[tuple[ModalityKind, ...]] = [(kind,) * count for kind, count in product(KINDS, (2, 3, 5))]
"""Modalities of one kind."""
SETS: list[tuple[ModalityKind, ...]] = [*ALIKE, ("audio", "audio"), *MIXTURES]
TASKS = [(kinds, kind) for kinds in SETS for kind in TASK_KINDS if kind != "regression" or kinds in MIXTURES]
"""What is predicted meets the last layer alone, which knows no kind of modality: numbers with the mixtures."""
LEARNED = [
    (kind, one)
    for kind in TASK_KINDS
    for one in cast(tuple[ModalityKind, ...], ("sequence", "tokens"))
    if (kind, one) != ("regression", "tokens")
]
"""What a strategy has to learn on, of three modalities alike."""
PADDED: list[tuple[ModalityKind, ...]] = [("sequence",) * 2, ("tokens",) * 2, ("image",) * 3, *MIXTURES]
"""Where no sample may see another."""
MATCHED: list[tuple[ModalityKind, ...]] = [("vector",) * 2, ("sequence",) * 3]
"""Where a number of parameters is reached."""
STORED: dict[str, tuple[tuple[ModalityKind, ...], TaskKind, dict[str, dict[str, int]]]] = {
    "vectors": (("sequence", "image", "vector"), "multiclass", {}),
    "vectors, multilabel": (("sequence", "image", "vector"), "multilabel", {}),
    "ids": (("tokens", "bag", "image"), "multiclass", {}),
    "ids, multilabel": (("tokens", "bag", "image"), "multilabel", {}),
    "fewer steps": (
        ("tokens", "bag", "sequence"),
        "multiclass",
        {"tokens": {"steps": 2}, "bag": {"steps": 1}, "sequence": {"steps": 3}},
    ),
}
"""Where stored encodings are compared with live ones: kinds, what is predicted, and options of encoders."""


def refusal(strategy: str, task: TaskSpec) -> str:
    """Why a strategy does not take a task, in words; empty if it does."""
    reason: str = load("strategy", strategy).refusal(setting_of(task, strategy=strategy))
    assert reason == "" or len(reason.split()) > 3, f"'{reason}' is no reason that a reader understands"
    return reason
