"""Weights beside a record: written and read, and refused in a line where they are not what they should be."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from fusionbench.bench.weights import load_weights, weights_of
from fusionbench.core.errors import UserError
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.fusion.base import FusionModule, Setting
from fusionbench.fusion.concat import ConcatFusion
from fusionbench.plan.budget import Budget, Pretraining
from fusionbench.plan.suite import Choice, RunSpec
from fusionbench.records.store import TENSORS, Store
from fusionbench.records.weights import FACTS, checked_weights, has_weights, publish_weights

TASK = TaskSpec(tuple(ModalitySpec(name, "vector", (3,)) for name in "ab"), 4)
LEARNING = Choice("mlp", {"width": 5, "depth": 1})
FROZEN = Choice("mlp", {"width": 5, "depth": 1}, pretrain=Pretraining())
RUN = RunSpec(Choice("digits"), Choice("concat"), {}, 0, Choice("same_encoders"), Budget())


def model(b: Choice = LEARNING, seed: int = 0) -> FusionModule:
    torch.manual_seed(seed)
    return ConcatFusion(Setting(TASK, {"a": LEARNING, "b": b}, 5, 5, seed=seed))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path, "tiny")
    publish_weights(found, RUN, weights_of(model()), {"test/accuracy": 0.5})
    return found


def test_a_model_with_the_weights_of_a_file_is_the_one_that_was_written(store: Store) -> None:
    other, path = model(seed=1), checked_weights(store, RUN)
    assert path is not None
    load_weights(other, path)
    written = model().state_dict()
    assert all(torch.equal(value, written[name]) for name, value in other.state_dict().items())
    assert json.loads(store.path(RUN, FACTS).read_text())["scores"] == {"test/accuracy": 0.5}


def test_encoders_that_stay_as_they_are_are_not_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(weights_of(model(FROZEN)))
    assert {name.split(".")[1] for name in load_file(tmp_path / "w") if name.startswith("encoders")} == {"a"}
    other = model(FROZEN, seed=1)
    own = {name: value.clone() for name, value in other.encoders["b"].state_dict().items()}
    load_weights(other, tmp_path / "w")
    assert all(torch.equal(value, own[name]) for name, value in other.encoders["b"].state_dict().items())


def test_without_a_file_there_are_none(tmp_path: Path) -> None:
    assert checked_weights(Store(tmp_path, "tiny"), RUN) is None
    assert not has_weights(Store(tmp_path, "tiny"), RUN)


def spoil(kind: str, tensors: Path, facts: Path) -> None:
    """Spoil one of the two files, which then do not belong together any more."""
    match kind:
        case "bit":
            tensors.write_bytes(tensors.read_bytes()[:-1] + b"x")
        case "cut":
            tensors.write_bytes(tensors.read_bytes()[:100])
        case "missing":
            tensors.unlink()
        case "alone":
            facts.unlink()
        case "no json":
            facts.write_text("{")
        case "of another run":
            facts.write_text(json.dumps({**json.loads(facts.read_text()), "key": "0" * 12}))
        case "version":
            facts.write_text(json.dumps({**json.loads(facts.read_text()), "results_version": 1}))


def forge(kind: str, tensors: Path, facts: Path) -> None:
    """Other tensors, or none, with their own right hash."""
    stated, found = json.loads(facts.read_text()), load_file(tensors)
    name = next(iter(found))
    match kind:
        case "hostile":
            tensors.write_bytes(b"\xff" * 64)
        case "shape":
            save_file({**found, name: found[name][:1].clone()}, tensors)
        case "type":
            save_file({**found, name: found[name].double()}, tensors)
        case "more":
            save_file({**found, "more": found[name].clone()}, tensors)
    facts.write_text(json.dumps({**stated, "sha256": hashlib.sha256(tensors.read_bytes()).hexdigest()}))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("bit", "damaged, its SHA-256 is not the one that"),
        ("cut", "damaged"),
        ("missing", f"{TENSORS}: is missing"),
        ("alone", f"{FACTS}: is missing"),
        ("no json", f"{FACTS}: "),
        ("of another run", "not the file of"),
        ("version", "of results version 1"),
        ("hostile", "holds no tensors"),
        ("shape", "of another version of this strategy"),
        ("type", "of another version of this strategy"),
        ("more", "of another version of this strategy (more differs)"),
    ],
)
def test_files_that_are_not_what_they_should_be_are_one_line_with_the_way_out(
    store: Store, kind: str, said: str
) -> None:
    change = forge if kind in ("hostile", "shape", "type", "more") else spoil
    change(kind, store.path(RUN, TENSORS), store.path(RUN, FACTS))
    with pytest.raises(UserError) as raised:
        load_weights(model(), checked_weights(store, RUN))  # type: ignore[arg-type]
    assert said in str(raised.value)
    assert "trained again" in str(raised.value)
    assert "\n" not in str(raised.value)
