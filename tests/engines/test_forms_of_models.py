"""Trained models in other forms, through the command line: written as files, and timed side by side."""

from __future__ import annotations

import csv
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from small_suites import Bench, is_record

from fusionbench.bench import forms
from fusionbench.cli.main import main
from fusionbench.core.extras import ONNX
from fusionbench.data.digits import Digits
from fusionbench.measure.forms import Made

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ONNX), reason="ONNX is not installed (extra `onnx`)"
)


@pytest.fixture
def kept(bench: Bench) -> tuple[Bench, Path]:
    """One run with weights, done; the path of its record."""
    assert bench.run(bench.suite(strategies=["concat"], seeds=1, keep="weights")) == 0
    (path,) = (path for path in (bench.folder / "results").rglob("*.json") if is_record(path))
    return bench, path


def rows_of_test(bench: Bench) -> dict[str, np.ndarray]:
    """Test rows of digits as the data set gives them, and which class is right: no word of fusionbench's models."""
    data = Digits(bench.data)
    data.setup()
    assert data.parts is not None
    batch = data.batch(data.parts.test)
    here = np.ones(len(batch), dtype=bool)
    inputs = {name: x.numpy() for name, x in batch.inputs.items()}
    return {**inputs, "left.present": here, "right.present": here, "targets": batch.targets.numpy()}


@needs_onnx
def test_an_onnx_file_alone_has_the_accuracy_of_the_record(
    kept: tuple[Bench, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    import onnxruntime

    bench, path = kept
    before = path.read_bytes()
    capsys.readouterr()
    assert main(bench.arguments("export", path.stem, "--out", "model.onnx")) == 0
    said = capsys.readouterr().out
    assert "from its weights" in said
    assert "left.present" in said
    rows = rows_of_test(bench)
    session = onnxruntime.InferenceSession(str(bench.folder / "model.onnx"), providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {one.name: rows[one.name] for one in session.get_inputs()})
    accuracy = float((logits.argmax(1) == rows["targets"]).mean())
    assert accuracy == pytest.approx(json.loads(before)["scores"]["test/accuracy"], abs=1e-6)
    about = json.loads(session.get_modelmeta().custom_metadata_map["fusionbench"])
    assert (about["key"], about["strategy"]["name"]) == (path.stem, "concat")
    assert path.read_bytes() == before


def test_a_run_without_weights_is_trained_again_and_its_graph_loads_without_fusionbench(
    kept: tuple[Bench, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    bench, path = kept
    for one in path.parent.glob("*.weights.*"):
        one.unlink()
    capsys.readouterr()
    assert main(bench.arguments("export", path.stem[:6], "--format", "torch-export")) == 0
    said = capsys.readouterr()
    assert "trained again" in said.out
    assert "of a repeat" not in said.out
    rows = {name: torch.from_numpy(x) for name, x in rows_of_test(bench).items()}
    program = torch.export.load(bench.folder / f"{path.stem}.pt2")
    inputs = {name: rows[name] for name in ("left", "right")}
    logits = program.module()(inputs, {}, {name: rows[f"{name}.present"] for name in inputs})
    accuracy = float((logits.argmax(1) == rows["targets"]).float().mean())
    assert accuracy == pytest.approx(json.loads(path.read_text())["scores"]["test/accuracy"], abs=1e-6)


def test_what_cannot_be_exported_is_one_line(kept: tuple[Bench, Path], capsys: pytest.CaptureFixture[str]) -> None:
    bench, path = kept

    def error(*words: str) -> str:
        capsys.readouterr()
        assert main(bench.arguments("export", *words, "--format", "torch-export")) == 2
        return capsys.readouterr().err

    assert "no record 'ffffff'" in error("ffffff")
    assert "is no key" in error("concat")
    assert "no folder" in error(path.stem, "--out", "nowhere/model.pt2")
    (tensors,) = path.parent.glob("*.safetensors")
    tensors.write_bytes(tensors.read_bytes()[:-1] + b"x")
    assert "damaged, its SHA-256" in error(path.stem)
    tensors.with_suffix(".json").unlink()
    assert "is missing; remove" in error(path.stem)
    assert not list(bench.folder.glob("*.pt2"))


@needs_onnx
def test_forms_are_timed_and_scored_side_by_side_and_leave_latency_alone(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    times = {"name": "latency", "options": {"seconds": 0.01, "threads": [1], "batch_sizes": [1, 4]}}
    suite = bench.suite(seeds=1, keep="weights", measures=["size", times])
    assert bench.run(suite) == 0
    table = (bench.folder / "results/tiny/digits/table.csv").read_text()
    capsys.readouterr()
    assert main(bench.arguments("latency", suite, "--forms", "eager,torch-export,onnx,int8")) == 0
    assert "int8" in capsys.readouterr().out
    scores = {r["spec"]["strategy"]["name"]: r["scores"]["test/accuracy"] for r in bench.records().values()}
    (session,) = (
        found
        for path in (bench.folder / "results").rglob("latency/*.json")
        if "forms" in (found := json.loads(path.read_text()))
    )
    assert len(session["rows"]) == 2 * 4 * 2
    for line in session["forms"]:
        assert line["bytes"] > 0
        near = 0.05 if line["form"] == "int8" else 1e-6
        assert line["scores"]["accuracy"] == pytest.approx(scores[line["strategy"]], abs=near)
        assert line["logits_apart"] < (2.0 if line["form"] == "int8" else 1e-4)
    assert main(bench.arguments("report", suite)) == 0
    assert (bench.folder / "results/tiny/digits/table.csv").read_text() == table
    rows = list(csv.DictReader((bench.folder / "results/tiny/digits/forms.csv").read_text().splitlines()))
    assert {row["form"] for row in rows} == {"eager", "torch-export", "onnx", "int8"}
    assert all(float(row["median_ms"]) > 0 for row in rows)


def test_forms_that_cannot_be_timed_are_one_line(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    suite = bench.suite(seeds=1)
    assert main(bench.arguments("latency", suite, "--forms", "eager")) == 2
    assert "no run of tiny is done: fusionbench run tiny" in capsys.readouterr().err
    assert main(bench.arguments("latency", suite, "--forms", "egaer")) == 2
    assert "did you mean 'eager'?" in capsys.readouterr().err
    assert main(bench.arguments("latency", suite, "--forms", "eager,eager")) == 2
    assert "each once" in capsys.readouterr().err


def test_a_form_that_fails_on_a_batch_of_another_size_is_a_reason_and_ends_no_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def bound(batch: int, threads: int) -> Callable[[], None]:
        assert threads == 1

        def call() -> None:
            if batch == 64:
                raise RuntimeError("no kernel for 64")

        return call

    monkeypatch.setattr(forms, "_scored", lambda *_: {"rows": 9})
    made: Any = Made("mine", "compiled", 0.5, cast(Any, SimpleNamespace(bytes=None, bound=bound)))
    none: Any = None
    assert forms._tried(made, none, cast(Any, [1, 2])) == (made, {"rows": 9})
    found, scored = forms._tried(made, none, cast(Any, [1, 64]))
    assert (found.form, scored) == (None, {})
    assert found.reason.startswith("it cannot be run: RuntimeError: no kernel for 64")
