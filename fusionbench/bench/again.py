"""The trained model of a run that is done: from its weights where they are kept, else trained once more.

Either way it is tested again and held against the record. Where the scores are not the same byte for byte (another
processor, another version), whoever uses the model is told both.
"""

from __future__ import annotations

from typing import Any

from fusionbench.bench.build import Unsuitable, seeded, training_data
from fusionbench.bench.jobs import Place, Report
from fusionbench.bench.ready import Ready, made_ready, seen
from fusionbench.bench.weights import load_weights
from fusionbench.core.errors import Diverged, UserError
from fusionbench.plan.suite import RunSpec
from fusionbench.records.record import Record
from fusionbench.records.store import Store
from fusionbench.records.weights import checked_weights
from fusionbench.training.fit import evaluate, fit


def model_again(run: RunSpec, place: Place, store: Store, report: Report) -> tuple[Ready, Record, dict[str, Any]]:
    """The model with the weights of its best epoch, and what differs from the record.

    Args:
        run: whose model; it is done.
        place: where the data are.
        store: has the record, and the weights if any are kept.
        report: told how far a repeat is.

    Returns:
        The model and its data; the record; empty if the model gives the record's scores byte for byte, else both, as
        `of_repeat`.

    Raises:
        UserError: its weights are damaged or of another version, or the repeat ended in another way.
    """
    record = store.read(run)
    assert record is not None
    try:
        ready, repeat = _tested_again(run, record, place, store, report)
    except (Diverged, Unsuitable) as error:
        raise UserError(f"{run.key}: it is done, and this time it could not be: {error}") from error
    return ready, record, repeat


def _tested_again(
    run: RunSpec, record: Record, place: Place, store: Store, report: Report
) -> tuple[Ready, dict[str, Any]]:
    ready = made_ready(run, training_data(run, place.data), place, store)
    path, budget = checked_weights(store, run), ready.chosen.budget
    with seen(place, run, ready) as found:
        if path is None:
            with seeded(run.seed, "training"):
                fit(ready.module, found, budget, lambda epoch, _: report.progress(epoch, budget.epochs, "repeat"))
        else:
            load_weights(ready.module, path)
        tested = evaluate(ready.module, found, budget)
    if tested.scores == record.scores:
        return ready, {}
    name = f"test/{record.task['metric']}"
    differing = {name: {"record": record.scores.get(name), "here": tested.scores.get(name)}}
    return ready, {"of_repeat": differing}
