"""What `report` leaves under results/, and what it prints."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from rich.console import Console

from fusionbench.core.errors import UserError
from fusionbench.core.files import write_over
from fusionbench.plan.suite import Suite
from fusionbench.records.find import check_folder
from fusionbench.records.store import Store
from fusionbench.report.csvs import text_of
from fusionbench.report.latex import latex
from fusionbench.report.layout import narrow
from fusionbench.report.making import Report, Told, made_report

Form = Literal["md", "latex", "csv"]
OURS = re.compile(
    r"(table|table_wide|methods|numbers|seeds|admission|order|overview|wins|checklist|front|differences"
    r"|pairs|curves|ranks|tuned|trials|search|accuracy_[A-Za-z]+|calibration|contribution|robustness|missing)"
    r"(-(same_encoders|matched_parameters|tuned)[\w+=.]*)?\.(md|csv|tex|png|pdf)"
)
"""Files that a report makes, or made once: those that it makes no longer are removed."""
PICTURES = (".png", ".pdf")
PAGE = "report.html"
"""The page for browsers, which is made where it is asked for; a report without it leaves it."""


def write_report(suite: Suite, store: Store, told: Told = lambda _: None, *, draw: bool = True) -> list[Path]:
    """Make and write a report: see `made_report` and `written`."""
    return written(suite, store, made_report(suite, store, told, draw=draw))


def written(suite: Suite, store: Store, report: Report) -> list[Path]:
    """Write the files of a report, and remove those that an earlier one made and this one does not.

    Returns:
        The paths, in the order of the suite's data sets.

    Raises:
        UserError: no run of the suite has a record, or the results folder is a file.
        OSError: the folder cannot be written; each file is whole or as it was.
    """
    if not report.took:
        if store.root.parent.exists():
            check_folder(store.root.parent)
        raise UserError(
            f"{store.root}: no records of suite '{suite.name}' yet; `fusionbench run {suite.name}` makes them"
        )
    for path, content in report.files:
        write_over(path, content)
    paths = [path for path, _ in report.files]
    folders = dict.fromkeys([store.root, *(store.folder(dataset) for dataset in suite.datasets)])
    there = [folder for folder in folders if folder.is_dir()]  # Of a data set that is not begun there may be none.
    ours = (path for folder in there for path in sorted(folder.iterdir()) if OURS.fullmatch(path.name))
    for path in ours:
        if path not in paths and (report.draws or path.suffix not in PICTURES):
            with suppress(OSError):
                path.unlink()
    return paths


def terminal_text(report: Report, console: Console | None = None) -> str:
    """The tables as text: narrow ones with colours for a terminal, Markdown for a pipe.

    Args:
        report: what to show.
        console: where the text will go; standard output by default.
    """
    target = console or Console()
    if not target.is_terminal:
        return "\n".join(report.pages)
    with target.capture() as capture:
        for table in report.tables:
            target.print(narrow(table), end="\n\n")
    return capture.get().rstrip("\n")


def printed(report: Report, form: Form, columns: Sequence[str] = (), *, wide: bool = False) -> str:
    """The tables in one of the forms of the files, for standard output; CSV has one header for all.

    Args:
        report: what to show.
        form: which.
        columns: of LaTeX, see `paper_columns`.
        wide: of LaTeX, for two columns of text.

    Raises:
        UserError: a column that a table does not have.
    """
    match form:
        case "csv":
            return text_of(report.lines)
        case "latex":
            return "\n".join(latex(table, columns, wide=wide) for table in report.tables)
        case "md":
            return "\n".join(report.pages)
