"""How much stored encodings save: seconds an epoch on them against the same frozen encoders run live, on CIFAR-10.

Encoders are small_cnn as in the suite cifar10_frozen; their weights are as drawn, since no time depends on them. Ways
are interleaved, round by round: an epoch of training on all training rows each, nothing else. Writing the encodings is
timed once and told apart. Ratios are of medians.

    python benchmarks/stored_encodings.py --data DIR [--strategies concat,cross_attention] [--rounds 3]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from fusionbench.bench.build import build, setting_for, training_data
from fusionbench.data.base import MultimodalData
from fusionbench.data.store import open_arrays, prepared
from fusionbench.fusion.base import FusionModule
from fusionbench.plan.load import suite_of
from fusionbench.plan.source import parse_source
from fusionbench.plan.suite import RunSpec
from fusionbench.training.encodings import EncodedData, StoredEncoding, rows_of, write_encoding
from fusionbench.training.fit import fit, quiet

ENCODER = "{name: small_cnn, options: {channels: [16, 32, 64, 128]}, pretrain: {rows: all}}"


def main() -> None:
    """Time both ways in turn."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", required=True, help="where cifar-10-batches-py is")
    options.add_argument("--strategies", default="concat,cross_attention")
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    quiet()
    names = chosen.strategies.split(",")
    runs = {run.strategy.name: run for run in _runs(names)}
    data = training_data(runs[names[0]], Path(chosen.data))
    with tempfile.TemporaryDirectory() as folder:
        stored = _stored(_module(runs[names[0]], data), data, Path(folder))
        ways = {"live": data, "stored": stored}
        for name, run in runs.items():
            took: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(chosen.rounds):
                for way, seen in ways.items():
                    took[way].append(_epoch(_module(run, data), seen, run))
            live, read = (statistics.median(took[way]) for way in ways)
            print(
                f"{name}: an epoch takes {read:.2f} s on stored encodings, {live:.1f} s live: {live / read:.1f} times"
            )


def _runs(names: list[str]) -> list[RunSpec]:
    text = (
        f"{{name: stored, datasets: [cifar10], strategies: [{', '.join(names)}], seeds: 1, "
        f"budget: {{epochs: 1, batch_size: 128}}, encoders: {{image: {ENCODER}}}}}"
    )
    return list(suite_of(parse_source(text, "stored")).runs())


def _module(run: RunSpec, data: MultimodalData) -> FusionModule:
    return build(run, setting_for(run, data.task))


def _stored(module: FusionModule, data: MultimodalData, folder: Path) -> EncodedData:
    found, started = {}, time.perf_counter()
    for name, encoder in module.encoders.items():

        def convert(place: Path, name: str = name, encoder: torch.nn.Module = encoder) -> None:
            write_encoding(place, encoder, name, data, rows_of(data), lambda *_: None)

        found[name] = StoredEncoding(open_arrays(prepared(folder, name, {}, None, convert, "encodings")))
    print(f"encoding {len(rows_of(data)):,} rows of {', '.join(found)} once: {time.perf_counter() - started:.1f} s")
    return EncodedData(data, found)


def _epoch(module: FusionModule, data: MultimodalData, run: RunSpec) -> float:
    """Seconds of fitting for one epoch over the training rows; two validation rows, so that they cost nothing."""
    assert data.parts is not None
    whole, data.parts = data.parts, replace(data.parts, validation=data.parts.validation[:2])
    started = time.perf_counter()
    fit(module, data, run.budget, lambda *_: None)
    data.parts = whole
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
