"""Weights of others that are wrong: one or two lines, exit code 2, and nothing is left half-written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from cifar10_folder import contents, lay_out, made, publish, ready
from safetensors.torch import save_file
from small_suites import Bench

from fusionbench.data.cifar10_files import FOLDER


class Hostile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def pictures(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A bench over made-up pictures, converted already: workers need no files of the official sums."""
    files = contents(made())
    with monkeypatch.context() as patched:
        publish(patched, files)
        lay_out(bench.folder / "data", files)
        for view in ("halves", "lab"):
            ready(bench.folder / "data", view=view)
    for file in (bench.folder / "data" / FOLDER).iterdir():
        file.unlink()
    bench.data = bench.folder / "data"
    save_file(timm.create_model("test_efficientnet").state_dict(), bench.folder / "good.safetensors")
    return bench


def suite(bench: Bench, view: str = "halves", strategies: tuple[str, ...] = ("concat",), **options: Any) -> str:
    chosen = {"model": "test_efficientnet", "frozen": True, "size": 32, **options}
    first = {"epochs": 1, "batch_size": 20}
    return bench.suite(
        datasets=[{"name": "cifar10", "options": {"view": view}}],
        encoders={"image": {"name": "timm", "options": chosen, "pretrain": first}},
        budget={"epochs": 1, "batch_size": 20},
        strategies=list(strategies),
        seeds=1,
    )


def make_bad(folder: Path, what: str) -> str:
    """A file that is bad in this way; its name."""
    good = folder / "good.safetensors"
    if what == "cut":
        (folder / "cut.safetensors").write_bytes(good.read_bytes()[:5000])
    elif what == "code":
        torch.save({"conv_stem.weight": Hostile(folder / "pwned")}, folder / "code.pth")
    elif what == "other":
        save_file(timm.create_model("test_resnet").state_dict(), folder / "other.safetensors")
    return {"code": "code.pth", "pinned": f"good.safetensors#sha256={'0' * 64}"}.get(what, f"{what}.safetensors")


WORDS = {
    "cut": "cut.safetensors is damaged or cut short",
    "code": "holds more than tensors, such as code, and was not run",
    "other": "missing in the file: ",
    "gone": "no file 'gone.safetensors'",
    "pinned": "000000000000... was planned",
}


@pytest.mark.parametrize("what", WORDS)
def test_bad_weights_end_a_run_before_anything_is_written(
    pictures: Bench, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pictures.run(suite(pictures, weights=make_bad(pictures.folder, what))) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert WORDS[what] in "".join(said)
    assert len(said) <= 2, said
    assert not (pictures.folder / "pwned").exists()
    assert not pictures.records()
    for folder in ("pretrained", "encodings"):
        assert not [path for path in (pictures.data / folder).glob("*") if path.suffix != ".lock"]


def test_pictures_without_colours_are_told_before_anything_is_trained(
    pictures: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pictures.run(suite(pictures, view="lab", weights="good.safetensors")) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert "pretrained networks read red, green and blue, and 'luma' (1, 32, 32)" in said[-1]
    assert len(said) == 1
    assert not pictures.records()


def test_good_weights_train_and_a_fusion_of_raw_inputs_says_why_it_cannot(pictures: Bench) -> None:
    assert pictures.run(suite(pictures, weights="good.safetensors", strategies=("concat", "early"))) == 0
    found = {record["spec"]["strategy"]["name"]: record for record in pictures.records().values()}
    assert found["concat"]["status"] == "done"
    assert found["early"]["status"] == "skipped"
    assert "reads all modalities at once" in found["early"]["reason"]
    assert found["concat"]["spec"]["encoders"]["left"]["options"]["weights"] == "good.safetensors"
