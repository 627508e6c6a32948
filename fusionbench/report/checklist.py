r"""The items of NeurIPS's paper checklist that records can answer: settings, error bars, compute, licences.

Source: the checklist of the conference's LaTeX style of 2024 and 2025; its other items are the authors' own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from fusionbench.core.catalogue import describe
from fusionbench.core.errors import UserError
from fusionbench.plan.suite import SAME_ENCODERS, Choice, Suite
from fusionbench.records.record import Record
from fusionbench.report.cite import LICENCE, papers_of
from fusionbench.report.tables import Table
from fusionbench.report.titles import display_name, track_title
from fusionbench.report.typeset import sentence

SETTING = (
    "Experimental setting/details",
    "Does the paper specify all the training and test details (e.g., data splits, hyperparameters, how they were "
    "chosen, type of optimizer, etc.) necessary to understand the results?",
)
ERROR_BARS = (
    "Experiment statistical significance",
    "Does the paper report error bars suitably and correctly defined or other appropriate information about the "
    "statistical significance of the experiments?",
)
COMPUTE = (
    "Experiments compute resources",
    "For each experiment, does the paper provide sufficient information on the computer resources (type of compute "
    "workers, memory, time of execution) needed to reproduce the experiments?",
)
LICENCES = (
    "Licenses for existing assets",
    "Are the creators or original owners of assets (e.g., code, data, models), used in the paper, properly credited "
    "and are the license and terms of use explicitly mentioned and properly respected?",
)


class Took(NamedTuple):
    """What one run took, and on what."""

    machine: str
    threads: int
    devices: int
    seconds: float


def took(table: Table) -> list[Took]:
    """Of each run of a table that has a record."""
    records = [o.record for row in table.rows for o in row.outcomes if o.record]
    return [Took(_machine(record), record.threads, record.devices, record.train_seconds) for record in records]


def checklist(suite: Suite, tables: Sequence[Table], runs: Sequence[Took]) -> str:
    r"""The items as the style has them, to be put in the place of its own.

    Args:
        suite: what was run.
        tables: of all that is begun.
        runs: of all of them.
    """
    lines = [
        f"% Items of the NeurIPS paper checklist, filled from the records of suite {suite.name}.",
        r"\providecommand{\answerYes}[1][]{[Yes] #1}\providecommand{\answerNo}[1][]{[No] #1}",
        r"\begin{enumerate}\sloppy",
    ]
    lines += _item(SETTING, True, map(sentence, _settings(suite, tables)))
    answer, said = _error_bars(tables)
    lines += _item(ERROR_BARS, answer, map(sentence, said))
    lines += _item(COMPUTE, bool(runs), map(sentence, _compute(runs)))
    lines += _item(LICENCES, True, _licences(suite))
    return "\n".join([*lines, r"\end{enumerate}"]) + "\n"


def _item(item: tuple[str, str], answer: bool, sentences: Iterable[str]) -> Iterator[str]:
    """One item; the sentences are LaTeX."""
    name, question = item
    yield rf"\item {{\bf {sentence(name)}}}"
    yield rf"\item[] Question: {sentence(question)}"
    yield rf"\item[] Answer: \answer{'Yes' if answer else 'No'}{{}}"
    yield rf"\item[] Justification: {' '.join(sentences)}"


def _settings(suite: Suite, tables: Sequence[Table]) -> Iterator[str]:
    budget, begun = suite.budget, [table.track for table in tables]
    shown = [track for track in suite.tracks if track in begun]
    tracks = " and ".join(map(track_title, shown))
    yield (
        f"All strategies share data splits, encoders and the budget of {budget.method}: {budget.epochs} epochs, "
        f"batches of {budget.batch_size}, peak learning rate {budget.learning_rate:g}, weight decay "
        f"{budget.weight_decay:g}, dropout {budget.dropout:g}, precision {budget.precision} (tracks: {tracks})."
    )
    if any(track.name != SAME_ENCODERS for track in shown):
        yield "What a track matches or tunes is chosen by trials on validation rows, as the methods paragraphs say."
    yield "The epoch is chosen on validation rows and the test rows are evaluated once; the records count it."


def _error_bars(tables: Sequence[Table]) -> tuple[bool, list[str]]:
    fewest = min((row.done for table in tables for row in table.rows if row.done), default=0)
    if fewest < 2:
        return False, ["Some rows are of a single seed, so they have no interval over seeds."]
    return True, [
        f"Half-widths of 95 % intervals over {fewest} or more seeds, which are shared by all strategies; a seed draws "
        "initial weights, order, dropout and, where it is not fixed, the validation split.",
        "The methods paragraphs of the tables say which intervals also hold the choice of test rows, and what was "
        "corrected for how many comparisons.",
    ]


def _compute(runs: Sequence[Took]) -> Iterator[str]:
    if not runs:
        yield "No run is done yet."
        return
    machines, threads, devices = (sorted({run[at] for run in runs}) for at in range(3))
    seconds = [run.seconds for run in runs]
    yield (
        f"{len(runs):,} runs on {' or '.join(map(str, filter(None, machines))) or 'a machine that is not recorded'}, "
        f"{' or '.join(map(str, threads))} thread{'s' * (threads != [1])} and "
        f"{' or '.join(map(str, devices))} device{'s' * (devices != [1])} a run: {_time(sum(seconds) / 3600)} of "
        f"training in all, trials not counted, the longest run {_time(max(seconds) / 3600)}."
    )


def _machine(record: Record) -> str:
    return " and ".join(filter(None, (str(record.environment.get(part) or "") for part in ("cpu", "gpu"))))


def _time(hours: float) -> str:
    if hours >= 1:
        return f"{hours:.1f} hours"
    return f"{hours * 60:.1f} minutes" if hours >= 1 / 60 else f"{hours * 3600:.0f} seconds"


def _licences(suite: Suite) -> Iterator[str]:
    yield sentence(f"fusionbench: {LICENCE}.")
    yield from dict.fromkeys(_licence(dataset) for dataset in suite.datasets)
    yield sentence("`fusionbench cite` prints the BibTeX of every data set, strategy and encoder used.")


def _licence(dataset: Choice) -> str:
    try:
        plugin = describe("dataset", dataset.name)
    except UserError:
        return sentence(f"{dataset.name}: its module is gone, so its licence is not known.")
    licence, home = str(plugin.facts.get("licence") or "none stated"), str(plugin.facts.get("home") or "")
    cited = rf"~\cite{{{','.join(papers_of(plugin))}}}" if papers_of(plugin) else ""
    return (
        f"{sentence(display_name(plugin))}{cited}: {sentence(f'licence {licence}' + (f' ({home})' if home else ''))}."
    )
