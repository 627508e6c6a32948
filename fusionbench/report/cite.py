"""`fusionbench cite`: BibTeX of fusionbench and of every dataset, strategy, encoder, measure and track that is used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fusionbench.core.catalogue import Plugin, PluginKind, describe
from fusionbench.plan.suite import TUNED, Choice, RunSpec
from fusionbench.plan.tracks import has_trials
from fusionbench.plan.tuned import PAPERS

REFERENCES = Path(__file__).with_name("references.bib")
TITLE, AUTHOR, LICENCE = "fusionbench", "The fusionbench developers", "Apache-2.0"
"""As CITATION.cff says: the wheel does not carry that file, so a test compares them."""
_ENTRY = re.compile(r"^@\w+\{([^,\s]+),\n.*?^\}$", re.MULTILINE | re.DOTALL)
_NOTE = re.compile(r"^  note = ", re.MULTILINE)


def bibliography(runs: Iterable[RunSpec], measures: Iterable[Choice] = ()) -> str:
    """The entries sorted by key, each once, under a comment that says what it is for.

    They stand as in references.bib, but that `note`, which bibliography styles print, is `annote`, which they do not:
    it says on which page an entry was checked. A user's own plug-in whose paper is not there is named in a comment.
    """
    known, users = entries(), _users(runs, measures)
    papers = {paper: f"% {', '.join(names)}\n{known[paper]}" for paper, names in users.items() if paper in known}
    parts = papers | {TITLE: f"% the benchmark itself\n{_own()}"}
    missing = [
        f"% {', '.join(names)}: no entry '{paper}' here; cite it yourself\n"
        for paper, names in sorted(users.items())
        if paper not in known
    ]
    return "\n".join([*(parts[key] for key in sorted(parts)), *missing])


def entries() -> dict[str, str]:
    """Every entry of references.bib by its key, `note` renamed to `annote`."""
    text = REFERENCES.read_text(encoding="utf-8")
    return {found[1]: _NOTE.sub("  annote = ", found[0]) + "\n" for found in _ENTRY.finditer(text)}


def papers_of(plugin: Plugin) -> list[str]:
    """The keys of the papers that a plug-in names: its fact `paper`, one or several after commas."""
    return str(plugin.facts.get("paper", "")).replace(",", " ").split()


def _users(runs: Iterable[RunSpec], measures: Iterable[Choice]) -> dict[str, list[str]]:
    """Who names a paper: {"arevalo2017gated": ["strategy gated"]}; plug-ins, and a track that searches."""
    known = list(runs)
    used = {pair for run in known for pair in _plugins(run)} | _measures(measures)
    tunes = any(run.track.name == TUNED and has_trials(run) for run in known)
    users = {paper: [f"track {TUNED}"] for paper in (PAPERS if tunes else ())}
    for kind, name in sorted(used):
        for paper in papers_of(describe(kind, name)):
            users.setdefault(paper, []).append(f"{kind} {name}")
    return users


def _plugins(run: RunSpec) -> Iterator[tuple[PluginKind, str]]:
    yield "dataset", run.dataset.name
    yield "strategy", run.strategy.name
    for encoder in run.encoders.values():
        yield "encoder", encoder.name


def _measures(measures: Iterable[Choice]) -> set[tuple[PluginKind, str]]:
    return {("measure", choice.name) for choice in measures}


def _own() -> str:
    fields = {"title": f"{{{TITLE}}}", "author": f"{{{AUTHOR}}}", "note": f"Software, {LICENCE} licence"}
    with suppress(PackageNotFoundError):  # Run from its source alone: there is no version to name.
        fields["note"] = f"Software, version {version('multimodal-fusionbench')}, {LICENCE} licence"
    lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    return f"@misc{{{TITLE},\n{lines}\n}}\n"
