"""The trained model of a run as a file that runs without fusionbench: a graph of torch.export, or ONNX."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from fusionbench.bench.again import model_again
from fusionbench.bench.jobs import ExportJob, Message, Report
from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.errors import UserError
from fusionbench.core.files import write_over
from fusionbench.data.base import MultimodalData
from fusionbench.fusion.base import FusionModule
from fusionbench.measure.exported import Exported, exported, graph_for_onnx, onnx_bytes, program_bytes
from fusionbench.measure.onnx_runtime import Session
from fusionbench.plan.names import slug
from fusionbench.records.record import Record
from fusionbench.records.store import Store
from fusionbench.records.weights import has_weights

CHECKED = 64
"""Test rows on which the file is held against the model."""
APART = 1e-4
"""By so much they may differ, relative where logits, or numbers, are larger than 1."""


def export(job: ExportJob, report: Report) -> Message:
    """Write the file, once it was seen to give what the model gives.

    Raises:
        UserError: a part of the model has no such form, the file gives other logits, or it cannot be written.
    """
    run, store = job.run, Store(job.place.results, job.place.suite)
    kept = has_weights(store, run)
    ready, record, repeat = model_again(run, job.place, store, report)
    module, data = ready.module.eval().cpu(), ready.data
    assert data.parts is not None
    name = f"strategy '{slug('strategy', run.strategy)}'"
    try:
        sample = data.batch(data.parts.test[:2])
        graph = exported(module, sample)
        if job.form == "onnx":
            graph = graph_for_onnx(module, sample, graph)
        about = _about(record, data, graph, repeat)
        content = onnx_bytes(graph, about) if job.form == "onnx" else program_bytes(graph, about)
    except UserError as error:
        raise UserError(f"{name}: {error}") from error
    batch = data.batch(data.parts.test[:CHECKED])
    apart = _apart(module, graph, content, batch, job)
    if not apart <= APART:
        raise UserError(f"{name}: the {job.form} form gives other logits than the model, by {apart:.2g}; not written")
    _write(job.path, content)
    facts = {"bytes": len(content), "rows": len(batch), "apart": apart, "how": "weights" if kept else "repeat"}
    return Message("finished", "exported", facts={**facts, "about": about})


def _about(record: Record, data: MultimodalData, graph: Exported, repeat: dict[str, Any]) -> dict[str, Any]:
    """What the file says of itself: JSON."""
    run, task = record.run, data.asked
    return {
        "key": record.key,
        "dataset": run.dataset.to_json(),
        "strategy": run.strategy.to_json(),
        "seed": run.seed,
        "fingerprint": data.fingerprint,
        "task": {"kind": task.kind, "classes": task.classes, "metric": task.metric},
        "scores": record.scores,
        "inputs": [{"name": entry.name, **asdict(entry)} for entry in graph.entries],
        **repeat,
    }


def _apart(module: FusionModule, graph: Exported, content: bytes, batch: MultimodalBatch, job: ExportJob) -> float:
    """How far the file's logits are from the model's, at most; relative to their size where that is above 1."""
    with torch.inference_mode():
        own = module(batch.inputs, batch.masks, batch.present)
        if job.form == "onnx":
            found = Session(content, graph, job.place.threads).bound(batch)()
        else:
            found = graph.program.module()(*graph.dicts(batch).values())
    return float((found - own).abs().max()) / max(1.0, float(own.abs().max()))


def _write(path: Path, content: bytes) -> None:
    try:
        write_over(path, content)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from error
