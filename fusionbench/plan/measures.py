"""What the file of a measure states of it, as literals: when it can be taken, and of which tasks.

needs = "trained"                         after the run's one test, from the weights of its best epoch
needs = "session"                         after all training, of all strategies at once
needs = "model"                           before training, from the model as it is built; where it does not say
kinds = ("multiclass", "multilabel")      kinds of task that it is defined for; where it does not say: all
least = {"rows": 1}                       the smallest value of an option
encodes = {"image": 30}                   how often each of its `rows` is encoded and stored, by modality's kind
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from fusionbench.core.catalogue import describe
from fusionbench.core.errors import UserError
from fusionbench.core.scores import OF_KIND
from fusionbench.plan.ranking import kind_of
from fusionbench.plan.suite import Choice

Needs = Literal["model", "trained", "session"]


def needs(measure: Choice) -> Needs:
    """When it is taken."""
    found = describe("measure", measure.name).facts.get("needs", "model")
    return found if found in ("trained", "session") else "model"


def fits(measure: Choice, dataset: Choice) -> bool:
    """Whether it is defined for the dataset's kind of task."""
    return kind_of(dataset) in describe("measure", measure.name).facts.get("kinds", tuple(OF_KIND))


def of_runs(measures: Iterable[Choice], dataset: Choice) -> tuple[Choice, ...]:
    """Those that are taken of each run on a dataset."""
    return tuple(one for one in measures if needs(one) != "session" and fits(one, dataset))


def check_measures(measures: Sequence[Choice], datasets: Sequence[Choice], place: Callable[[int], str]) -> None:
    """Refuse two of one name, an option below its least value, and a measure that fits none of the datasets.

    Args:
        measures: with their options.
        datasets: of the suite.
        place: says where the measure of that number stands.

    Raises:
        UserError: one of these.
    """
    for number, measure in enumerate(measures):
        facts = describe("measure", measure.name).facts
        if measure.name in [other.name for other in measures[:number]]:
            raise UserError(f"{place(number)}: '{measure.name}' is named twice; each has one file beside a record")
        for option, least in facts.get("least", {}).items():
            if measure.options[option] < least:
                given = measure.options[option]
                raise UserError(f"{place(number)}: measure '{measure.name}': {option} is {given}, at least {least}")
        if not any(fits(measure, dataset) for dataset in datasets):
            kinds = " or ".join(facts["kinds"])
            of = ", ".join(f"'{one.name}' is {kind_of(one)}" for one in datasets)
            raise UserError(f"{place(number)}: measure '{measure.name}' is defined for {kinds} tasks alone; {of}")
