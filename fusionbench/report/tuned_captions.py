"""The words around what was tuned: what was searched, what an interval is about, and what it leaves out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from fusionbench.core.scores import lower_is_better
from fusionbench.plan.suite import TUNED
from fusionbench.report.numbers import decimals
from fusionbench.report.tables import Table
from fusionbench.report.titles import title
from fusionbench.report.tuned_rows import Tuning

LEFT_OUT = (
    "the tuning's own chance: it takes the point that won as given, and a search at other points, or at other trial "
    "seeds, may end at another one"
)


def tuning(table: Table) -> Iterator[str]:
    """What a table of the track says of it; nothing of another track."""
    options = table.track.options
    if table.track.name == TUNED and "trials" in options:
        trials, seeds = options["trials"], ", ".join(map(str, options["trial_seeds"]))
        yield (
            f"Tuned: each strategy has the best on validation of {trials} points of one Sobol sequence, by trials at "
            f"seeds {seeds}, which are none of those evaluated; trials are never tested."
        )
        yield f"Every interval leaves out {LEFT_OUT}."


def caption(found: Tuning) -> tuple[str, ...]:
    """The sentences below the page's table, each on one subject."""
    return tuple(sentence for part in (_ways, _space, _intervals, _spreads, _ended) for sentence in part(found))


def picture_caption(found: Tuning) -> tuple[str, ...]:
    """What the picture of the searches shows, and how far it can be trusted."""
    each = len(found.track.options["trial_seeds"])
    trials = f", {each} trials each" if each > 1 else ""
    return (
        f"Best of n: validation {title(found.metric)} that the best of n of these points has on average{trials}, drawn "
        "with replacement (Dodge et al. 2019); band: ± one standard deviation, not beyond what was seen.",
        "Points of a Sobol sequence lie more evenly than the independent draws that this is made for, and where n is "
        "near the number of points it is too low (Tang et al. 2020): search.csv has their unbiased estimate, too.",
        "Dotted: the default's mean validation score at the evaluated seeds, which may have other validation rows."
        if found.default
        else "",
    )


def _ways(found: Tuning) -> Iterator[str]:
    options, metric = found.track.options, title(found.metric)
    trial_seeds, seeds = (", ".join(map(str, some)) for some in (options["trial_seeds"], found.seeds))
    if found.default:
        runs = [outcome.run for row in found.rows if row.default for outcome in row.default.outcomes]
        budget = runs[0].budget
        yield (
            f"Default: track {found.default.name}, for all learning rate {budget.learning_rate:g}, weight decay "
            f"{budget.weight_decay:g}, dropout {budget.dropout:g}."
        )
    yield (
        f"Tuned: for each strategy the point of {options['trials']} with the best mean validation {metric} over trials "
        f"at seeds {trial_seeds}, which no table evaluates; trained anew at seeds {seeds}. trials.csv has all trials."
    )


def _space(found: Tuning) -> Iterator[str]:
    options = found.track.options
    ranges = {name: " to ".join(f"{end:g}" for end in options[name]) for name in ("learning_rate", "weight_decay")}
    own = any(row.tuned.outcomes[0].run.space for row in found.rows)
    yield (
        f"Points of one scrambled Sobol sequence, the same for all strategies: learning rate {ranges['learning_rate']} "
        f"and weight decay {ranges['weight_decay']}, log-uniform, dropout "
        f"{' to '.join(f'{end:g}' for end in options['dropout'])}{'; and options of their own' if own else ''}."
    )


def _intervals(found: Tuning) -> Iterator[str]:
    means = [mean for row in found.rows for way in (row.default, row.tuned) if (mean := row.mean(way))]
    if not means:
        yield "No run is done yet."
        return
    if all(mean.half_width is None for mean in means):
        yield "At one seed there is no interval."
        return
    rows = "" if any(mean.test_error is None for mean in means) else " and test rows"
    paired = "; tuned less default is paired by both" if rows else "; tuned less default is paired by seed"
    yield (
        f"Mean ± half-width of the 95 % interval over seeds{rows}{paired if found.default else ''}; each interval is "
        "by itself, none is corrected for how many there are."
    )
    yield f"Every interval here leaves out {LEFT_OUT}."


def _spreads(found: Tuning) -> Iterator[str]:
    yield (
        f"Spread of the winner over seeds: standard deviation of its test {title(found.metric)}; over searches: of the "
        f"best validation {title(found.metric)} that searches of as many points drawn from these find, which is what "
        "the trials show of the tuning's own chance."
    )


def _ended(found: Tuning) -> Iterator[str]:
    states = Counter(
        record.status if record else "missing" for row in found.rows for one in row.tried for _, record in one.trials
    )
    planned = sum(states.values())
    if states["done"] < planned:
        others = ", ".join(f"{count} {state}" for state, count in sorted(states.items()) if state != "done")
        yield (
            f"Of {planned} trials {states['done']} ended well; {others}. A point with a trial that failed or diverged "
            "counts as tried, and is behind every one without."
        )


def gains(found: Tuning) -> Iterator[str]:
    """What tuning brought, in a sentence; nothing before there is a difference."""
    known = [(row.strategy, gain) for row in found.rows if (gain := row.gain)]
    if not known:
        return
    least, most = (pick(known, key=lambda pair: pair[1].mean) for pick in (min, max))
    ends = (f"{gain.mean:+.{decimals(gain.half_width)}f} (`{strategy}`)" for strategy, gain in (least, most))
    says = ", + being better" * lower_is_better(found.metric)
    yield f"Tuning moves test {title(found.metric)} by {' to '.join(ends)}{says}."
    if any(gain.low is not None for _, gain in known):
        better = [strategy for strategy, gain in known if gain.low is not None and gain.low > 0]
        worse = [strategy for strategy, gain in known if gain.high is not None and gain.high < 0]
        yield (
            f"Beyond its interval it is better for {_counted(better, len(known))}, worse for "
            f"{_counted(worse, len(known))}."
        )


def order(found: Tuning) -> Iterator[str]:
    """How alike the two orders of fusion strategies are."""
    agreement = found.order.agreement if found.order else None
    if agreement:
        tau = agreement.all
        yield (
            f"The order of the {agreement.strategies} fusion strategies by default and tuned: Kendall's tau "
            f"{tau.value:.2f} [{tau.low:.2f}, {tau.high:.2f}] (1 the same, 0 none in common)."
        )


def _counted(strategies: Sequence[str], among: int) -> str:
    """`2 of 11 (`gated`, `late`)`."""
    names = f" ({', '.join(f'`{strategy}`' for strategy in strategies)})" if strategies else ""
    return f"{len(strategies) or 'none'} of {among}{names}"
