"""What kind of task a dataset has, and which score ranks on it: read from its source, as plans are."""

from __future__ import annotations

from fusionbench.core.catalogue import describe
from fusionbench.core.errors import UserError, shown, unknown
from fusionbench.core.scores import OF_KIND
from fusionbench.core.task import RANKED_BY, TaskKind
from fusionbench.plan.suite import Choice


def kind_of(dataset: Choice) -> TaskKind:
    """What its option `kind` says, else the literal `kind` of its class, else multiclass.

    Raises:
        UserError: that is no kind of task.
    """
    given = dataset.options.get("kind") or describe("dataset", dataset.name).facts.get("kind", "multiclass")
    found = next((kind for kind in OF_KIND if kind == given), None)
    if found is None:
        raise UserError(f"dataset '{dataset.name}': its kind is {shown(given)}; it must be {', '.join(OF_KIND)}")
    return found


def metric_of(dataset: Choice, named: str, place: str) -> str:
    """The score that ranks where a suite names one; empty where it names the dataset's own, as keys have it.

    Args:
        dataset: with its options.
        named: in the suite.
        place: where.

    Raises:
        UserError: its task has no such score.
    """
    kind = kind_of(dataset)
    if named not in OF_KIND[kind]:
        known = f"score of a {kind} task, as that of '{dataset.name}', called"
        raise unknown(known, named, OF_KIND[kind], place)
    own = describe("dataset", dataset.name).facts.get("metric") or RANKED_BY[kind]
    return "" if named == own else named
