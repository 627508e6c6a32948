"""The pages of the site that are made: strategies, data sets, shipped suites, published tables, reference.

They are made from source and results/ whenever the site is built, and are in no commit.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

from addresses import ROOT

import fusionbench
from fusionbench.cli.listing import described
from fusionbench.cli.pages import FAMILIES, HEAD, family, page, plugin_page, sentence
from fusionbench.core.catalogue import Plugin
from fusionbench.core.installed import Installed
from fusionbench.plan.source import parse_source, shipped_suites

RESULTS = ROOT / "results"
SHOWN = (".md", ".png", ".csv", ".tex")
"""Of the files of a published table, those that the site has."""
NOTHING = Installed()


@dataclass(frozen=True)
class Standing:
    """Where one row stands in one published table."""

    path: Path
    """The table's page."""
    about: str
    row: str
    metric: str
    score: str
    place: str


def tables() -> list[Path]:
    """The page of every published table."""
    return sorted(RESULTS.glob("*/*/table*.md"))


def opening(path: Path) -> list[str]:
    """The sentences that a table's page begins with: headline, admission, order."""
    lines = path.read_text(encoding="utf-8").splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|"))
    return [line for line in lines[2:first] if line and not line.startswith("More on the order")]


def about(path: Path) -> str:
    """What a page is about: its heading."""
    return path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")


def standings() -> dict[str, list[Standing]]:
    """By strategy, its rows in all published tables."""
    found: dict[str, list[Standing]] = {}
    for path in tables():
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
        head = [cell.strip() for cell in lines[0].strip("|").split(" | ")]
        rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]
        ranked = [row for row in rows if row[2] != "-"]
        for number, row in enumerate(ranked, 1):
            name = row[0].strip("`")
            one = Standing(path, about(path), name, head[2], row[2], f"{number} of {len(ranked)}")
            found.setdefault(name.partition("+")[0], []).append(one)
    return found


def strategy_pages() -> Iterator[tuple[str, str]]:
    """An index, and a page for each strategy: formula, counts, source, and where it stands."""
    plugins = sorted(described("strategy", NOTHING), key=lambda one: (list(FAMILIES).index(family(one)), one.name))
    yield "strategies/index.md", _strategy_index(plugins)
    where = standings()
    for plugin in plugins:
        text = page(plugin).replace("### ", "# ", 1)
        yield f"strategies/{plugin.name}.md", text + "\n" + _stands(where.get(plugin.name, []))


def _strategy_index(plugins: list[Plugin]) -> str:
    head = HEAD.replace("One page for each, made from its file by `python docs/readme.py`; ", "One page for each; ")
    lines = [head]
    for name, heading in FAMILIES.items():
        lines.append(f"\n## {heading}\n")
        lines += [f"- [{one.name}]({one.name}.md): {sentence(one)}" for one in plugins if family(one) == name]
    return "\n".join(lines) + "\n"


def _stands(rows: list[Standing]) -> str:
    if not rows:
        return "## Where it stands\n\nIt is in no published table.\n"
    lines = [
        "## Where it stands",
        "",
        "By the mean test score of each published table, all rows counted. A place is no finding: which rows are told "
        "apart, and whether the order holds, each table's own page says.",
        "",
        "| table | row | score | place |",
        "| :-- | :-- | --: | --: |",
    ]
    for one in rows:
        link = f"../published/{one.path.relative_to(RESULTS).as_posix()}"
        lines.append(f"| [{one.about}]({link}) | `{one.row}` | {one.metric} {one.score} | {one.place} |")
    return "\n".join(lines) + "\n"


def dataset_pages() -> Iterator[tuple[str, str]]:
    """A page for each data set, with what its published tables say of it."""
    for plugin in described("dataset", NOTHING):
        text = plugin_page(plugin).replace("### ", "# ", 1)
        found = [path for path in tables() if path.parent.name.partition("+")[0] == plugin.name]
        parts = [text, "## What published tables say of it", ""]
        for path in found:
            parts += [f"### [{about(path)}](../published/{path.relative_to(RESULTS).as_posix()})", ""]
            parts += [f"{line}\n" for line in opening(path)] or ["Nothing of its kind can be said of one row.\n"]
        if not found:
            parts.append("No table of it is published at this version of results.\n")
        yield f"data/{plugin.name}.md", "\n".join(parts)


def suites_page() -> str:
    """Every shipped suite: what its file says of itself."""
    parts = [
        "# Shipped suites",
        "",
        "`fusionbench run NAME` runs one; `fusionbench list suites NAME` shows its file.",
        "",
    ]
    for name, path in shipped_suites().items():
        text = path.read_text(encoding="utf-8")
        said = re.match(r"(?:#[^\n]*\n)+", text)
        words = [line.removeprefix("#").removeprefix(" ") for line in (said[0] if said else "").splitlines()]
        words = [line for line in words if not line.startswith("yaml-language-server")]
        tree = parse_source(text, path.name).tree
        names = [one if isinstance(one, str) else one["name"] for one in tree["datasets"]]
        data = ", ".join(f"[{one}](data/{one}.md)" for one in dict.fromkeys(names))
        parts += [f"## {name}", "", f"Data: {data}.", "", "```", *words, "```", ""]
    return "\n".join(parts)


def published_files() -> Iterator[tuple[str, Path]]:
    """Pages, pictures and tables of every published suite, as they lie in results/."""
    for path in sorted(RESULTS.rglob("*")):
        depth = len(path.relative_to(RESULTS).parts)
        if path.is_file() and path.suffix in SHOWN and depth in (2, 3):
            yield f"published/{path.relative_to(RESULTS).as_posix()}", path


def as_page(text: str) -> str:
    """A published page, which begins with a heading of the second level and has a sentence a line."""
    lines = text.replace("## ", "# ", 1).splitlines()
    return "\n".join(line if line.startswith("|") or not line else f"{line}\n" for line in lines) + "\n"


def published_index(name: str) -> str:
    """The page of one published suite: its tables and what each is evidence of."""
    folder = RESULTS / name
    parts = [f"# {name}", "", f"[What the suite is](../../shipped_suites.md#{name}).", ""]
    parts += ["[All of it on a page](report.html): tables that sort and filter, pictures, every run, downloads.", ""]
    overviews = sorted(folder.glob("overview*.md"))
    parts += [*(f"- [Over all data sets ({path.stem})]({path.name})" for path in overviews), ""]
    for path in sorted(folder.glob("*/table*.md")):
        place = path.relative_to(folder).as_posix()
        parts += [f"## [{about(path)}]({place})", "", *(f"{line}\n" for line in opening(path))]
        picture = path.with_name(path.name.replace("table", "front")).with_suffix(".png")
        if picture.exists():
            parts += [f"![Score against cost, with the front]({picture.relative_to(folder).as_posix()})", ""]
    return "\n".join(parts)


def report_pages(folder: Path) -> Iterator[tuple[str, Path]]:
    """The page of every published suite that opens by itself: its place on the site, and the file.

    Args:
        folder: an empty one; results are copied there, since a report writes beside its records.
    """
    shutil.copytree(RESULTS, folder, dirs_exist_ok=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, path in zip(published_suites(), pool.map(_report, published_suites(), repeat(folder)), strict=True):
            yield f"published/{name}/{path.name}", path


def _report(name: str, folder: Path) -> Path:
    """Written by the command that everybody has, in a process of its own."""
    words = ["report", name, "--results", str(folder), "--format", "html", "--no-pictures"]
    search = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    surroundings = {**os.environ, "PYTHONPATH": search}
    command = [sys.executable, "-m", "fusionbench.cli", *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=surroundings)
    return folder / name / "report.html"


def published_suites() -> list[str]:
    """Their names."""
    return sorted({path.parts[-3] for path in tables()})


def reference_pages() -> Iterator[tuple[str, str, str]]:
    """Title, place and text: a page for each line of the table of public names in docs/api.md."""
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").partition("Public too")[0]
    for line in re.findall(r"^\| (`fusionbench[^\n]*) \|$", text, re.MULTILINE):
        names, _, what = line.rpartition(" | ")
        known = re.findall(r"`(fusionbench\.[\w.]+)`", names)
        title = what.replace("`", "").partition(":")[0].strip()
        slug = known[0].rpartition(".")[2].lower()
        blocks = [f"::: {_real(name)}\n    options:\n      heading: {name}\n" for name in known]
        yield title, f"reference/{slug}.md", "\n".join([f"# {title[:1].upper()}{title[1:]}\n", *blocks])


def _real(name: str) -> str:
    """Where a name of the package itself is defined."""
    short = name.removeprefix("fusionbench.")
    return f"{fusionbench.PLACES[short]}.{short}" if short in fusionbench.PLACES else name
