"""Fills the generated blocks of the README and of the pages here; writes docs/strategies.md and suites' JSON Schema.

No table or number there is typed by hand.

    python docs/readme.py

A block stands between `<!-- begin NAME -->` and `<!-- end NAME -->`: `list strategies` and the like are what
`fusionbench list` prints; `demo` is the terminal's table of results/quickstart; `table SUITE DATASET` is that table.md,
`order SUITE DATASET` that order.md, `overview SUITE` that overview.md; `top N SUITE DATASET` is the first rows of
table.md and the sentences that it begins with. One word more, a track's name, takes the files of that track.
`wandb panels SUITE` is what a workspace of the suite's first table shows, `wandb run SUITE` what the run of its first
strategy's mean says. `prints PAGE` is what the first Python of that page prints, with the records in docs/results (run
there as a script, it makes them anew). `inspects PAGE` is what the page's first command prints of the table that its
Python makes, and the suite that it writes.
`pair FOLDER FIRST SECOND` is what the pairs.csv of a folder here says of two rows.
`simulated COLUMN ...` is what `make slow` found, from docs/statistics.csv.
"""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console

from fusionbench.cli.listing import listing, strategy_pages
from fusionbench.plan.json_schema import FILE, schema_text
from fusionbench.plan.load import load_suite
from fusionbench.publish.charts import CHARTS
from fusionbench.publish.panels import workspace
from fusionbench.publish.summaries import RANKED, summary_run
from fusionbench.publish.workspaces import view_json
from fusionbench.records.store import Store
from fusionbench.report.layout import narrow
from fusionbench.report.tables import tables

ROOT = Path(__file__).parent.parent
STRATEGIES = ROOT / "docs" / "strategies.md"
SCHEMA = ROOT / "experiments" / FILE
BLOCK = re.compile(r"(?P<begin><!-- begin (?P<name>[^\n]+?) -->\n).*?(?P<end><!-- end (?P=name) -->)", re.DOTALL)
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
SHELL = re.compile(r"```sh\n(.*?)```", re.DOTALL)
RECORDS = ROOT / "docs" / "results"
LINK = re.compile(r"\[([^\]]+)\]\(([^)/]+)\)")
COLUMNS = 96


def pages() -> list[Path]:
    """Every page that may hold a block."""
    return [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").glob("*.md") if path != STRATEGIES)]


def refreshed(text: str, folder: Path = ROOT) -> str:
    """The text of a page in this folder with every block made anew."""
    return BLOCK.sub(lambda found: found["begin"] + _block(found["name"], folder) + found["end"], text)


def _block(name: str, folder: Path) -> str:
    match name.split():
        case ["list", what]:
            return listing(what) + "\n"
        case ["demo"] | ["prints", _] as words:
            text = _terminal("quickstart") if words == ["demo"] else _printed(ROOT / "docs" / words[1])
            return f"```\n{text}```\n"
        case [("table" | "order") as what, suite, dataset, *track]:
            return _table(_page(what, suite, dataset, track))
        case ["top", count, suite, dataset, *track]:
            return _top(int(count), _page("table", suite, dataset, track), folder)
        case ["overview", suite]:
            return _table(ROOT / "results" / suite / "overview.md")
    return _other_block(name)


def _other_block(name: str) -> str:
    match name.split():
        case ["wandb", ("panels" | "run") as what, suite]:
            return _wandb(what, suite)
        case ["pair", folder, *names]:
            return _pair(ROOT / "docs" / folder / "pairs.csv", set(names))
        case ["simulated", *names]:
            return _simulated(names)
        case ["inspects", page]:
            return _inspected(ROOT / "docs" / page)
    raise ValueError(
        f"a page asks for '{name}'; known: list WHAT, demo, table SUITE DATASET, order SUITE "
        "DATASET, top N SUITE DATASET, overview SUITE, wandb panels|run SUITE, prints PAGE, inspects PAGE, pair FOLDER "
        "FIRST SECOND, simulated COLUMN ..."
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
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder, env=variables).stdout


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


def _terminal(name: str) -> str:
    suite = load_suite(name)
    text = io.StringIO()
    console = Console(file=text, width=COLUMNS, color_system=None)
    for table in tables(suite, Store(ROOT / "results", suite.name)):
        console.print(narrow(table), end="\n\n")
    return "\n".join(line.rstrip() for line in text.getvalue().strip().splitlines()) + "\n"


def _page(what: str, suite: str, dataset: str, track: list[str]) -> Path:
    return ROOT / "results" / suite / dataset / f"{'-'.join([what, *track])}.md"


def _top(count: int, path: Path, place: Path) -> str:
    """The head and the first rows of a table, and below them what its page begins with, links from that place."""
    head, rows = _table(path).splitlines()[:2], _table(path).splitlines()[2 : 2 + count]
    text = path.read_text(encoding="utf-8").splitlines()
    first = text[2 : next(number for number, line in enumerate(text) if line.startswith("|"))]
    folder = Path(os.path.relpath(path.parent, place)).as_posix()
    said = [LINK.sub(rf"[\1]({folder}/\2)", line) for line in first if line]
    return "".join(f"{line}\n" for line in [*head, *rows, *([""] if said else []), *said])


def _table(path: Path) -> str:
    """The table alone: its title and caption stay in the file."""
    return "".join(line + "\n" for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("|"))


if __name__ == "__main__":
    STRATEGIES.write_text(strategy_pages(), encoding="utf-8")
    SCHEMA.write_text(schema_text(), encoding="utf-8")
    for page in pages():
        page.write_text(refreshed(page.read_text(encoding="utf-8"), page.parent), encoding="utf-8")
