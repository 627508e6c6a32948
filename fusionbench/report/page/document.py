"""The page of a suite: one file that opens without a network, and lets nothing on it reach one.

Its policy allows the two scripts that it holds, by their hashes, and nothing else: what a name smuggled in would not
run. What is large (pictures, records, files to save) is packed, and unpacked where it is asked for.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import PurePath
from typing import Any

from fusionbench.core.errors import UserError
from fusionbench.plan.suite import Suite
from fusionbench.report.cite import bibliography
from fusionbench.report.making import Report
from fusionbench.report.page.across import across
from fusionbench.report.page.libraries import drawing_script
from fusionbench.report.page.missing_chart import missing_chart
from fusionbench.report.page.parts import Part, figure, part_of
from fusionbench.report.page.runs import Records, add_records
from fusionbench.report.page.texts import inline, json_text, paragraphs, shown
from fusionbench.report.tables import Table
from fusionbench.report.titles import track_title

GIVEN = (".csv", ".tex", ".bib")
"""Endings of files that a page gives for download."""


@dataclass(frozen=True)
class Wide:
    """What a page holds of all data sets of a track."""

    label: str
    body: str
    """HTML."""
    pictures: Mapping[str, Mapping[str, Any]]
    """By name, Vega-Lite."""


@dataclass
class Gathered:
    """What is kept of each table while its records are there."""

    suite: Suite
    parts: list[Part] = field(default_factory=list)
    records: Records = field(default_factory=Records)

    def add(self, table: Table) -> None:
        """One more table, its records with it."""
        self.parts.append(part_of(table, len(self.parts), with_track=len(self.suite.tracks) > 1))
        add_records(table, self.records)


def document(found: Gathered, report: Report, root: PurePath, not_counted: Sequence[str]) -> bytes:
    """The whole page.

    Args:
        found: its tables.
        report: whose files it gives.
        root: the suite's folder, below which those files lie.
        not_counted: a line for each file that is no record of the suite.
    """
    given = _given(found.suite, report, root)
    scripts = [_script(drawing_script()), _script(_own("page.js"))]
    wide = list(_across(found.suite, report))
    every: list[Wide | Part] = [*wide, *found.parts]
    pictures = {name: spec for part in every for name, spec in part.pictures.items()}
    lines = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8">{_policy(scripts)}',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{shown(found.suite.name)}: which fusion is best, at what cost</title>",
        f"<style>{_own('page.css')}</style></head><body>",
        *_body(found, every, given, not_counted),
        _packed("pictures", pictures),
        _packed("rest", {"files": given, **found.records.to_json()}),
        *(f"<script>{script}</script>" for script in scripts),
        "</body></html>",
    ]
    return ("\n".join(lines) + "\n").encode("utf-8", "replace")


def _body(
    found: Gathered, parts: Sequence[Wide | Part], given: Mapping[str, str], not_counted: Sequence[str]
) -> Iterator[str]:
    name = shown(found.suite.name)
    yield f"<header><h1>{name}</h1>"
    yield f'<ul class="ties">{"".join(f"<li>{inline(part.tie)}</li>" for part in found.parts)}</ul>'
    newest = max((part.finished for part in found.parts), default="")[:10]
    yield f'<p class="small">Made by fusionbench from {len(found.records.runs):,} records{_until(newest)}.</p></header>'
    if len(parts) > 1:
        buttons = (
            f'<button type="button" data-part="part{at}" aria-pressed="false">{shown(part.label)}</button>'
            for at, part in enumerate(parts)
        )
        yield f'<nav aria-label="Tables">{"".join(buttons)}</nav>'
    yield "<main>"
    for at, part in enumerate(parts):
        yield f'<section id="part{at}">\n{part.body}\n</section>'
    yield from _not_counted(not_counted)
    yield "<section><h2>Files</h2>"
    files = (f'<li><button type="button" data-file="{shown(path)}">{shown(path)}</button></li>' for path in given)
    yield f'<ul class="files">{"".join(files)}</ul></section></main>'
    yield '<dialog aria-label="A record"><div class="bar"><b></b> <button type="button" data-save>save</button> '
    yield '<button type="button" data-close>close</button></div><pre tabindex="0"></pre></dialog>'


def _across(suite: Suite, report: Report) -> Iterator[Wide]:
    """What is over all data sets, for each track that has several, or a training that lacked something."""
    several = len(suite.tracks) > 1
    for at, track in enumerate(suite.tracks):
        tables = [table for table in report.tables if table.track == track]
        chart = missing_chart(tables, report.missing)
        if len(tables) > 1 or chart:
            label = f"All data sets{f', {track_title(track)}' if several else ''}"
            name = f"all{at}-missing"
            figures = figure(name, chart) if chart else ""
            yield Wide(label, across(tables, label, figures), {name: chart.spec} if chart else {})


def _until(newest: str) -> str:
    return f", the newest of {shown(newest)}" if newest else ""


def _not_counted(lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield f'<section id="not-counted"><h2>Not counted</h2>\n{paragraphs(lines)}</section>'


def _given(suite: Suite, report: Report, root: PurePath) -> dict[str, str]:
    """By path below the suite's folder, the text of each file for download."""
    found = {
        path.relative_to(root).as_posix(): content.decode("utf-8", "replace")
        for path, content in report.files
        if path.suffix in GIVEN
    }
    try:
        return {"references.bib": bibliography(suite.runs(), suite.measures), **found}
    except UserError:  # A user's own module is gone, so what it cites is not known.
        return found


def _packed(name: str, value: Mapping[str, Any]) -> str:
    """What is unpacked where it is asked for, as text."""
    text = base64.b64encode(gzip.compress(json_text(value).encode(), mtime=0)).decode()
    return f'<script type="text/plain" id="{name}">{text}</script>'


def _policy(scripts: Sequence[str]) -> str:
    hashes = " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
    rules = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; "
        "form-action 'none'"
    )
    return f'<meta http-equiv="Content-Security-Policy" content="{rules}">'


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _script(text: str) -> str:
    r"""What no tag within ends: in strings of JavaScript `<\/` is `</`; a browser reads every end of line as LF."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _own(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
