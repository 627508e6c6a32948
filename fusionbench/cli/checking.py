"""`fusionbench check`: records of all suites below a results folder, and what was made of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def report_checked(root: Path) -> bool:
    """Print what is wrong with the records below a folder and with what was made of them; whether nothing is.

    Raises:
        UserError: there is no such folder.
    """
    from fusionbench.records.find import check_folder

    check_folder(root)
    problems = list(_problems(root))
    for line in problems:
        print(line)
    fine = "all records valid and in their place, and what is made of them follows"
    print(f"{root}: {f'{len(problems)} problems' if problems else fine}")
    return not problems


def _problems(root: Path) -> Iterator[str]:
    from fusionbench.records.lint import lint
    from fusionbench.records.store import Store
    from fusionbench.report.current import stale_pages

    for folder in sorted(root.glob("*/")):
        yield from lint(Store(root, folder.name))
        if any(folder.glob("*/table*.md")):
            yield from _stale(root, folder.name)
    yield from stale_pages(root)


def _stale(root: Path, name: str) -> Iterator[str]:
    """Files of the report of a shipped suite; others are not known here by their folder alone."""
    from fusionbench.core.errors import UserError
    from fusionbench.plan.load import load_suite
    from fusionbench.plan.source import shipped_suites
    from fusionbench.records.store import Store
    from fusionbench.report.current import stale_files

    if name not in shipped_suites():
        return
    store = Store(root, name, read_only=True)
    try:
        yield from stale_files(load_suite(name), store)
    except UserError as error:
        yield f"{store.root}: no report can be made of it: {error}"
