"""What a reader has to know of one row beside its numbers, in words made from its records."""

from __future__ import annotations

from fusionbench.core.output import printable
from fusionbench.plan.tracks import head_times, is_at_limit
from fusionbench.report.collect import Outcome, State, facts_of, is_own_network
from fusionbench.report.rows import TableRow

UNCHECKED = "own, contract not run"
BAD: tuple[State, ...] = ("diverged", "failed", "skipped", "missing")
"""Ends of runs that have no scores, the worst first."""


def note(row: TableRow) -> str:
    """What a reader has to know of a row: what went wrong, what its models say of themselves, a rate at the limit."""
    return "; ".join(parts(row))


def parts(row: TableRow) -> tuple[str, ...]:
    """The same, one by one: rows may have some of them in common."""
    return tuple(filter(None, (problems(row), own(row), *of_models(row), narrow_head(row), limit(row))))


def short_note(row: TableRow) -> str:
    """What stands beside a row on a terminal: what went wrong, and that it is somebody's own network."""
    return "; ".join(filter(None, (problems(row), own(row))))


def own(row: TableRow) -> str:
    """That a row is a network of the user's own, which nobody has held to the contract; else empty."""
    return UNCHECKED if is_own_network(row.outcomes[0].run.strategy) else ""


def has_nothing_to_train(row: TableRow) -> bool:
    """Whether it was skipped since it is a way of training encoders, and here some are frozen."""
    runs = [outcome.run for outcome in row.outcomes]
    return (
        facts_of(runs[0].strategy).get("trains_encoders") is True
        and all(outcome.state == "skipped" for outcome in row.outcomes)
        and all(any(choice.is_frozen for choice in run.encoders.values()) for run in runs)
    )


def has_nothing_frozen(row: TableRow) -> bool:
    """Whether it was skipped since it is solved for on encodings that stay, and here some encoder is trained."""
    runs = [outcome.run for outcome in row.outcomes]
    return (
        facts_of(runs[0].strategy).get("fitted") is True
        and all(outcome.state == "skipped" for outcome in row.outcomes)
        and not any(run.is_frozen for run in runs)
    )


def of_models(row: TableRow) -> tuple[str, ...]:
    """What the models of its done runs say of themselves, each sentence once."""
    said = (text for o in row.outcomes if o.scores and o.record for text in o.record.notes)
    return tuple(dict.fromkeys(printable(text).removesuffix(".") for text in said))


def narrow_head(row: TableRow) -> str:
    """Where a match leaves heads that are narrower than the encodings: they, not the fusion, may be what limits it."""
    fixed = row.fixed
    if "target_parameters" not in fixed or row.uses == "none":
        return ""
    units = head_times(row.outcomes[0].run.strategy) * fixed["head_width"]
    return f"heads of {units} units, fewer than the {fixed['width']} of an encoding" if units < fixed["width"] else ""


def own_width(row: TableRow) -> str:
    """The strategy's own option that was solved for, as `hidden=96`; empty where none was."""
    return ", ".join(f"{option}={value}" for option, value in row.fixed.get("solved", {}).items())


def limit(row: TableRow) -> str:
    """Where the learning rate is the last that its grid may grow to: the validation scores of all; else empty."""
    for outcome in row.outcomes:
        options = outcome.record.options if outcome.record and outcome.scores else {}
        trials = {float(rate): found for rate, found in options.get("trials", {}).items()}
        if trials and is_at_limit(outcome.run, list(trials), options["learning_rate"]):
            curve = ", ".join(f"{rate:g}: {_trial(trials[rate])}" for rate in sorted(trials))
            return f"learning rate {options['learning_rate']:g} is the last of its grid (on validation {curve})"
    return ""


def problems(row: TableRow) -> str:
    """What went wrong in a row: `1 diverged (seed 2: loss is nan)`; empty if nothing did."""
    groups: dict[tuple[State, str], list[int]] = {}
    for outcome in row.outcomes:
        if outcome.state != "done":
            groups.setdefault((outcome.state, outcome.reason), []).append(outcome.run.seed)
    ordered = sorted(groups.items(), key=lambda group: (BAD.index(group[0][0]), group[1]))
    return "; ".join(_group(state, reason, seeds, row.outcomes) for (state, reason), seeds in ordered)


def _group(state: State, reason: str, seeds: list[int], planned: tuple[Outcome, ...]) -> str:
    words = printable(reason)
    if len(seeds) == len(planned):
        return f"{state}: {words}" if words else state
    which = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    return f"{len(seeds)} {state} ({which}{': ' + words if words else ''})"


def _trial(found: float | None) -> str:
    return "not done" if found is None else f"{found:.4f}"
