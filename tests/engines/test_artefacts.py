"""Encoders trained beforehand: made once by whoever comes first, shared by all strategies, refused when damaged."""

from __future__ import annotations

import io
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_suites import Bench

from fusionbench.bench.artefacts import FOLDER, artefact, load_pretrained
from fusionbench.bench.build import build, dataset_of, setting_for
from fusionbench.cli.main import main
from fusionbench.core.errors import UserError
from fusionbench.plan.load import load_suite
from fusionbench.plan.suite import RunSpec

BITS = Path(__file__).parent.parent / "training" / "bits.py"
FIRST = {"epochs": 3, "learning_rate": 1e-2}


@pytest.fixture
def suite(bench: Bench) -> str:
    """concat and late, two seeds, over encoders trained beforehand, on a dataset of the user's own."""
    bench.own()
    (bench.folder / bench.package / "bits.py").write_text(BITS.read_text())
    encoders = {"vector": {"name": "mlp", "options": {"width": 16}, "pretrain": FIRST}}
    return bench.suite(datasets=[f"{bench.package}.bits"], encoders=encoders)


def first_run(suite: str) -> RunSpec:
    return next(iter(load_suite(suite).runs()))


def files(bench: Bench) -> list[Path]:
    return sorted((bench.data / FOLDER).glob(f"{bench.package}.*.pt"))


def ready(run: RunSpec, root: Path):  # type: ignore[no-untyped-def]
    data = dataset_of(run, root)
    data.prepare_data()
    data.setup()
    return data


def test_prepare_makes_one_for_each_modality_and_seed_and_run_shares_them(
    bench: Bench, suite: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(bench.arguments("prepare", suite)) == 0
    said = capsys.readouterr().out
    assert said.count("validation accuracy") == 4
    times = {path: path.stat().st_mtime_ns for path in files(bench)}
    assert len(times) == 4
    assert bench.run(suite) == 0
    assert "there already" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in files(bench)} == times
    assert {record["status"] for record in bench.records().values()} == {"done"}
    assert all(record["spec"]["encoders"]["a"]["pretrain"]["epochs"] == 3 for record in bench.records().values())


def test_run_makes_what_is_missing_and_the_same_weights_again(bench: Bench, suite: str) -> None:
    assert bench.run(suite, "--only", "strategy=concat") == 0
    before, scores = {path.name: torch.load(path)["weights"] for path in files(bench)}, bench.scores()
    for path in files(bench):
        path.unlink()
    assert bench.run(suite, "--only", "strategy=concat", results="again") == 0
    for path in files(bench):
        for name, value in torch.load(path)["weights"].items():
            assert torch.equal(value, before[path.name][name])
    assert bench.scores("again") == scores


def test_every_strategy_starts_from_the_same_frozen_weights(bench: Bench, suite: str) -> None:
    models = []
    for run in list(load_suite(suite).runs())[:2]:
        data = ready(run, bench.data)
        module = build(run, setting_for(run, data.task))
        load_pretrained(module, run, data, bench.data)
        models.append(module)
    for name, value in models[0].encoders.state_dict().items():
        assert torch.equal(value, models[1].encoders.state_dict()[name])


AUGMENTED = """
    def train_batch(self, rows, epoch):
        with open({path!r}, "a") as file:
            print(self.batch_size, file=file)
        return self.batch(rows)
"""


@pytest.mark.parametrize("frozen", ["all", "one"])
def test_only_what_trains_an_encoder_sees_augmented_rows(bench: Bench, suite: str, frozen: str) -> None:
    path = bench.folder / "augmented.txt"
    module = bench.folder / bench.package / "bits.py"
    module.write_text(BITS.read_text() + AUGMENTED.format(path=str(path)))
    own = {"name": "mlp", "options": {"width": 16}}
    encoders = {"a": {**own, "pretrain": {**FIRST, "batch_size": 32}}, "b": own}
    if frozen == "all":
        encoders["b"] = encoders["a"]
    suite = bench.suite(datasets=[f"{bench.package}.bits"], encoders=encoders, strategies=["concat"], seeds=1)
    assert bench.run(suite) == 0
    sizes = {"all": {"32"}, "one": {"32", "128"}}  # Of pretraining, and of the suite's own budget.
    assert set(path.read_text().split()) == sizes[frozen]


def test_other_budgets_encoders_seeds_and_data_have_files_of_their_own(bench: Bench, suite: str) -> None:
    run = first_run(suite)
    choice = run.encoders["a"]
    assert choice.pretrain
    variants = [
        run,
        replace(run, seed=7),
        replace(run, encoders={**run.encoders, "a": replace(choice, pretrain=replace(choice.pretrain, epochs=1))}),
        replace(run, encoders={**run.encoders, "a": replace(choice, options={**choice.options, "depth": 2})}),
    ]
    paths = {artefact(one, "a", ready(one, bench.data), bench.data).path for one in variants}
    assert len(paths) == len(variants)
    other = replace(run, strategy=replace(run.strategy, name="late"), budget=replace(run.budget, epochs=9))
    assert artefact(other, "a", ready(other, bench.data), bench.data).path in paths


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "foreign"])
def test_a_damaged_file_is_named_and_the_way_out_told(
    bench: Bench, suite: str, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = first_run(suite)
    path = artefact(run, "a", ready(run, bench.data), bench.data).path
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 3] ^= 0xFF
    broken = {"cut": bytes(content[: len(content) // 2]), "empty": b"", "foreign": b"hello"}
    path.write_bytes(broken.get(damage, bytes(content)))
    if damage == "flipped":
        with pytest.raises(UserError, match="damaged"):
            artefact(run, "a", ready(run, bench.data), bench.data)
        return
    assert bench.run(suite) == 2
    assert f"{path}: damaged" in (said := capsys.readouterr().err)
    assert "remove the file" in said
    assert not bench.records()


class Hostile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_file_that_holds_code_is_refused_and_nothing_of_it_runs(bench: Bench, suite: str) -> None:
    run = first_run(suite)
    path = artefact(run, "a", ready(run, bench.data), bench.data).path
    buffer = io.BytesIO()
    torch.save({"weights": Hostile(bench.folder / "pwned"), "validation": {}, "spec": ""}, buffer)
    path.write_bytes(buffer.getvalue())
    with pytest.raises(UserError, match="damaged"):
        artefact(run, "a", ready(run, bench.data), bench.data)
    assert not (bench.folder / "pwned").exists()


def test_pretraining_that_diverges_is_one_line_and_leaves_nothing(
    bench: Bench, suite: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--set", "encoders.vector.pretrain.learning_rate=1e18")
    assert bench.run(suite, *words) == 2
    # Both do, at the same time; whichever is heard first is told of.
    assert re.search(r"pretraining of '[ab]' \(mlp\) diverged.*lower the learning_rate", capsys.readouterr().err)
    assert not files(bench)
    assert not bench.records()
