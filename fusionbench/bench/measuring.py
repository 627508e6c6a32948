"""Measures of trained models: in a run's own process after its record, or later from its weights or from a repeat.

Whoever measures later tests the model again and compares with the record. Where the scores are not the same byte for
byte (another processor, another version), the measure's file says both, `of_repeat`, and so do captions.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Any

from fusionbench.bench.again import model_again
from fusionbench.bench.build import dataset_of, seeded
from fusionbench.bench.encodings import EncodingsOfChanged, encoded_data
from fusionbench.bench.jobs import MeasureJob, Message, Report, TrainJob
from fusionbench.bench.ready import Ready
from fusionbench.bench.session import model_of, store_measures
from fusionbench.core.catalogue import load, with_later
from fusionbench.core.errors import Interrupted, UserError, reason_of
from fusionbench.core.ranks import ALONE
from fusionbench.data.base import MultimodalData
from fusionbench.measure.trained import Trained
from fusionbench.plan.measures import fits, needs
from fusionbench.plan.suite import Choice, RunSpec
from fusionbench.records.reading import stated
from fusionbench.records.store import Store


def of_trained(measures: Sequence[Choice], run: RunSpec) -> tuple[Choice, ...]:
    """Those of the measures that need a trained model, and are defined for the run's task."""
    return tuple(one for one in measures if needs(one) == "trained" and fits(one, run.dataset))


def take_measures(
    store: Store, job: TrainJob | MeasureJob, ready: Ready, report: Report, repeat: dict[str, Any] | None = None
) -> list[str]:
    """Take and publish what a job asks for of its trained model.

    Args:
        store: takes the files.
        job: says which measures.
        ready: the model, with the weights of its best epoch.
        report: told how far each is.
        repeat: added to each file: what differs where the model is not the very one of the record.

    Returns:
        Those that failed, and why, a line each: the record stays, and the measure may be asked for again.
    """
    run, failed = job.run, []
    ready.data.share_out(ALONE)
    stores = job.place.stores(run)
    data = encoded_data(run, ready.module, ready.data) if stores else ready.data
    shared = EncodingsOfChanged(run, ready.module, ready.data) if stores else None
    for choice in of_trained(job.measures, run):
        if store.has_measure(run, choice):
            continue
        try:
            with seeded(run.seed, f"measure/{choice.name}"):
                values = _values(choice, ready, data, shared, run, report)
            store.publish_measure(run, choice.name, {**values, **stated(choice), **(repeat or {})})
        except (UserError, Interrupted, OSError):
            raise
        except Exception as error:  # noqa: BLE001  (a strategy's own code runs in it)
            traceback.print_exc()
            failed.append(f"{choice.name}: {reason_of(error)}")
    return failed


def _values(
    choice: Choice, ready: Ready, data: MultimodalData, shared: EncodingsOfChanged | None, run: RunSpec, report: Report
) -> dict[str, Any]:
    def tell(done: int, total: int) -> None:
        report.progress(done, total, choice.name)

    trained = Trained(ready.module, data, ready.data, run.budget.precision, tell, shared)
    options = with_later("measure", choice.name, choice.options)
    found: dict[str, Any] = load("measure", choice.name)(trained, **options)
    return found


def measure(job: MeasureJob, report: Report) -> Message:
    """Take the measures of a run that is done.

    Raises:
        UserError: its weights are damaged or of another version, or the repeat ended in another way.
    """
    store = Store(job.place.results, job.place.suite)
    if all(store.has_measure(job.run, choice) for choice in of_trained(job.measures, job.run)):
        data = dataset_of(job.run, job.place.data)
        data.setup()
        store_measures(store, job, model_of(job.run, data, store), data)
        return Message("finished", "measured")
    ready, _, repeat = model_again(job.run, job.place, store, report)
    store_measures(store, job, ready.module, ready.data)
    failed = take_measures(store, job, ready, report, repeat)
    text = "from its weights" if not repeat else "of a repeat"
    return Message("finished", "measured", facts={"unmeasured": failed, "how": text})
