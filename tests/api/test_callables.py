"""Strategies given as objects: named by their module, or written to a file with all that they use, or refused."""

from __future__ import annotations

import functools
import linecache
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import nn

from fusionbench.api.callables import named
from fusionbench.core.catalogue import describe, forget, load
from fusionbench.core.errors import UserError

PROGRAM = """
import math
import numpy as np
import torch.nn as layers
from torch import cat
from torch.nn import functional as F

x = np.zeros(3)
WIDTH = 5
SCALES = {"a": 1.0, "b": 2.0}


def scaled(name, x):  # Its x is not the array.
    return x * SCALES[name]


class Part(layers.Module):
    def __init__(self, width):
        super().__init__()
        self.map = layers.Linear(width, WIDTH)

    def forward(self, x: np.ndarray):
        return F.relu(self.map(x))


def kept(cls):
    return cls


@kept
class Net(layers.Module):
    def __init__(self, widths, classes, *, times: int = 1):
        super().__init__()
        self.parts = layers.ModuleDict({name: Part(width) for name, width in widths.items()})
        self.head = layers.Linear(WIDTH * len(widths), classes)
        self.again = Net if times > 1 else None

    def forward(self, vectors):
        return self.head(cat([scaled(name, self.parts[name](x)) for name, x in vectors.items()], 1)) * math.sqrt(2)


class ReadsAnArray(layers.Module):
    def forward(self, vectors):
        return x


class Bare(layers.Sequential):
    pass


def outer():
    class Inner(layers.Module):
        pass

    return Inner


anonymous = lambda widths, classes: Net(widths, classes)
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A program as a notebook is one: its text is in the cache of lines, and no worker can import it."""
    monkeypatch.chdir(tmp_path)
    module = ModuleType("program_of_a_test")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    lines = PROGRAM.splitlines(keepends=True)
    place = "/tmp/ipykernel_1/2.py"
    monkeypatch.setitem(linecache.cache, place, (len(PROGRAM), None, lines, place))
    exec(compile(PROGRAM, place, "exec"), module.__dict__)
    forget()
    return module


def test_what_lies_in_a_module_is_named_by_it() -> None:
    assert named([nn.Bilinear, "concat", {"name": "gated"}], Path()) == [
        "torch.nn.modules.linear:Bilinear",
        "concat",
        {"name": "gated"},
    ]
    for given in (functools.partial(nn.Linear, bias=False), {"name": nn.Linear, "options": {"bias": False}}):
        assert named(given, Path()) == [{"name": "torch.nn.modules.linear:Linear", "options": {"bias": False}}]
    assert named("all", Path()) == "all"


def test_what_lies_in_a_notebook_is_written_to_a_file_with_all_that_it_uses(program: ModuleType) -> None:
    (name,) = named(program.Net, Path("results/mine"))
    place, attribute = name.split(":")
    assert attribute == "Net"
    assert Path(place).parent.parent == Path("results/mine/own")
    text = Path(place).read_text()
    assert text.count("class Net") == text.count("class Part") == text.count("def scaled") == 1
    assert "@kept\nclass Net" in text
    assert "numpy" not in text  # Named by an annotation alone.
    assert named([program.Net], Path("results/mine")) == [name]
    assert describe("strategy", name).options["times"].default == 1
    torch.manual_seed(0)
    found = load("strategy", name).make({"a": 3, "b": 4}, 2)
    torch.manual_seed(0)
    expected = program.Net({"a": 3, "b": 4}, 2)
    vectors = {"a": torch.randn(6, 3), "b": torch.randn(6, 4)}
    assert torch.equal(found(vectors), expected(vectors))


def test_a_file_alone_is_imported_by_a_fresh_python(program: ModuleType) -> None:
    place = named(program.Net, Path("results"))[0].partition(":")[0]
    code = f"import runpy; print(runpy.run_path({place!r})['Net']({{'a': 3}}, 2).head)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "out_features=2" in done.stdout


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda program: program.ReadsAnArray, "ReadsAnArray uses 'x', ndarray array.*; make it an argument with a"),
        (lambda program: program.Bare, "Bare: its source cannot be read here; put it in a file"),
        (lambda program: program.outer(), "Inner: it is defined inside of something else"),
        (lambda program: program.anonymous, "a lambda has no name"),
        (lambda program: nn.Linear(2, 3), "give a name, or a class or function .*, not called"),
        (lambda program: 3, "int 3; give a name, or a class or function"),
        (lambda program: functools.partial(nn.Linear, 3), "of a partial give keywords alone, which are its options"),
    ],
)
def test_what_no_worker_can_find_is_refused_in_one_line_with_the_way_out(
    program: ModuleType, given: Callable[[ModuleType], Any], said: str
) -> None:
    with pytest.raises(UserError, match=said) as error:
        named([given(program)], Path("results"))
    assert str(error.value).startswith("strategies: ")
    assert "\n" not in str(error.value)
    assert not Path("results").exists()
