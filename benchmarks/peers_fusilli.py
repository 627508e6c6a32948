"""fusilli 2.0's own two tables of 500 rows, by fusilli and by fusionbench: how long, and how often right.

    pip download fusilli==2.0.0 --no-deps --no-binary :all: && tar xzf fusilli-2.0.0.tar.gz
    python -m venv peer && peer/bin/pip install fusilli==2.0.0
    python benchmarks/peers_fusilli.py fusilli-2.0.0/docs/_static/mnist_data peer/bin/python > docs/peers_fusilli.csv
    python docs/readme.py       the table in docs/coming_from.md

The data are digits cut into an upper and a lower half, odd or even. Both sides test on the same 100 rows and train on
350 of the others for 20 epochs, batches of 8 (fusilli's default), learning rate 1e-3, one thread, one run at a time.
fusionbench picks the best epoch on the other 50 rows; fusilli has no rows for that, and is scored after its last epoch.
Each side trains its four strategies in a process of its own, one side after the other, seed by seed; what is timed is
the whole process, import of torch and reading of files included, in wall and in processor seconds (all its processes
together). Nothing of fusilli, its code or its data, is part of this repository.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

FILES = ("mnist1_binary.csv", "mnist2_binary.csv")
PAIRS = {
    "concat": "concat_feature_maps:ConcatTabularFeatureMaps",
    "early": "concat_data:ConcatTabularData",
    "late": "decision:TabularDecision",
    "cross_attention": "crossmodal_att:TabularCrossmodalMultiheadAttention",
}
"""Ours, and fusilli's nearest."""
TEST, TRAIN, EPOCHS, BATCH = 100, 350, 20, 8
LABEL = "prediction_label"
Sides = dict[str, list[dict[str, Any]]]


def main() -> None:
    """Run both sides, seed by seed, and print the table; or be one side."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("data", type=Path, nargs="?", help="the folder with the two CSV files")
    options.add_argument("python", nargs="?", help="a Python that has fusilli 2.0")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--side", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    options.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if not chosen.python:  # As `make bench` runs it.
        print("not run: it needs fusilli's data and a Python that has fusilli, see --help")
        return
    if chosen.side:
        runs = ours if chosen.side == "ours" else theirs
        print(json.dumps(runs(chosen.data, chosen.seed)), file=sys.stderr)
        return
    found: Sides = {"ours": [], "theirs": []}
    for seed in range(chosen.seeds):
        for side in found:
            found[side].append(timed(side, seed, chosen.data, chosen.python))
            print(f"seed {seed}, {side}: {found[side][-1]['wall']:.1f} s", file=sys.stderr)
    table(found)


def timed(side: str, seed: int, data: Path, python: str) -> dict[str, Any]:
    """One side's four strategies at one seed, in a process of its own."""
    command = [sys.executable if side == "ours" else python, __file__, str(data.resolve()), python]
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "said").open("w+") as said:
        started = time.perf_counter()
        surroundings = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
        process = subprocess.Popen(
            [*command, "--side", side, "--seed", str(seed)],
            cwd=folder,
            env=surroundings,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        status = process.wait()
        wall = time.perf_counter() - started
        said.seek(0)
        lines = said.read().strip().splitlines()
    if status:
        raise SystemExit(f"{side} ended with {status}: {' '.join(lines[-3:])}")
    return {"wall": wall, **json.loads(lines[-1])}


def table(found: Sides) -> None:
    """As CSV: medians over seeds, accuracies as means."""
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["", "accuracy", "fusilli's", "s an epoch", "fusilli's", "times"])
    for name in PAIRS:
        runs = {side: [one["runs"][name] for one in seeds] for side, seeds in found.items()}
        accuracy = [f"{fmean(run['accuracy'] for run in seeds):.3f}" for seeds in runs.values()]
        out.writerow([f"`{name}`", *accuracy, *compared([median(run["epoch"] for run in s) for s in runs.values()])])
    for what, words in (("wall", "the whole, s"), ("processor", "the whole, s of processor")):
        out.writerow([words, "", "", *compared([median(one[what] for one in seeds) for seeds in found.values()])])


def compared(seconds: Sequence[float]) -> list[str]:
    """Ours, theirs, and how many times as long theirs is."""
    ours_, theirs_ = seconds
    return [f"{ours_:.3g}", f"{theirs_:.3g}", f"{theirs_ / ours_:.1f}"]


# --- what both sides share: the standard library's alone, as the other Python lacks all else ------------------------


def test_rows(data: Path) -> set[str]:
    """The IDs of the rows for the test, of every class a fifth."""
    with (data / FILES[0]).open(newline="") as file:
        classes = [(row["ID"], row[LABEL]) for row in csv.DictReader(file)]
    chosen: set[str] = set()
    for label in sorted({label for _, label in classes}):
        ids = [one for one, its in classes if its == label]
        chosen |= set(shuffled(ids, 0)[: round(len(ids) * TEST / len(classes))])
    return chosen


def shuffled(ids: Sequence[str], seed: int) -> list[str]:
    """The same order in every Python."""
    return sorted(ids, key=lambda one: hashlib.sha256(f"{seed} {one}".encode()).digest())


def ours(data: Path, seed: int) -> dict[str, Any]:
    """Processor seconds; and by strategy accuracy and seconds of an epoch."""
    import pandas as pd
    from compare_arrays import children, seconds_of

    import fusionbench

    first, second = (pd.read_csv(data / name) for name in FILES)
    both = first.merge(second.drop(columns=LABEL), on="ID", suffixes=("", "_2"), validate="one_to_one")
    upper = [name for name in first.columns if name not in ("ID", LABEL)]
    lower = [name for name in both.columns if name not in ("ID", LABEL, *upper)]
    wanted = test_rows(data)
    fusionbench.compare(
        {"upper": both[upper].to_numpy("float32"), "lower": both[lower].to_numpy("float32")},
        both[LABEL].astype(int).to_numpy(),
        test=both["ID"].astype(str).isin(wanted).to_numpy(),
        strategies=list(PAIRS),
        seeds=[seed],
        budget={"epochs": EPOCHS, "batch_size": BATCH, "learning_rate": 1e-3},
        name="peers",
        data="data",
        workers=1,
        progress=False,
    )
    processor = time.process_time() + sum(map(seconds_of, children()))  # Of the workers too: they are forked.
    frame = fusionbench.load_results("results")
    runs = {
        str(row["strategy"]): {
            "accuracy": float(row["test/accuracy"]),
            "epoch": float(row["train_seconds"]) / float(row["epochs_run"]),
        }
        for _, row in frame.iterrows()
    }
    return {"processor": processor, "runs": runs}


def theirs(data: Path, seed: int) -> dict[str, Any]:
    """The same of fusilli, on files that hold the test rows and 350 of the others."""
    from importlib import import_module

    import lightning

    data_of, base, train = (import_module(f"fusilli.{name}") for name in ("data", "fusionmodels.base_model", "train"))
    begun: list[float] = []

    def begins(_: Any) -> None:
        begun.append(time.perf_counter())

    base.BaseModel.on_train_epoch_start = begins
    paths, at = written(data, seed)
    outputs = {name: name for name in ("checkpoints", "losses", "figures")}
    for name in outputs:
        Path(name).mkdir()
    found = {}
    for name, place in PAIRS.items():
        lightning.seed_everything(seed)  # noqa: TID251  (as its users do, in a process of its own)
        begun.clear()
        module, _, network = place.partition(":")
        model = getattr(import_module(f"fusilli.fusionmodels.tabularfusion.{module}"), network)
        rows = data_of.prepare_fusion_data("binary", model, paths, outputs, batch_size=BATCH, test_indices=at)
        trained = train.train_and_save_models(rows, model, max_epochs=EPOCHS, enable_checkpointing=False)[0]
        score = dict(zip(trained.metric_names_list, trained.final_val_metrics, strict=True))
        accuracy = next(float(value) for name, value in score.items() if "accuracy" in name.lower())
        found[name] = {"accuracy": accuracy, "epoch": (begun[-1] - begun[0]) / (len(begun) - 1)}
    return {"processor": time.process_time(), "runs": found}


def written(data: Path, seed: int) -> tuple[dict[str, str], Sequence[int]]:
    """Its two files here, and where in them the test rows are."""
    wanted = test_rows(data)
    paths, at = {}, range(TRAIN, TRAIN + len(wanted))
    for number, name in enumerate(FILES, 1):
        with (data / name).open(newline="") as file:
            head, *lines = csv.reader(file)
        rows = {line[head.index("ID")]: line for line in lines}
        train = shuffled([one for one in rows if one not in wanted], seed + 1)[:TRAIN]
        with Path(name).open("w", newline="") as file:
            csv.writer(file).writerows([head, *(rows[one] for one in (*train, *sorted(wanted)))])
        paths[f"tabular{number}"] = str(Path(name).resolve())
    return {**paths, "tabular3": "", "image": ""}, list(at)


if __name__ == "__main__":
    main()
