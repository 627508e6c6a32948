"""What a job is called where a user meets it."""

from __future__ import annotations

from fusionbench.bench.jobs import (
    EncodeJob,
    ExplainJob,
    ExportJob,
    Job,
    LatencyJob,
    MeasureJob,
    PrepareJob,
    PretrainJob,
    RendezvousJob,
    TimeJob,
    TrainJob,
)
from fusionbench.plan.names import slug, trial_label

DOES = {MeasureJob: "measuring", ExportJob: "exporting", ExplainJob: "explaining"}


def title(job: Job) -> str:
    """The job in a few words: `digits / gated, seed 2`."""
    match job:
        case TrainJob():
            of = f"seed {job.run.seed}" if job.run.role == "final" else trial_label(job.run)
            return f"{slug('dataset', job.run.dataset)} / {slug('strategy', job.run.strategy)}, {of}"
        case TimeJob() | MeasureJob() | ExportJob() | ExplainJob():
            encoder = f"encoder of {job.modality}" if isinstance(job, TimeJob) and job.modality else ""
            what = f"{slug('dataset', job.run.dataset)} / {encoder or slug('strategy', job.run.strategy)}"
            return f"timing {what}" if isinstance(job, TimeJob) else f"{DOES[type(job)]} {what}, seed {job.run.seed}"
        case PrepareJob():
            return f"preparing {slug('dataset', job.runs[0].dataset)}"
        case PretrainJob() | EncodeJob():
            what = "pretraining" if isinstance(job, PretrainJob) else "encoding"
            return f"{what} {slug('dataset', job.run.dataset)} / {job.modality}, seed {job.run.seed}"
        case RendezvousJob():
            return f"starting {job.devices} {'process' if job.devices == 1 else 'processes'}"
        case LatencyJob():
            return f"timing {slug('dataset', job.runs[0].dataset)}, {len(job.runs)} strategies interleaved"
