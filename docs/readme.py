"""Fills the generated blocks of the README and of the pages here; writes docs/strategies.md and suites' JSON Schema.

No table or number there is typed by hand.

    python docs/readme.py

A block stands between `<!-- begin NAME -->` and `<!-- end NAME -->`: `list strategies` and the like are what
`fusionbench list` prints; blocks of tables are those of fusionbench/report/current.py.
`wandb panels SUITE` is what a workspace of the suite's first table shows, `wandb run SUITE` what the run of its first
strategy's mean says. `prints PAGE` is what the first Python of that page prints, with the records in docs/results (run
there as a script, it makes them anew). `inspects PAGE` is what the page's first command prints of the table that its
Python makes, and the suite that it writes.
`pair FOLDER FIRST SECOND` is what the pairs.csv of a folder here says of two rows.
`csv FILE` is a file here that a benchmark wrote, as a table.
`simulated COLUMN ...` is what `make slow` found, from docs/statistics.csv.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from fusionbench.cli.listing import listing, strategy_pages
from fusionbench.plan.json_schema import FILE, schema_text
from fusionbench.plan.load import load_suite
from fusionbench.publish.charts import CHARTS
from fusionbench.publish.panels import workspace
from fusionbench.publish.summaries import RANKED, summary_run
from fusionbench.publish.workspaces import view_json
from fusionbench.records.store import Store
from fusionbench.report import current
from fusionbench.report.current import address_of, block
from fusionbench.report.tables import tables

ROOT = Path(__file__).parent.parent
STRATEGIES = ROOT / "docs" / "strategies.md"
SCHEMA = ROOT / "experiments" / FILE
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
SHELL = re.compile(r"```sh\n(.*?)```", re.DOTALL)
ADDRESS = address_of(ROOT)
CITATION = ROOT / "CITATION.cff"
STATED = re.compile(r"^repository-code: (\S+)$", re.MULTILINE)
RECORDS = ROOT / "docs" / "results"


def pages() -> list[Path]:
    """Every page that may hold a block."""
    return [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").glob("*.md") if path != STRATEGIES)]


def refreshed(text: str, folder: Path = ROOT) -> str:
    """The text of a page in this folder with every block made anew."""
    return current.refreshed(text, lambda name: _block(name, folder))


def _block(name: str, folder: Path) -> str:
    if (found := block(name, ROOT, folder)) is not None:
        return found
    return _other_block(name)


def _other_block(name: str) -> str:
    match name.split():
        case ["list", what]:
            return listing(what) + "\n"
        case ["wandb", ("panels" | "run") as what, suite]:
            return _wandb(what, suite)
        case ["pair", folder, *names]:
            return _pair(ROOT / "docs" / folder / "pairs.csv", set(names))
        case ["simulated", *names]:
            return _simulated(names)
        case ["csv", file]:
            return _csv(ROOT / "docs" / file)
        case ["inspects" | "prints" as what, page]:
            made = _inspected if what == "inspects" else _printed
            return made(ROOT / "docs" / page)
    raise ValueError(
        f"a page asks for '{name}'; known: list WHAT, demo N, table SUITE DATASET, order SUITE "
        "DATASET, top N SUITE DATASET, overview SUITE, wandb panels|run SUITE, prints PAGE, inspects PAGE, pair FOLDER "
        "FIRST SECOND, csv FILE, simulated COLUMN ..."
    )


def _wandb(what: str, name: str) -> str:
    suite = load_suite(name)
    table = next(iter(tables(suite, Store(ROOT / "results", suite.name))))
    if what == "run":
        found = summary_run(table, table.rows[0]).summary
        lines = [f"| `{key}` | {value} |" for key, value in found.items()]
        return "\n".join(["| key | value |", "| :-- | --: |", *lines]) + "\n"
    view = view_json(workspace(table, "", "fusionbench", {chart.name: chart.name for chart in CHARTS}))
    lines = []
    for section in view["spec"]["section"]["panelBankConfig"]["sections"]:
        shown = [_panel(panel["config"]) for panel in section["panels"]]
        lines.append(f"| {section['name']} | {'; '.join(shown)} |")
    return "\n".join(["| section | panels |", "| :-- | :-- |", *lines]) + "\n"


def _panel(config: dict[str, Any]) -> str:
    """What it is called, and what it shows."""
    if "panelDefId" in config:
        return f"{config['stringSettings']['title']} (chart `{config['panelDefId']}` of the wandb.Table `{RANKED}`)"
    shown = config.get("metrics") or [config[axis] for axis in ("yAxis", "xAxis") if axis in config]
    by = f", by `{config['groupBy']}`" if "groupBy" in config else ""
    names = ", ".join(f"`{one.removeprefix('summary:')}`" for one in shown)
    return f"{config['chartTitle']} ({names}{by})" if names else "the table as it stands in results/"


def _printed(page: Path) -> str:
    """What the first Python of a page prints; its records are there, so that nothing is trained."""
    code = PYTHON.findall(page.read_text(encoding="utf-8"))[0]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(RECORDS, Path(folder) / "results")
        search = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        variables = {**os.environ, "FUSIONBENCH_DATA": f"{folder}/data", "PYTHONPATH": os.pathsep.join(search)}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder, env=variables)
        return f"```\n{done.stdout}```\n"


def _inspected(page: Path) -> str:
    """What the first command of a page prints, of a table that Python of the page has made, and the file it writes."""
    text = page.read_text(encoding="utf-8")
    code = next(code for code in PYTHON.findall(text) if "to_csv" in code)
    words = SHELL.findall(text)[0].splitlines()[0].split()[1:]
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", code], check=True, cwd=folder, env=variables)
        command = [sys.executable, "-m", "fusionbench.cli", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder, env=variables)
        return f"```\n{done.stdout}```\n\n```yaml\n{(Path(folder) / words[-1]).read_text(encoding='utf-8')}```\n"


def _pair(path: Path, names: set[str]) -> str:
    """The better one first, as its family tests it."""
    with path.open(encoding="utf-8", newline="") as file:
        (row,) = [row for row in csv.DictReader(file) if {row["first"], row["second"]} == names]
    won, seeds = int(row["wins"]), int(row["seeds"])
    lost = seeds - won - int(row["ties"])
    cells = {
        "first": f"`{row['first']}`",
        "second": f"`{row['second']}`",
        "first less second": f"{float(row['difference']):+.4f} ± {float(row['half_width']):.4f}",
        "p": f"{float(row['p']):.3f}",
        "seeds won, tied, lost": f"{won}, {row['ties']}, {lost}",
        "tied": "no" if row["differ"] == "True" else "yes",
    }
    return "".join(f"| {' | '.join(line)} |\n" for line in (cells, [":--"] * len(cells), cells.values()))


def _simulated(names: list[str]) -> str:
    """Scenarios of docs/statistics.csv that have a number in the first of the columns."""
    with (ROOT / "docs" / "statistics.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row[names[0]]]
    head = ["scenario", "seeds", *(name.replace("_", " ") for name in names)]
    cells = [[row[name] and f"{float(row[name]):.3f}" for name in names] for row in rows]
    body = [[row["scenario"], row["seeds"], *found] for row, found in zip(rows, cells, strict=True)]
    return "".join(f"| {' | '.join(line)} |\n" for line in [head, [":--", *["--:"] * (len(names) + 1)], *body])


def _csv(path: Path) -> str:
    """Words on the left, numbers on the right."""
    with path.open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    return "".join(f"| {' | '.join(line)} |\n" for line in [head, [":--", *["--:"] * (len(head) - 1)], *rows])


def move() -> None:
    """Write the repository's address, as pyproject.toml has it, wherever another one stands."""
    text = CITATION.read_text(encoding="utf-8")
    stated = STATED.findall(text)[0]
    if stated == ADDRESS:
        return
    raw = [one.replace("https://github.com", "https://raw.githubusercontent.com") for one in (stated, ADDRESS)]
    for path in (CITATION, ROOT / "README.md"):
        moved = path.read_text(encoding="utf-8").replace(stated, ADDRESS).replace(*raw)
        path.write_text(moved, encoding="utf-8")


if __name__ == "__main__":
    move()
    STRATEGIES.write_text(strategy_pages(), encoding="utf-8")
    SCHEMA.write_text(schema_text(), encoding="utf-8")
    for page in pages():
        page.write_text(refreshed(page.read_text(encoding="utf-8"), page.parent), encoding="utf-8")
