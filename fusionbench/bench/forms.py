"""A latency session over forms of trained models: how fast, how large and how right each of them is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fusionbench.bench.again import model_again
from fusionbench.bench.jobs import LatencyJob, Message, Report
from fusionbench.bench.session import LATENCY_SEED
from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.errors import reason_of
from fusionbench.data.base import MultimodalData
from fusionbench.data.orders import InOrder
from fusionbench.data.splits import Rows
from fusionbench.fusion.base import FusionModule
from fusionbench.measure.forms import Forms, Made, made_forms, timed_forms
from fusionbench.measure.trained import Trained
from fusionbench.plan.names import slug
from fusionbench.plan.suite import RunSpec
from fusionbench.records.store import Store

MOST = 1000
"""Test rows that each form is scored on."""


def time_forms(job: LatencyJob, report: Report) -> Message:
    """One session over all forms of the runs' models, made, scored and timed; it is published beside other sessions."""
    started, store = datetime.now(UTC), Store(job.place.results, job.place.suite)
    made: list[Made] = []
    found: list[dict[str, Any]] = []
    batches: dict[int, MultimodalBatch] = {}
    for number, run in enumerate(job.runs):
        report.progress(number, len(job.runs), f"forms of {slug('strategy', run.strategy)}")
        trained, facts = _trained(job, run, store, report)
        data, rng = trained.inputs, np.random.default_rng(LATENCY_SEED)
        assert data.parts is not None
        batches = {size: data.batch(np.sort(rng.choice(data.parts.test, size))) for size in job.options["batch_sizes"]}
        for form in made_forms(slug("strategy", run.strategy), _forms(trained), job.forms):
            one, scored = _tried(form, trained, batches.values())
            made.append(one)
            found.append({**_facts(one), **scored, **facts})
    rows = timed_forms(made, batches, rng, lambda done, total: report.progress(done, total, "latency"), **job.options)
    session = {
        "dataset": job.runs[0].dataset.to_json(),
        "track": job.runs[0].track.to_json(),
        "options": job.options,
        "device": job.place.environment["cpu"],
        "environment": job.place.environment,
        "started": started.isoformat(timespec="milliseconds"),
        "finished": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "metric": data.asked.metric,
        "forms": found,
        "rows": rows,
    }
    return Message("finished", "timed", facts={"path": str(store.publish_latency(job.runs[0].dataset, session))})


def _trained(job: LatencyJob, run: RunSpec, store: Store, report: Report) -> tuple[Trained, dict[str, Any]]:
    """The model of a run that is done, and what its forms' lines say of it."""
    ready, _, repeat = model_again(run, job.place, store, report)
    # Measures meet what the model was tested with; forms meet inputs.
    return Trained(ready.module, ready.data, ready.data), {"key": run.key, **repeat}


def _forms(trained: Trained) -> Forms:
    parts = trained.inputs.parts
    assert parts is not None
    return Forms(trained.module.eval().cpu(), trained.inputs.batch(parts.test[:2]))


def _tried(made: Made, trained: Trained, batches: Iterable[MultimodalBatch]) -> tuple[Made, dict[str, Any]]:
    """The form and what it scores; without it, and why, if it cannot be run on batches of every size.

    Some are compiled only when a batch of another size comes: that may fail, and costs no other form its session.
    """
    try:
        scored = _scored(made, trained)
        with torch.inference_mode():
            for call in [made.form.bound(batch, 1) for batch in batches] if made.form else ():
                call()
    except Exception as error:  # noqa: BLE001 - whatever a compiler or a runtime raises
        return replace(made, form=None, reason=f"it cannot be run: {reason_of(error)}"), {}
    return made, scored


def _facts(made: Made) -> dict[str, Any]:
    named = {"strategy": made.strategy, "form": made.name, "made_seconds": round(made.seconds, 3)}
    return {**named, "bytes": made.form.bytes} if made.form else {**named, "reason": made.reason}


def _scored(made: Made, trained: Trained) -> dict[str, Any]:
    """Scores of a form on test rows, and how far it is from the model as it was trained."""
    if made.form is None:
        return {}
    parts = trained.inputs.parts
    assert parts is not None
    rows = trained.some(parts.test, MOST, "forms")
    apart: list[float] = []
    with torch.inference_mode():
        scores = trained.scores(_outputs(made, trained.module, trained.inputs, rows, apart))
    return {"rows": len(rows), "scores": scores, "logits_apart": max(apart)}


def _outputs(
    made: Made, module: FusionModule, data: MultimodalData, rows: Rows, apart: list[float]
) -> Iterator[tuple[Tensor, Tensor]]:
    """What a form gives, as the model itself gives it, and targets; notes how far it is from the model's own."""
    assert made.form is not None
    for some in InOrder(rows):
        batch = data.batch(some)
        told = made.form.bound(batch, 1)()
        own = module(batch.inputs, batch.masks, batch.present)
        apart.append(float((told - own).abs().max()))
        yield standardised(module, told), batch.targets


def standardised(module: FusionModule, told: Tensor) -> Tensor:
    """Outputs in the data's unit as losses and scores have them; logits are the same in both."""
    return told if module.target_scale is None else module.target_scale.standardised(told)
