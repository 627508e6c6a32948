"""The words around a table, made from its records: what a number is the mean of, and what it cannot show."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

from fusionbench.core.catalogue import describe
from fusionbench.core.errors import UserError
from fusionbench.core.scores import lower_is_better
from fusionbench.plan.budget import Budget
from fusionbench.plan.names import track_label
from fusionbench.plan.suite import MATCHED_PARAMETERS
from fusionbench.plan.tracks import FACTOR, solves_own
from fusionbench.report import costs
from fusionbench.report.claims import intervals, marks, tests
from fusionbench.report.latency import ENOUGH_CALLS, ENOUGH_SECONDS
from fusionbench.report.measured import sentences
from fusionbench.report.notes import BAD, has_nothing_frozen, has_nothing_to_train, limit
from fusionbench.report.pretrained import pretrained
from fusionbench.report.rows import TableRow
from fusionbench.report.tables import Table
from fusionbench.report.titles import title
from fusionbench.report.tuned_captions import tuning

COMPARED = "arrays"
"""The data set that `fusionbench.compare` makes."""
PARTS = ("train", "validation", "test")
APART: tuple[tuple[Callable[[TableRow], bool], str, str], ...] = (
    (has_nothing_to_train, "acts act", "on the training of encoders, which are frozen here"),
    (has_nothing_frozen, "is are", "solved for on encodings that stay, and encoders are trained here"),
)
"""Rows that are counted apart from those that did not end well, and why; the verb for one of them, and for several."""


def caption(table: Table) -> tuple[str, ...]:
    """The sentences below a table, each on one subject."""
    return tuple(
        sentence
        for part in (_intervals, _seeds, tests, _counts, sentences, costs.sentences, _cost, _latency, _training, _data)
        for sentence in part(table)
    )


def short_caption(table: Table) -> tuple[str, ...]:
    """The sentences that a terminal shows: what the numbers are, what went wrong, where time was taken."""
    columns = "Parameters: of the fusion." + (" ms: end to end, batch 1." if table.latency else "")
    said = (intervals(table, (table.metric,)), marks(table), _counts(table), _latency(table))
    return (columns, *(sentence for sentences in said for sentence in sentences))


def _intervals(table: Table) -> Iterator[str]:
    return intervals(table, (table.metric, *table.beside))


def _seeds(table: Table) -> Iterator[str]:
    if not any(row.done for row in table.rows):
        return
    seen = [
        (o.run.seed, o.record.data.split_sha256)
        for row in table.rows
        for o in row.outcomes
        if o.record and o.record.data
    ]
    seeds, splits = ({pair[i] for pair in seen} for i in (0, 1))
    if len(seeds) > 1 and len(splits) == 1:
        yield "A seed draws initial weights, order and dropout; the rows of all three parts are fixed."
    else:
        yield "A seed draws the validation split, initial weights, order and dropout; the test rows never move."


def _counts(table: Table) -> Iterator[str]:
    apart = []
    for belongs, verb, why in APART:
        found = [row for row in table.rows if belongs(row)]
        names = ", ".join(row.strategy for row in found)
        if found:
            does = verb.split()[len(found) > 1]
            yield f"{len(found)} of {len(table.rows)} strategies {does} {why}: not run ({names})."
        apart += found
    states = Counter(outcome.state for row in table.rows if row not in apart for outcome in row.outcomes)
    planned, others = sum(states.values()), " of the others" if apart else ""
    if states["done"] < planned:
        stated = ", ".join(f"{states[state]} {state}" for state in BAD if states[state])
        yield f"Of {planned} planned runs{others} {states['done']} are done; {stated}."
    if any(row.done and not row.comparable for row in table.rows):
        yield (
            "A row with runs that did not end well is tested on no pair, and neither bold nor on the front: its mean "
            "is that of survivors."
        )


def _cost(table: Table) -> Iterator[str]:
    if table.cost is None or not any(row.front for row in table.rows):
        return
    cost = "end-to-end latency at batch 1" if table.cost == "latency" else "fusion parameters"
    noise = "of the paired difference" + ("; for latency the spread between rounds" if table.cost == "latency" else "")
    yield (
        f"Front ●: no other strategy has at {'most' if lower_is_better(table.metric) else 'least'} that mean "
        f"{title(table.metric)} at no more {cost}, one of the two "
        f"beyond the interval ({noise})."
    )


def _latency(table: Table) -> Iterator[str]:
    latency = table.latency
    if latency is None:
        if any(row.done for row in table.rows):
            own = table.dataset.name == COMPARED  # There is no suite of that name to call by.
            way = 'measures=["size", "latency"]' if own else f"fusionbench latency {table.suite}"
            yield f"Latency was not measured; `{way}` does."
        return
    timed = len({strategy for strategy, _, _ in latency.timings})
    threads = f"{latency.threads} thread{'s' * (latency.threads > 1)}"
    yield (
        f"Latency: median time of a whole batch (not per sample) on {latency.device}, {threads}, "
        f"one session of {latency.started[:10]}"
        + (f" with {timed} of {len(table.rows)} strategies." if timed < len(table.rows) else ".")
    )
    if latency.indicative:
        yield f"Latency is indicative: some timings have under {ENOUGH_SECONDS:.0f} s or {ENOUGH_CALLS} calls."


def _training(table: Table) -> Iterator[str]:
    records = [o.record for row in table.rows for o in row.outcomes if o.record and o.state == "done"]
    threads = sorted({record.threads for record in records})
    trained = f", trained with {' or '.join(map(str, threads))} thread{'s' * (threads != [1])} a run" if threads else ""
    version = f", results version {records[0].results_version}" if records else ""
    yield f"Track {track_label(table.track)}{trained}{version}."
    if any(not o.run.budget.head_norm for row in table.rows for o in row.outcomes):
        yield "What enters the MLP heads is not normalised here: sizes of first signals are part of what is compared."
    methods = {o.run.budget.method: None for row in table.rows for o in row.outcomes}
    if any(method != Budget().method for method in methods):
        yield f"Trained by {' or '.join(methods)}."
    yield from _matching(table)
    yield from tuning(table)
    yield from pretrained(table)


def _matching(table: Table) -> Iterator[str]:
    """What a track that matches parameters holds equal, and what it chooses."""
    options, seeds = table.track.options, ", ".join(map(str, table.seeds))
    if table.track.name != MATCHED_PARAMETERS:
        return
    targets = {row.fixed["target_parameters"] for row in table.rows if "target_parameters" in row.fixed}
    given = "" if options["target"] else ", what concat has at the default width"
    for target in sorted(targets):
        has = f"has {target:,} fusion parameters within 5 %{given}:"
        if solves_own(table.track):
            yield f"Every strategy with a width of its own {has} it is solved for; heads are as wide as the encodings."
        else:
            yield f"Every strategy that looks at its input {has} the width of its MLP head is solved for."
    headless = [r.strategy for r in table.rows if r.uses != "none" and r.fixed and "target_parameters" not in r.fixed]
    if targets and headless:
        yield f"Without a head, and as they are: {', '.join(headless)}."
    rates = ", ".join(f"{rate:g}" for rate in options["learning_rates"])
    if len(options["learning_rates"]) > 1:
        grown = f"; while the best was the last, the next ({FACTOR:g} times) was tried too, {options['grow']} each way"
        yield (
            f"Learning rate: for each strategy the best on validation of {rates}, by one trial each at seed "
            f"{options['trial_seed']}, which is none of those evaluated ({seeds}){grown if options['grow'] else ''}; "
            "trials are never tested."
        )
        edge = [row.strategy for row in table.rows if limit(row)]
        if edge:
            yield f"At the last rate that the grid may reach: {', '.join(edge)}."
    else:
        yield f"Learning rate {rates} for all."


def _data(table: Table) -> Iterator[str]:
    records = [o.record for row in table.rows for o in row.outcomes if o.record and o.record.data]
    facts = records[0].data if records else None
    if facts:
        seen = {
            part: sorted({r.data.counts[part] for r in records if r.data}) for part in PARTS if part in facts.counts
        }
        rows = ", ".join(f"{' or '.join(f'{count:,}' for count in counts)} {part}" for part, counts in seen.items())
        yield f"Data {table.title}: {rows}; fingerprint {facts.fingerprint[:12]}."
    try:
        doc = " ".join(describe("dataset", table.dataset.name).doc.split())
    except UserError:
        return
    # The sentence in which a dataset says that its modalities are views of one source.
    found = re.search(r"Multi-view data\b[^.]*\.", doc)
    if found:
        yield found.group()
