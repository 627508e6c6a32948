"""Where the time of a training epoch goes: one strategy of a suite on its own data, on one core.

Every part is timed by the clock over some steps, after a few that warm up, and scaled to the epoch; what a plain loop
leaves out (Lightning, the best weights kept) is in the records' `train_seconds`, not here.

    batches      the training loader: rows gathered, cropped, padded, moved into tensors
    encoder of   each modality's encoder, forwards
    fusion       all that follows, forwards, and the loss
    backwards    the gradients of all of it
    optimiser    AdamW's step
    validation   all validation rows, forwards, with their scores

Then the operators that took most time, by torch's profiler. The data have to be there (`fusionbench prepare`).

    python benchmarks/epoch_profile.py SUITE --data DIR [--strategy concat] [--steps 60] [--operators 8]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import islice
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from fusionbench.bench.build import build, dataset_of, setting_for
from fusionbench.core.batch import Encoded, MultimodalBatch
from fusionbench.core.errors import UserError
from fusionbench.data.base import MultimodalData
from fusionbench.fusion.base import FusionModule
from fusionbench.plan.load import load_suite
from fusionbench.plan.select import only

WARM_UP = 5


class Clock:
    """Seconds by the name of the part that they were spent in."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the time until the end under this name."""
        started = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - started


def step(module: FusionModule, batch: MultimodalBatch, adam: torch.optim.Optimizer, mixed: bool, clock: Clock) -> None:
    """One training step, part by part."""
    encoded: dict[str, Encoded] = {}
    with torch.autocast("cpu", torch.bfloat16) if mixed else nullcontext():
        for name in module.encoders:
            with clock.part(f"encoder of {name}"):
                encoded[name] = module._encode(name, batch)
        with clock.part("fusion"):
            loss = module.loss(module.fuse(encoded), batch)
    with clock.part("backwards"):
        loss.backward()  # type: ignore[no-untyped-call]
    with clock.part("optimiser"):
        adam.step()
        adam.zero_grad()


def epoch(module: FusionModule, data: MultimodalData, steps: int, mixed: bool) -> tuple[Clock, int]:
    """The parts of `steps` steps and of one validation, and how many steps these were."""
    adam = torch.optim.AdamW(module.parameters(), fused=True)
    clock, batches = Clock(), iter(data.train_dataloader())
    for batch in islice(batches, WARM_UP):
        step(module, batch, adam, mixed, Clock())
    done = 0
    while done < steps:
        with clock.part("batches"):
            batch = next(batches, None)
        if batch is None:
            break
        step(module, batch, adam, mixed, clock)
        done += 1
    module.eval()
    with clock.part("validation"), torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        for number, batch in enumerate(data.val_dataloader()):
            module.validation_step(batch, number)
    module.train()
    return clock, done


def operators(module: FusionModule, data: MultimodalData, mixed: bool, count: int) -> str:
    """The profiler's table of the operators that took most CPU time in a few steps."""
    adam = torch.optim.AdamW(module.parameters(), fused=True)
    with profile(activities=[ProfilerActivity.CPU]) as found:
        for batch in islice(data.train_dataloader(), WARM_UP):
            step(module, batch, adam, mixed, Clock())
    rows = sorted(found.key_averages(), key=lambda row: -row.self_cpu_time_total)
    total = sum(row.self_cpu_time_total for row in rows)
    return "\n".join(f"  {row.self_cpu_time_total / total:6.1%}  {row.key} ({row.count} calls)" for row in rows[:count])


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("suite")
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--strategy", default="concat")
    options.add_argument("--steps", type=int, default=60)
    options.add_argument("--operators", type=int, default=8)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    run = only(load_suite(chosen.suite).runs(), [f"strategy={chosen.strategy}"])[0]
    data = dataset_of(run, chosen.data)
    data.prepare_data()
    data.setup()
    module = build(run, setting_for(run, data.task)).train()
    mixed = run.budget.precision == "bf16-mixed"
    clock, done = epoch(module, data, chosen.steps, mixed)
    all_steps = len(data.train_dataloader())
    scaled = {name: t * (1 if name == "validation" else all_steps / done) for name, t in clock.seconds.items()}
    total = sum(scaled.values())
    print(f"{chosen.suite} / {chosen.strategy}: {total:.1f} s an epoch of {all_steps} steps, from {done} of them")
    for name, seconds in sorted(scaled.items(), key=lambda pair: -pair[1]):
        print(f"  {seconds / total:6.1%}  {seconds:7.1f} s  {name}")
    print("operators of the training steps, by their own time:")
    print(operators(module, data, mixed, chosen.operators))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(str(error))
