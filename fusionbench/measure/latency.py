"""Latency: one session times all strategies of a dataset, interleaved, so that drift of the machine cancels.

Every cell (strategy, scope, batch size, threads) is visited once per round, in an order drawn anew; a visit warms up,
then times single calls. Scope "fusion" starts from stored encodings; "end_to_end" runs encoders and fusion. A strategy
that cannot run on stored encodings (fusion of inputs, or between the layers of encoders) has no "fusion" rows.

    p10, median, p90: over all timed calls of all rounds
    spread: (largest - smallest median of a round) / median
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import torch

from fusionbench.core.batch import MultimodalBatch
from fusionbench.fusion.base import FusionModule

needs = "session"
ROUNDS = 3
WARM_UP_CALLS = 10
FULL_CALLS, FULL_SECONDS = 200, 2.0
"""Fewer timed calls or seconds per cell, and a table says "indicative"."""


@dataclass
class Cell:
    """What is timed."""

    strategy: str
    scope: str
    batch_size: int
    threads: int
    call: Callable[[], object]
    rounds: list[list[float]] = field(default_factory=list)
    """Seconds of every timed call, by round."""
    form: str = ""
    """Of the model, where there are several; see `forms`."""


def measure(
    modules: Mapping[str, FusionModule],
    batches: Mapping[int, MultimodalBatch],
    rng: np.random.Generator,
    on_round: Callable[[int, int], None],
    *,
    seconds: float = 2.0,
    batch_sizes: tuple[int, ...] = (1, 64),
    threads: tuple[int, ...] = (1, 0),
) -> list[dict[str, Any]]:
    """Time all modules on the same batches.

    Args:
        modules: by the strategy's name in tables; weights do not matter.
        batches: by batch size.
        rng: draws the order of cells.
        on_round: called with cells done and cells in all.
        seconds: timed per cell over all rounds; from 2 on also at least 200 calls.
        batch_sizes: which batches.
        threads: torch threads; 0 stands for all cores.

    Returns:
        One row per cell, times in milliseconds per call.
    """

    def cells(_: int) -> Iterator[Cell]:
        return (cell for size in batch_sizes for cell in _cells(modules, batches[size], threads))

    return timed(cells, rng, on_round, seconds, "cuda" if torch.cuda.is_available() else "cpu")


def timed(
    make: Callable[[int], Iterable[Cell]],
    rng: np.random.Generator,
    on_round: Callable[[int, int], None],
    seconds: float,
    device: str,
) -> list[dict[str, Any]]:
    """Time cells, interleaved.

    Args:
        make: the cells, told what "all cores" are.
        rng: draws their order.
        on_round: called with cells done and cells in all.
        seconds: timed per cell over all rounds.
        device: where they run.

    Returns:
        A row for each.
    """
    before = torch.get_num_threads()
    every = torch.get_num_threads() if before > 1 else _cores()
    cells = list(make(every))
    calls = FULL_CALLS // ROUNDS + 1 if seconds >= FULL_SECONDS else 1
    try:
        for visit, (_, cell) in enumerate(_order(cells, rng)):
            torch.set_num_threads(cell.threads or every)
            cell.rounds.append(_timed(cell.call, seconds / ROUNDS, calls))
            on_round(visit + 1, ROUNDS * len(cells))
    finally:
        torch.set_num_threads(before)
    return [_row(cell, cell.threads or every, device) for cell in cells]


def _cells(modules: Mapping[str, FusionModule], batch: MultimodalBatch, threads: tuple[int, ...]) -> Iterator[Cell]:
    for (name, module), count in product(modules.items(), threads):
        module.eval()
        yield Cell(name, "end_to_end", len(batch), count, lambda module=module: module.predict(batch))  # type: ignore[misc]
        if module.cacheable:
            with torch.inference_mode():
                encoded = module.encode(batch)
            yield Cell(name, "fusion", len(batch), count, lambda module=module, encoded=encoded: module.fuse(encoded))  # type: ignore[misc]


def _order(cells: list[Cell], rng: np.random.Generator) -> Iterator[tuple[int, Cell]]:
    for number in range(ROUNDS):
        for index in rng.permutation(len(cells)):
            yield number, cells[index]


def _timed(call: Callable[[], object], seconds: float, calls: int) -> list[float]:
    """Seconds of each call, for at least that long and that many calls, after a warm-up."""
    cuda = torch.cuda.is_available()
    times: list[float] = []
    with torch.inference_mode():
        for _ in range(WARM_UP_CALLS):
            call()
        end = time.perf_counter() + seconds
        while len(times) < calls or time.perf_counter() < end:
            if cuda:
                torch.cuda.synchronize()
            started = time.perf_counter()
            call()
            if cuda:
                torch.cuda.synchronize()  # A kernel is only queued when the call returns.
            times.append(time.perf_counter() - started)
    return times


def _row(cell: Cell, threads: int, device: str) -> dict[str, Any]:
    times = 1e3 * np.concatenate([np.asarray(one) for one in cell.rounds])
    medians = [1e3 * float(np.median(one)) for one in cell.rounds]
    p10, median, p90 = (float(value) for value in np.percentile(times, (10, 50, 90)))
    return {
        "strategy": cell.strategy,
        **({"form": cell.form} if cell.form else {}),
        "scope": cell.scope,
        "batch_size": cell.batch_size,
        "threads": threads,
        "device": device,
        "rounds": len(cell.rounds),
        "calls": len(times),
        "seconds": float(times.sum() / 1e3),
        "p10_ms": p10,
        "median_ms": median,
        "p90_ms": p90,
        "spread": (max(medians) - min(medians)) / median,
    }


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
