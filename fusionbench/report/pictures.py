"""All pictures of a table by the names of their files. A picture that cannot be drawn costs no table and no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fusionbench.report.contribution_picture import contribution_picture
from fusionbench.report.costs_picture import costs_picture
from fusionbench.report.curves import curves_picture
from fusionbench.report.forest import differences_picture
from fusionbench.report.front import front_picture
from fusionbench.report.matrix import pairs_picture
from fusionbench.report.reliability_picture import reliability_picture
from fusionbench.report.robustness_picture import robustness_picture
from fusionbench.report.tables import Table
from fusionbench.report.titles import title

Picture = Callable[[Table], dict[str, bytes]]
PICTURES: dict[str, Picture] = {
    "front": front_picture,
    "differences": differences_picture,
    "pairs": pairs_picture,
    "curves": curves_picture,
    "costs": costs_picture,
    "contribution": contribution_picture,
    "robustness": robustness_picture,
    "reliability": reliability_picture,
}
"""By the name of the file, in the order of a page; what each makes is empty where it would show nothing."""


def pictures(table: Table, told: Callable[[str], None]) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Those that a table has, each in every form.

    Args:
        table: what to show.
        told: hears in one line why a picture could not be drawn.
    """
    for name, draw in PICTURES.items():
        try:
            found = draw(table)
        except Exception as error:  # noqa: BLE001  (whatever a library around ours raises)
            told(f"{table.title}: no picture {name} ({type(error).__name__}: {' '.join(str(error).split())[:200]})")
            continue
        if found:
            yield name, found


def words(name: str, table: Table) -> str:
    """What a picture shows, for those who do not see it."""
    score = title(table.metric)
    cost = "end-to-end latency" if table.cost == "latency" else "fusion parameters"
    return {
        "front": f"{score} against {cost}",
        "differences": f"differences of {score} to the references",
        "pairs": f"differences of {score} between all pairs of a family",
        "curves": f"validation {score} by epoch",
        "costs": f"{score} against every cost that was measured",
        "contribution": f"what each modality gives to {score}",
        "robustness": f"{score} where inputs are noisy or missing",
        "reliability": "how often answers of a confidence are right",
    }[name]
