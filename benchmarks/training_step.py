"""Training step of a strategy on a data set that is in memory, against a hand-written loop of the same model.

Both train the same module on batches of the same rows with the same fused AdamW and schedule, on one thread, and
evaluate the validation rows once an epoch. The suite's path is the one that a run takes: Lightning's Trainer, all
validation scores, the best weights kept. Both numbers are wall seconds of all epochs divided by training steps.

    python benchmarks/training_step.py [--dataset digits] [--strategy concat] [--batch 128] [--epochs 60] [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch

from fusionbench.bench.build import build, seeded, setting_for, training_data
from fusionbench.data.base import MultimodalData
from fusionbench.fusion.base import learning_rate_factor, task_loss
from fusionbench.plan.load import suite_of
from fusionbench.plan.source import parse_source
from fusionbench.plan.suite import RunSpec
from fusionbench.training.fit import fit, quiet


def main() -> None:
    """Time both in turn, round by round, and print the ratio of medians."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--dataset", default="digits", help="digits, wdbc, diabetes or synthetic_pid")
    options.add_argument("--strategy", default="concat")
    options.add_argument("--batch", type=int, default=128)
    options.add_argument("--epochs", type=int, default=60)
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    quiet()
    budget = f"{{epochs: {chosen.epochs}, batch_size: {chosen.batch}}}"
    text = f"{{name: step, datasets: [{chosen.dataset}], strategies: [{chosen.strategy}], seeds: 1, budget: {budget}}}"
    (run,) = suite_of(parse_source(text, "training_step")).runs()
    data = training_data(run, None)
    steps = chosen.epochs * len(data.train_dataloader())
    ours, hand = [], []
    for number in range(chosen.rounds + 1):  # The first round warms up.
        times = (_suite_path(run, data), _hand_written(run, data))
        if number:
            ours.append(times[0] / steps * 1e3)
            hand.append(times[1] / steps * 1e3)
    print(f"suite {statistics.median(ours):.3f} ms/step, hand-written {statistics.median(hand):.3f} ms/step")
    print(f"ratio {statistics.median(np.divide(ours, hand)):.2f} (rounds: {np.round(np.divide(ours, hand), 2)})")


def _suite_path(run: RunSpec, data: MultimodalData) -> float:
    module = build(run, setting_for(run, data.task))
    started = time.perf_counter()
    with seeded(0, "training"):
        fit(module, data, run.budget, lambda *_: None)
    return time.perf_counter() - started


def _hand_written(run: RunSpec, data: MultimodalData) -> float:
    """What one would write for this model alone: tensors in memory, no framework."""
    module = build(run, setting_for(run, data.task))
    assert data.parts is not None
    inputs, targets = {name: data.tensors[name] for name in data.task.names}, data.tensors["targets"]
    train, validation = torch.from_numpy(data.parts.train), torch.from_numpy(data.parts.validation)
    started = time.perf_counter()
    adam = torch.optim.AdamW(module.parameters(), lr=run.budget.learning_rate, weight_decay=1e-2, fused=True)
    size = run.budget.batch_size
    per_epoch = len(train) // size
    total = per_epoch * run.budget.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: learning_rate_factor(step, total))
    for _ in range(run.budget.epochs):
        order = train[torch.randperm(len(train))]
        module.train()
        for step in range(per_epoch):
            rows = order[step * size : (step + 1) * size]
            adam.zero_grad()
            logits = module({name: values[rows] for name, values in inputs.items()})
            task_loss(logits, targets[rows], data.task).backward()  # type: ignore[no-untyped-call]
            adam.step()
            schedule.step()
        module.eval()
        with torch.no_grad():
            logits = module({name: values[validation] for name, values in inputs.items()})
            task_loss(logits, targets[validation], data.task).item()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
