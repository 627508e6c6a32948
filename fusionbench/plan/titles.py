"""Titles that a suite gives its data sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fusionbench.core.errors import UserError, shown
from fusionbench.plan.source import Source
from fusionbench.plan.suite import Choice
from fusionbench.plan.suite_file import FileDataset


def checked_titles(
    source: Source, datasets: Sequence[Choice], given: Sequence[FileDataset]
) -> Iterator[tuple[Choice, str]]:
    """The data sets that have a title, no two of them the same."""
    titles = [one.title and " ".join(one.title.split()) for one in given]
    for index, (dataset, title) in enumerate(zip(datasets, titles, strict=True)):
        if title and title in titles[:index]:
            raise UserError(
                f"{source.place(('datasets', index, 'title'))}: {shown(title)} is the title of two data sets"
            )
        if title:
            yield dataset, title
