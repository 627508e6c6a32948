"""`fusionbench.load_results`: every record below a folder, or of packed tables, as one row of a data frame."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusionbench.core.canonical import canonical_json
from fusionbench.core.surroundings import alone
from fusionbench.plan.names import have_one_size, track_label
from fusionbench.plan.suite import Choice
from fusionbench.records.fetched import fetch_tree, is_url
from fusionbench.records.find import check_folder
from fusionbench.records.packed import END
from fusionbench.records.reading import content_of, track_of
from fusionbench.records.record import SCHEMA, InvalidRecord, Record, from_text
from fusionbench.records.store import FORMS, LATENCY, WANDB
from fusionbench.records.tree import packs, unpack
from fusionbench.records.verified import NAME as VERIFIED
from fusionbench.records.verified import Mark, marks_of
from fusionbench.report.collect import name_of
from fusionbench.report.counted import counted
from fusionbench.report.latency import Latency, Scope, newest_complete

if TYPE_CHECKING:
    import pandas as pd

RECORD = re.compile(r"[0-9a-f]{12}\.json")
FIRST = ("suite", "dataset", "strategy", "track", "seed", "role", "status", "reason", "metric", "score")
TIMES: tuple[tuple[Scope, int], ...] = (("fusion", 1), ("end_to_end", 1), ("end_to_end", 64))
"""Of a latency session: scope and batch size."""


def load_results(source: str | os.PathLike[str] = "results") -> pd.DataFrame:
    """Every record below a folder: a row for each run, of whichever suite.

    Columns: suite, dataset and strategy (as folders name them, with options that differ from the default), track, seed,
    role ("final", or "trial" of a search for a learning rate), status and reason; metric (the score that ranks) and
    score; every test and validation score; what it cost (train_seconds, memory_bytes, processor_joules, device_joules,
    parameters, FLOPs, disk_bytes, median latency in ms); learning_rate and the rest of the budget; all options as JSON;
    where it was made; and, where marks lie beside the records, whether somebody has verified it.

    Args:
        source: a results folder, or a part of one; a folder of packed tables, or one of them (`.jsonl`); or the URL of
            either (https, http, file), of which at most 1 GB is read.

    Returns:
        Rows in the order of their paths; columns that no record has are left out, what a record lacks is missing.

    Raises:
        UserError: no such folder, or a URL that cannot be read.
    """
    with alone():
        import pandas as pd
    faults = list[str]()
    rows = list(_all_rows(source, faults))
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        warnings.warn(f"left out, no record of this version: {faults[0]}{more}", stacklevel=2)
    found = pd.DataFrame(rows)
    first = [name for name in FIRST if name in found]
    return found[[*first, *(name for name in found if name not in first)]] if rows else pd.DataFrame(columns=[*FIRST])


def _all_rows(source: str | os.PathLike[str], faults: list[str]) -> Iterator[dict[str, Any]]:
    """Records that lie in a folder, then those that are packed there and do not lie there as well."""
    name, known = os.fspath(source), set[tuple[str, str]]()
    if not is_url(name) and not name.endswith(END):
        check_folder(Path(name))
    if Path(name).is_dir():
        for row in _rows(Path(name), faults):
            known.add((row["suite"], row["key"]))
            yield row
    with tempfile.TemporaryDirectory(prefix="fusionbench-packed-") as folder:
        for row in _packed_rows(name, Path(folder), faults):
            if (row["suite"], row["key"]) not in known:
                yield row


def _packed_rows(name: str, folder: Path, faults: list[str]) -> Iterator[dict[str, Any]]:
    """Those of packed tables, unpacked into an empty folder."""
    tree, records = folder / "tree", folder / "results"
    tree.mkdir()
    records.mkdir()
    if is_url(name):
        fetch_tree(name, tree)
    packed = tree if is_url(name) else Path(name)
    if any(True for _ in packs(packed)):
        faults += (line.replace(str(tree), name) for line in unpack(packed, records, _write).faults)
    for row in _rows(records, faults):
        yield {**row, "path": f"{name}, packed"}


def _write(path: Path, content: bytes) -> bool:
    """Into a folder that is gone in a moment: nothing is flushed to the disk."""
    path.write_bytes(content)
    return True


def _rows(root: Path, faults: list[str]) -> Iterator[dict[str, Any]]:
    times, marks = _Times(), _marks(root)
    for path in _paths(root):
        try:
            content = content_of(path)
            record = from_text(content)
        except (InvalidRecord, FileNotFoundError) as error:  # The latter: a link to nothing.
            faults.append(f"{path}: {error}")
            continue
        row = {**_row(record, path), **_sizes(path), **times.of(record, path)}
        if marks:
            row["verified"] = Mark(row["suite"], record.key, hashlib.sha256(content).hexdigest()) in marks
        yield row


def _marks(root: Path) -> set[Mark]:
    """Those beside the suites, also where a part of a results folder is asked for."""
    places = (root, *root.absolute().parents[:3])
    return next((marks_of(place / VERIFIED) for place in places if (place / VERIFIED).is_file()), set())


def _paths(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*.json")):
        # Of <suite>/<dataset>/<strategy>/<key>.json: not below W&B's own folder, nor a latency session.
        if RECORD.fullmatch(path.name) and path.parent.name != LATENCY and WANDB not in path.relative_to(root).parts:
            yield path


def _row(record: Record, path: Path) -> dict[str, Any]:
    run = record.run
    # What trials have chosen stands in the place of the suite's own.
    budget = {name: record.options.get(name, value) for name, value in vars(run.budget).items()}
    validation = {("best_epoch" if name == "epoch" else name): value for name, value in record.validation.items()}
    return {
        "suite": path.absolute().parents[2].name,
        "dataset": name_of("dataset", run.dataset),
        "strategy": name_of("strategy", run.strategy),
        "track": track_label(run.track),
        "seed": run.seed,
        "role": run.role,
        "status": record.status,
        "reason": record.reason,
        "metric": record.task.get("metric"),
        "score": record.score,
        **record.scores,
        **validation,
        "train_seconds": record.train_seconds,
        "epochs_run": record.epochs_run,
        **counted(record),
        "learning_rate": budget.pop("learning_rate"),
        **budget,
        "dataset_options": canonical_json(run.dataset.options),
        "strategy_options": canonical_json(run.strategy.options),
        "encoders": canonical_json({name: choice.to_json() for name, choice in run.encoders.items()}),
        **_origin(record),
        "key": record.key,
        "path": str(path),
    }


def _origin(record: Record) -> dict[str, Any]:
    """Where and from what it was made."""
    rows = {f"{part}_rows": count for part, count in record.data.counts.items()} if record.data else {}
    return {
        **rows,
        "fingerprint": record.data.fingerprint if record.data else None,
        **{name: record.environment.get(name) for name in ("cpu", "gpu", "torch", "fusionbench", "commit")},
        "threads": record.threads,
        "devices": record.devices,
        "started": record.started,
        "finished": record.finished,
        "results_version": record.results_version,
    }


def _sizes(path: Path) -> dict[str, Any]:
    """Parameters and FLOPs, where they were measured."""
    found = _read(path.with_suffix(".size.json"))
    return {name: value for name, value in found.items() if isinstance(value, int | float) and name != "schema"}


def _read(path: Path) -> dict[str, Any]:
    """What a file beside records holds; an unreadable one is as if it were not there, and stays as it is."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and found.get("schema") == SCHEMA else {}


class _Times:
    """Median latencies by dataset and track, each session's file read once."""

    def __init__(self) -> None:
        self._found = dict[tuple[Path, str, int], Latency | None]()

    def of(self, record: Record, path: Path) -> dict[str, float]:
        """Milliseconds of a whole batch of the record's strategy; empty where it was not timed."""
        folder, track, version = path.absolute().parents[1], record.run.track, record.results_version
        place = folder, canonical_json(track.to_json()), version
        if place not in self._found:
            names = {other.name for other in folder.iterdir() if other.is_dir()}
            self._found[place] = newest_complete(list(_sessions(folder, track, version)), names, lambda _: None)
        latency, strategy = self._found[place], name_of("strategy", record.run.strategy)
        if latency is None:
            return {}
        found = {f"{scope}_ms_batch{size}": latency.median_ms(strategy, scope, size) for scope, size in TIMES}
        return {name: value for name, value in found.items() if value is not None}


def _sessions(folder: Path, track: Choice, version: int) -> Iterator[dict[str, Any]]:
    for path in sorted((folder / LATENCY).glob("*.json")):
        session = _read(path)
        is_plain = FORMS not in session and session.get("results_version", 1) == version
        if is_plain and have_one_size(track_of(session), track):
            yield session
