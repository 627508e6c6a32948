"""`fusionbench check`: records of all suites below a results folder."""

from __future__ import annotations

from pathlib import Path


def report_checked(root: Path) -> bool:
    """Print what is wrong with the records below a folder, a line each; whether nothing is.

    Raises:
        UserError: there is no such folder.
    """
    from fusionbench.records.find import check_folder
    from fusionbench.records.lint import lint
    from fusionbench.records.store import Store

    check_folder(root)
    problems = [line for folder in sorted(root.glob("*/")) for line in lint(Store(root, folder.name))]
    for line in problems:
        print(line)
    print(f"{root}: {len(problems)} problems" if problems else f"{root}: all records valid and in their place")
    return not problems
