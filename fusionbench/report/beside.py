"""The scores that a table shows beside the one that ranks."""

from __future__ import annotations

from collections.abc import Sequence

from fusionbench.report.contenders import Shown

BESIDE = {
    "multiclass": ("accuracy", "balanced_accuracy", "macro_f1", "auroc", "nll"),
    "multilabel": ("gap20", "hit1", "nll"),
    "regression": ("r2", "rmse", "mae", "pearson", "spearman"),
}
"""By kind of task, the scores of a table, that which ranks among them; those that no record has are left out."""


def beside(rows: Sequence[Shown], metric: str) -> tuple[str, ...]:
    """Their names as records have them, as far as some row has them."""
    kinds = (o.record.task.get("kind") for row in rows for o in row.outcomes if o.record)
    names = (f"test/{name}" for name in BESIDE.get(next(filter(None, kinds), ""), ()))
    return tuple(name for name in names if name != metric and any(name in row.scores for row in rows))
