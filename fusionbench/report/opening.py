"""The sentences that a table's page begins with: what validation picks, what its data show, whether its order holds."""

from __future__ import annotations

from collections.abc import Iterator

from fusionbench.report import admission
from fusionbench.report.claims import headline
from fusionbench.report.comparisons import verdict
from fusionbench.report.tables import Table
from fusionbench.report.titles import directed


def opening(table: Table) -> tuple[str, ...]:
    """The sentences; none where nothing is done yet."""
    found = table.admission
    admitted = admission.sentences(found, directed(table.metric)) if found else ()
    return (*headline(table), *admitted, *verdict(table.comparisons), *_ceiling(table))


def _ceiling(table: Table) -> Iterator[str]:
    found = table.ceiling
    if found is None:
        return
    own = " and ".join(f"{name} {accuracy:.3f}" for name, accuracy in found.own.items())
    yield (
        f"Ceiling of these encoders: {found.value:.3f}, the XOR of two bits that are told with their validation "
        f"accuracies ({own}). Of the ceiling: how far a row is on the way from chance, 0, to there, 1."
    )
