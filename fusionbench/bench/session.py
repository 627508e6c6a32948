"""Jobs besides training: preparing data, measures of an untrained model, a latency session over all strategies."""

from __future__ import annotations

import traceback
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime

import numpy as np
import torch

from fusionbench.bench.build import Unsuitable, build, data_facts, dataset_of, setting_for
from fusionbench.bench.encoding_sizes import size_told
from fusionbench.bench.jobs import LatencyJob, MeasureJob, Message, PrepareJob, Report, TrainJob
from fusionbench.core.catalogue import load, with_later
from fusionbench.core.errors import Interrupted, UserError, reason_of
from fusionbench.core.ranks import Ranks
from fusionbench.data.base import MultimodalData
from fusionbench.data.targets import refuse_undefined
from fusionbench.fusion.base import FusionModule
from fusionbench.measure.latency import measure as measure_latency
from fusionbench.plan.measures import needs
from fusionbench.plan.names import slug
from fusionbench.plan.suite import RunSpec
from fusionbench.records.reading import stated
from fusionbench.records.store import Store

LATENCY_SEED = 0
"""Draws the samples that are timed and the order of cells."""


def model_of(run: RunSpec, data: MultimodalData, store: Store) -> FusionModule:
    """A run's model, untrained; where trials chose options of its strategy, with those that its record names."""
    setting, record = setting_for(run, data.asked), store.read(run) if run.space else None
    chosen = record.options.get("own", {}) if record else {}
    return build(run, replace(setting, solved={**setting.solved, **chosen}))


def store_measures(store: Store, job: TrainJob | MeasureJob, module: FusionModule, data: MultimodalData) -> None:
    """Take and publish the measures that need nothing but one run's model and some samples."""
    assert data.parts is not None
    for choice in job.measures:
        if needs(choice) == "model":
            batch = data.batch(data.parts.test[:2])
            options = with_later("measure", choice.name, choice.options)
            values = load("measure", choice.name)(module, batch, **options)
            store.publish_measure(job.run, choice.name, {**values, **stated(choice)})


def prepare(job: PrepareJob) -> Message:
    """One dataset ready, every model built once; the message carries the data's facts."""
    data = _ready(job)
    refuse_undefined(data)
    data.share_out(Ranks(0, job.devices))
    for run in job.runs:
        _try(run, data)
    facts = asdict(data_facts(job.runs[0], data))
    size = size_told(job.runs, data, job.place, job.seeds, job.measures)
    return Message("finished", "prepared", facts={**facts, "encodings": size})


def _ready(job: PrepareJob) -> MultimodalData:
    """The dataset converted, set up and found to be right.

    Raises:
        UserError: it is not, or its own code fails.
    """
    try:
        data = dataset_of(job.runs[0], job.place.data)
        data.prepare_data()
        data.setup()
    except (UserError, Interrupted):
        raise
    except Exception as error:
        if job.place.debug:
            traceback.print_exc()
        raise UserError(f"{job.runs[0].dataset.name}: cannot be prepared: {reason_of(error)}") from error
    return data


def _try(run: RunSpec, data: MultimodalData) -> None:
    """Build a model once; raises UserError for a wrong option, and leaves what else may be wrong to its record."""
    try:
        build(run, setting_for(run, data.asked))
    except UserError:
        raise
    except Exception:  # noqa: BLE001  (training meets it again, and records it)
        return


def time_strategies(job: LatencyJob, report: Report) -> Message:
    """One latency session; models are built from their specs, since weights do not change times."""
    started, store = datetime.now(UTC), Store(job.place.results, job.place.suite)
    data = dataset_of(job.runs[0], job.place.data)
    data.setup()
    assert data.parts is not None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rng = np.random.default_rng(LATENCY_SEED)
    test_rows = data.parts.test
    sizes = job.options["batch_sizes"]
    batches = {size: data.batch(np.sort(rng.choice(test_rows, size))).to(device) for size in sizes}
    modules = {}
    for run in job.runs:
        with suppress(Unsuitable):  # Nobody has tried it yet; it will be a row without scores.
            modules[slug("strategy", run.strategy)] = model_of(run, data, store).to(device)
    rows = measure_latency(
        modules, batches, rng, lambda done, total: report.progress(done, total, "latency"), **job.options
    )
    session = {
        "dataset": job.runs[0].dataset.to_json(),
        "track": job.runs[0].track.to_json(),
        "options": job.options,
        "device": torch.cuda.get_device_name() if device == "cuda" else job.place.environment["cpu"],
        "environment": job.place.environment,
        "started": started.isoformat(timespec="milliseconds"),
        "finished": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "rows": rows,
    }
    path = store.publish_latency(job.runs[0].dataset, session)
    return Message("finished", "timed", facts={"path": str(path)})
