"""`fusionbench explain`, through the command line: a picture, and one line for what cannot be explained."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from small_suites import Bench, is_record

from fusionbench.cli.main import main
from fusionbench.core import extras

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in extras.EXPLAIN),
    reason="captum is not installed (extra `explain`)",
)


@pytest.fixture
def kept(bench: Bench) -> tuple[Bench, Path]:
    """One run of `gated` with weights, done; the path of its record."""
    assert bench.run(bench.suite(strategies=["gated"], seeds=1, keep="weights", budget={"epochs": 2})) == 0
    (path,) = (path for path in (bench.folder / "results").rglob("*.json") if is_record(path))
    return bench, path


def test_a_row_is_explained_in_words_and_as_a_picture(
    kept: tuple[Bench, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    bench, path = kept
    capsys.readouterr()
    assert main(bench.arguments("explain", path.stem, "--example", "17")) == 0
    said = capsys.readouterr().out
    assert f"{path.stem} (digits / gated, seed 0), test row 17: answers" in said
    assert "adds up to the difference within" in said
    weights = [float(number) for number in re.findall(r"own weight (\d\.\d+)", said)]
    assert sum(weights) == pytest.approx(1.0, abs=0.002)
    assert "without it:" in said
    assert (bench.folder / f"{path.stem}-17.png").read_bytes().startswith(b"\x89PNG")
    assert main(bench.arguments("explain", path.stem, "--example", "0", "--class", "3", "--out", "why.pdf")) == 0
    assert "logit of 3:" in capsys.readouterr().out
    assert (bench.folder / "why.pdf").read_bytes().startswith(b"%PDF")


def test_what_cannot_be_explained_is_one_line(kept: tuple[Bench, Path], capsys: pytest.CaptureFixture[str]) -> None:
    bench, path = kept

    def error(*words: str) -> str:
        capsys.readouterr()
        assert main(bench.arguments("explain", path.stem, *words)) == 2
        return capsys.readouterr().err

    assert "--example 359: digits has 359 test rows, 0 to 358" in error("--example", "359")
    assert "has 359 test rows" in error("--example", "-1")
    assert "no class 'cat'" in error("--example", "3", "--class", "cat")
    assert "a picture ends in .png, .pdf, .svg" in error("--example", "3", "--out", "why.txt")
    (tensors,) = path.parent.glob("*.safetensors")
    facts = tensors.with_suffix(".json")
    whole, stated = tensors.read_bytes(), json.loads(facts.read_text())
    facts.write_text(json.dumps({**stated, "results_version": 1}))
    assert "of results version 1" in error("--example", "3")
    facts.write_text(json.dumps(stated))
    tensors.write_bytes(b"\x80\x04cos\nsystem\n.")
    assert "damaged, its SHA-256" in error("--example", "3")
    tensors.write_bytes(whole)
    save_file({"other": next(iter(load_file(tensors).values()))}, tensors)
    facts.write_text(json.dumps({**stated, "sha256": hashlib.sha256(tensors.read_bytes()).hexdigest()}))
    assert "of another version of this strategy" in error("--example", "3")
    assert not list(bench.folder.glob("*.png"))


def test_without_captum_it_says_what_to_install(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    assert main(bench.arguments("explain", "abcdef", "--example", "3")) == 2
    assert "captum is not installed here: pip install 'multimodal-fusionbench[explain]'" in capsys.readouterr().err
