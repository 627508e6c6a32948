"""What `report` leaves of the track `tuned`: the page, its numbers, every trial, and the picture of the searches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from fusionbench.core.surroundings import alone
from fusionbench.plan.suite import Suite
from fusionbench.records.store import Store
from fusionbench.report.tuned_csvs import search_csv, trials_csv, tuned_csv
from fusionbench.report.tuned_page import tuned_page
from fusionbench.report.tuned_rows import Tuning, tunings

NAME = "tuned"
"""Of the page and the picture."""


def tuned_files(suite: Suite, store: Store, told: Callable[[str], None] | None) -> Iterator[tuple[Path, bytes]]:
    """Paths and contents, data set by data set; nothing of a suite that tunes nothing, or of what is not begun.

    Args:
        suite: what to show.
        store: its records.
        told: hears in one line why a picture could not be drawn; None: none is wanted.

    Raises:
        UserError: what was tuned was trained on other data than what was not.
    """
    for found in tunings(suite, store):
        if not found.is_begun:
            continue
        folder = store.folder(found.dataset)
        drawn = _drawn(found, told) if told else {}
        yield folder / f"{NAME}.md", tuned_page(found, f"{NAME}.png" if drawn else "").encode()
        yield folder / f"{NAME}.csv", tuned_csv(found).encode()
        yield folder / "trials.csv", trials_csv(found).encode()
        yield folder / "search.csv", search_csv(found).encode()
        for form, content in drawn.items():
            yield folder / f"{NAME}.{form}", content


def _drawn(found: Tuning, told: Callable[[str], None]) -> dict[str, bytes]:
    """The picture in each form; none where matplotlib cannot, which costs no page."""
    try:
        with alone():  # A notebook's MPLBACKEND is read when matplotlib is imported.
            from fusionbench.report.tuned_picture import tuned_picture
        return tuned_picture(found)
    except Exception as error:  # noqa: BLE001  (whatever a library around ours raises)
        told(
            f"{found.title}: no picture of the searches ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
        )
        return {}
