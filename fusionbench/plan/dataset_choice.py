"""What a suite asks of a data set besides its options: the score that ranks, and what is missing in training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from fusionbench.core.catalogue import describe
from fusionbench.core.errors import unknown
from fusionbench.core.modalities import kinds_of
from fusionbench.core.task import ModalityKind
from fusionbench.plan.ranking import metric_of
from fusionbench.plan.suite import Choice
from fusionbench.plan.suite_file import FileDataset


def modality_kinds(dataset: Choice) -> dict[str, ModalityKind]:
    """A dataset's modalities and their kinds, as its class or an option of the suite says.

    Raises:
        UserError: neither does, or not for the view that the options name.
    """
    return kinds_of(dataset.name, describe("dataset", dataset.name).facts, dataset.options)


def asked_of(dataset: Choice, given: FileDataset, place: Callable[..., str]) -> Choice:
    """The data set with its options, and what is asked of it besides; what is as without is left out.

    Args:
        dataset: with its options.
        given: as the suite has it.
        place: says where a part of it stands.

    Raises:
        UserError: its task has no such score, or the data set no modality of a name.
    """
    metric = metric_of(dataset, given.metric, place("metric")) if given.metric else ""
    known = modality_kinds(dataset) if given.train_missing else {}
    for name in given.train_missing:
        if name not in known:
            raise unknown(f"modality of '{dataset.name}' called", name, known, place("train_missing", name))
    lacking = {name: float(rate) for name, rate in sorted(given.train_missing.items()) if rate}
    return replace(dataset, metric=metric, train_missing=lacking)
