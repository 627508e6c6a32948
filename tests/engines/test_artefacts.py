"""Encoders trained beforehand: made once by whoever comes first, shared by all strategies, refused when damaged."""

from __future__ import annotations

import io
import os
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_suites import Bench, kill_tree

from fusionbench.bench.artefacts import FOLDER, artefact, load_pretrained
from fusionbench.bench.build import build, dataset_of, setting_for, training_data
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


def test_weights_of_another_encoder_are_told(bench: Bench, suite: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = first_run(suite)
    found = artefact(run, "a", ready(run, bench.data), bench.data)
    content = torch.load(found.path, weights_only=True)
    torch.save({**content, "weights": {"other": torch.zeros(2)}}, found.path)
    assert bench.run(suite) == 2
    assert f"{found.path}: weights of another encoder; remove the file, it is made again" in capsys.readouterr().err
    for wrong in (
        {"weights": {"a": 3}},
        {"scores": {"validation/accuracy": "x"}},
        {"metric": "none"},
        {"rows": "many"},
    ):
        torch.save({**content, **wrong}, found.path)
        with pytest.raises(UserError, match="damaged"):
            artefact(run, "a", ready(run, bench.data), bench.data)


class Hostile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_file_that_holds_code_is_refused_and_nothing_of_it_runs(bench: Bench, suite: str) -> None:
    run = first_run(suite)
    path = artefact(run, "a", ready(run, bench.data), bench.data).path
    buffer = io.BytesIO()
    torch.save({"weights": Hostile(bench.folder / "pwned"), "scores": {}, "metric": "", "rows": 0}, buffer)
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


HALF = {**FIRST, "rows": "half"}
MLP = {"name": "mlp", "options": {"width": 16}}
SEEN = """
    def train_batch(self, rows, epoch):
        with open({path!r}, "a") as file:
            print(*rows, file=file)
        return self.batch(rows)

    def share_out(self, ranks):
        with open({other!r}, "a") as file:
            print(*self.parts.train, file=file)
        super().share_out(ranks)
"""


def numbers(path: Path) -> list[set[int]]:
    return [set(map(int, line.split())) for line in path.read_text().splitlines()]


def test_encoders_have_one_half_and_every_strategy_the_other_and_records_say_so(bench: Bench, suite: str) -> None:
    trained, fused = bench.folder / "trained.txt", bench.folder / "fused.txt"
    module = bench.folder / bench.package / "bits.py"
    module.write_text(BITS.read_text() + SEEN.format(path=str(trained), other=str(fused)))
    encoders = {"vector": {**MLP, "pretrain": HALF}}
    names = ["concat", "late", "unimodal", "chance"]
    suite = bench.suite(datasets=[f"{bench.package}.bits"], encoders=encoders, strategies=names, seeds=1)
    assert bench.run(suite, "--workers", "1") == 0
    encoders_half = set().union(*numbers(trained))
    others = [rows for rows in numbers(fused) if len(rows) < 320]
    assert len(encoders_half) > 128  # The last rows of an epoch are dropped, other ones in every epoch.
    assert len(others) == 10  # Five runs: once for training, and again for its measures.
    assert all(rows == others[0] and len(rows) == 160 and not rows & encoders_half for rows in others)
    records = {record["spec"]["strategy"]["name"]: record for record in bench.records().values()}
    assert {name: record["data"]["counts"]["train"] for name, record in records.items()} == {
        "concat": 160,
        "late": 160,
        "unimodal": 160,
        "chance": 160,
    }
    assert len({record["data"]["split_sha256"] for record in records.values()}) == 1
    said = records["concat"]["options"]["pretrained"]
    assert said == records["late"]["options"]["pretrained"]
    assert {name: (one["rows"], one["count"], one["metric"]) for name, one in said.items()} == {
        "a": ("half", 160, "accuracy"),
        "b": ("half", 160, "accuracy"),
    }
    assert set(said["a"]["scores"]) == {f"{p}/{s}" for p in ("train", "validation") for s in ("accuracy", "nll")} | {
        "epoch"
    }
    assert "pretrained" not in records["chance"]["options"]
    assert len(files(bench)) == 2


def test_half_and_all_are_one_suite_away_from_each_other(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    suite = bench.suite(strategies=["concat"], seeds=1, encoders={"image": {**MLP, "pretrain": FIRST}})
    counts = {}
    for name, words in {"halves": (), "whole": ("--set", "encoders.image.pretrain.rows=all")}.items():
        assert bench.run(suite, *words, results=name) == 0
        (record,) = bench.records(name).values()
        counts[name] = (record["data"]["counts"]["train"], record["options"]["pretrained"]["left"]["count"])
        assert record["options"]["pretrained"]["left"]["scores"]["train/accuracy"] > 0.2
    whole = counts["whole"][0]
    assert counts["whole"] == (whole, whole)
    assert sum(counts["halves"]) == whole
    assert abs(counts["halves"][0] - counts["halves"][1]) <= 1
    capsys.readouterr()
    assert bench.run(suite, "--set", "encoders.image.pretrain.rows=none") == 2
    assert "encoders.image.pretrain.rows: give 'half' or 'all', got 'none'" in capsys.readouterr().err


def test_an_artefact_has_one_name_whichever_half_the_asking_data_have(bench: Bench, suite: str) -> None:
    run = next(iter(load_suite(suite, ["encoders.vector.pretrain.rows=half"]).runs()))
    whole = ready(run, bench.data)
    made = artefact(run, "a", whole, bench.data)
    assert made.made
    assert made.rows == 160
    halved = training_data(run, bench.data)
    assert halved.parts
    assert len(halved.parts.train) == 160
    again = artefact(run, "a", halved, bench.data)
    assert (again.path, again.made, again.scores) == (made.path, False, made.scores)
    assert artefact(first_run(suite), "a", whole, bench.data).path != made.path


def test_a_file_without_training_scores_is_damaged_where_one_with_them_should_be(bench: Bench, suite: str) -> None:
    run = first_run(suite)
    data = ready(run, bench.data)
    found = artefact(run, "a", data, bench.data)
    old = found.path.with_name("old.pt")
    torch.save({"weights": found.weights, "validation": {}, "spec": ""}, old)
    found.path.unlink()
    old.replace(found.path)
    with pytest.raises(UserError, match=r"damaged.*remove the file"):
        artefact(run, "a", data, bench.data)


def test_two_runners_make_each_encoder_once(bench: Bench) -> None:
    (bench.folder / "data").mkdir()
    bench.data = bench.folder / "data"  # Where nothing is yet.
    encoders = {"image": {**MLP, "pretrain": {"epochs": 4}}}
    suite = bench.suite(encoders=encoders, seeds=2)
    both = [bench.start(suite, "--workers", "1") for _ in range(2)]
    outputs = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sum(output.count("validation accuracy") for output in outputs) == 4
    assert len(list((bench.data / FOLDER).glob("digits-*.pt"))) == 4
    assert {record["status"] for record in bench.records().values()} == {"done"}


def test_killed_while_encoders_are_trained_the_same_command_goes_on(bench: Bench) -> None:
    (bench.folder / "data").mkdir()
    bench.data = bench.folder / "data"
    encoders = {"image": {**MLP, "pretrain": {"epochs": 40}}}
    suite = bench.suite(encoders=encoders, seeds=1, strategies=["concat"])
    process = bench.start(suite, "--workers", "1")
    while not list((bench.data / FOLDER).glob("digits-left-*.lock")):
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(0.3)
    kill_tree(process)
    assert not bench.records()
    assert len(list((bench.data / FOLDER).glob("digits-*.pt"))) < 2
    assert bench.run(suite) == 0
    assert len(bench.records()) == 1
    assert bench.run(suite, results="undisturbed") == 0
    assert bench.scores() == bench.scores("undisturbed")


def test_two_devices_train_on_the_other_half_as_one_does(bench: Bench) -> None:
    suite = bench.suite(strategies=["concat"], seeds=1, encoders={"image": {**MLP, "pretrain": FIRST}})
    for name, count in (("one", "1"), ("two", "2")):
        assert bench.run(suite, "--workers", "1", "--devices", count, results=name) == 0
    (one,), (two,) = (list(bench.records(name).values()) for name in ("one", "two"))
    assert two["devices"] == 2
    assert one["data"] == two["data"]
    assert one["options"] == two["options"]
    assert two["scores"] == pytest.approx(one["scores"], abs=1e-6)
