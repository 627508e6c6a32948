"""`fusionbench export`: the trained model of a record as a file that runs without fusionbench."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fusionbench.api.work import Work
from fusionbench.bench.jobs import ExportJob, Message
from fusionbench.cli.suites import watchers
from fusionbench.core.errors import UserError
from fusionbench.core.scores import bare
from fusionbench.engines.gpus import visible_gpus
from fusionbench.engines.of_record import done_with_model
from fusionbench.plan.names import slug
from fusionbench.plan.suite import Suite
from fusionbench.records.find import Found, find
from fusionbench.report.numbers import count

ENDINGS = {"torch-export": ".pt2", "onnx": ".onnx"}


def report_exported(options: argparse.Namespace) -> None:
    """Write the file, say what goes in and out of it.

    Raises:
        UserError: no such record, weights that are not what they should be, or a model without this form; one line.
    """
    found = find(Path(options.results), options.key)
    path = target(options.out, f"{found.record.key}{ENDINGS[options.format]}")
    if options.format == "onnx":
        from fusionbench.core.extras import refuse_without_onnx

        refuse_without_onnx("--format onnx")
    message = of_model(found, options, lambda work: lambda run: ExportJob(work.place(), run, options.format, path))
    for line in lines(found, path, message.facts):
        print(line)


def of_model(found: Found, options: argparse.Namespace, make: Any) -> Message:
    """What a job says about the trained model of a record.

    Args:
        found: the record.
        options: data, threads, debug.
        make: makes of the work what makes the job of a run.
    """
    run = found.record.run
    suite = Suite(found.suite, (run.dataset,), (), (run.seed,), (run.track,), run.budget, ())
    data = Path(options.data) if options.data else None
    work = Work(suite, (run,), Path(options.results), data, threads=found.record.threads, debug=options.debug)
    with watchers(debug=options.debug)(0, 0) as watcher:
        return done_with_model(found, work.place(), watcher, visible_gpus(), make(work))


def target(given: str | None, name: str) -> Path:
    """Where a file goes: as given, into a folder that is given, else into the working folder.

    Raises:
        UserError: its folder is not there, or cannot be written.
    """
    path = Path(given) if given else Path(name)
    path = path / name if path.is_dir() else path
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise UserError(f"--out {path}: no folder {path.parent} that can be written; create it, or name another")
    return path


def titled(found: Found) -> str:
    """A record as lines name it."""
    run = found.record.run
    return f"{run.key} ({slug('dataset', run.dataset)} / {slug('strategy', run.strategy)}, seed {run.seed})"


def of_repeat(facts: Mapping[str, Any]) -> Iterator[str]:
    """What is said where the model is not the very one of the record."""
    for name, both in facts.get("of_repeat", {}).items():
        yield f"of a repeat: {bare(name)} {both['here']:.4f} against {both['record']:.4f} in the record"


def lines(found: Found, path: Path, facts: Mapping[str, Any]) -> Iterator[str]:
    """What is printed."""
    how = "from its weights" if facts["how"] == "weights" else "trained again"
    yield f"{titled(found)}, {how}"
    yield from of_repeat(facts["about"])
    apart = f"at most {facts['apart']:.1e} from the model's over {facts['rows']} test rows"
    yield f"written: {path} ({count(facts['bytes'])}B); logits are {apart}"
    for entry in facts["about"]["inputs"]:
        yield f"  {entry['name']:<24} {entry['dtype']:<8} ({', '.join(map(str, entry['shape']))})"
    yield f"  -> {'logits':<21} float32  (batch, {facts['about']['task']['classes']})"
