"""What runs cost on this machine: parts of their time, measured by a few steps, kept beside the data.

    <data folder>/timings/<12 hex of the machine>.json    {"machine": {...}, "rows": {<12 hex of a row>: {...}}}

A row is what decides how long a run lasts: its data, model and batches; not its seed, learning rate or number of
epochs, so that a suite that changes these is not timed anew. A file that cannot be read counts as none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fusionbench.core.canonical import short_key
from fusionbench.core.files import write_over
from fusionbench.core.locks import locked
from fusionbench.plan.suite import Choice, RunSpec

FOLDER = "timings"
OF_A_MACHINE = ("host", "cpu", "instructions", "cores", "python", "torch", "lightning", "fusionbench")
"""What of a record's environment decides how fast things are."""


@dataclass(frozen=True)
class Timing:
    """What one job costs, in seconds."""

    fixed: float = 0.0
    """Beside training: the process, data, model, measures."""
    epoch: float = 0.0
    """Training and validation of an epoch."""
    test: float = 0.0
    epochs: int = 0
    """Where it is not the budget that says how many: of what is solved for at once, 1."""
    reason: str = ""
    """Why it was not timed; empty where it was."""

    def seconds(self, epochs: int, *, tested: bool = True) -> float:
        """Of so many epochs."""
        return self.fixed + self.epoch * (self.epochs or epochs) + self.test * tested


def machine(environment: Mapping[str, Any], gpus: tuple[str, ...], threads: int) -> dict[str, Any]:
    """What decides how fast things are here.

    Args:
        environment: as a record has it.
        gpus: those that may be used.
        threads: torch's, of a worker.
    """
    return {name: environment[name] for name in OF_A_MACHINE} | {"gpus": list(gpus), "threads": threads}


def row_key(run: RunSpec, what: str = "run", modality: str = "") -> str:
    """What decides how long a job lasts, as 12 hex digits.

    Args:
        run: one of a row's.
        what: "run", or of one of its encoders "pretrain", "encode" or "trunk".
        modality: that encoder's.
    """
    track = {name: value for name, value in run.track.options.items() if name in ("target", "solve")}
    shared: dict[str, Any] = {"what": what, "dataset": run.dataset.unranked.decisive()}
    if what != "run":
        return short_key({**shared, "modality": modality, "encoder": _encoder(run.encoders[modality])})
    shared["other_half"] = run.trains_on_other_half
    batches = {"batch_size": run.budget.batch_size, "precision": run.budget.precision}
    encoders = {name: _encoder(choice) for name, choice in run.encoders.items()}
    own = {"strategy": run.strategy.decisive(), "track": [run.track.name, track], "batches": batches}
    return short_key({**shared, **own, "encoders": encoders})


def _encoder(choice: Choice) -> dict[str, Any]:
    """An encoder without how long, and at which rate, it is trained beforehand."""
    plain = choice.decisive()
    if choice.pretrain is None:
        return plain
    batches = {"batch_size": choice.pretrain.batch_size, "precision": choice.pretrain.precision}
    return {**plain, "pretrain": {**batches, "rows": choice.pretrain.rows}}


class Timings:
    """Those of one machine."""

    def __init__(self, root: Path, here: Mapping[str, Any]) -> None:
        self.here = dict(here)
        self.path = root / FOLDER / f"{short_key(self.here)}.json"
        self.rows = self._read()

    def get(self, key: str) -> Timing | None:
        """What is known of a row."""
        return self.rows.get(key)

    def add(self, found: Mapping[str, Timing]) -> None:
        """Keep what was timed; what other processes added meanwhile stays.

        Raises:
            OSError: it cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with locked(f"{self.path}.lock"):
            self.rows = {**self._read(), **self.rows, **found}
            # What could not be timed is tried again: its cause may be gone.
            rows = {key: asdict(timing) for key, timing in sorted(self.rows.items()) if not timing.reason}
            write_over(self.path, json.dumps({"machine": self.here, "rows": rows}, indent=1).encode())

    def _read(self) -> dict[str, Timing]:
        try:
            found = json.loads(self.path.read_bytes())["rows"]
            rows = {str(key): Timing(**row) for key, row in found.items()}
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return {}
        return {key: row for key, row in rows.items() if _is_sound(row)}


def _is_sound(row: Timing) -> bool:
    numbers = (row.fixed, row.epoch, row.test)
    fits = all(isinstance(one, int | float) and 0 <= one < 1e9 for one in numbers)
    return fits and type(row.epochs) is int and row.reason == ""
