"""Any callable (widths, classes) -> nn.Module as a strategy: how it is called, what is refused, what is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fusionbench.core.catalogue import forget, load
from fusionbench.core.errors import UserError
from fusionbench.core.task import TaskSpec
from fusionbench.fusion._network import way_of
from fusionbench.fusion.layer import layer
from fusionbench.measure.size import measure
from fusionbench.testing.samples import WIDTH, batch_of, logits_of, setting_of, task_of

TASK = task_of(("vector", "sequence"))
NETWORKS = """
import torch
from torch import nn


class ByDict(nn.Module):
    def __init__(self, widths, classes, *, hidden: int = 6):
        super().__init__()
        self.map = nn.Sequential(nn.Linear(sum(widths.values()), hidden), nn.ReLU(), nn.Linear(hidden, classes))

    def forward(self, vectors, masks=None):
        return self.map(torch.cat(list(vectors.values()), 1))


class InOrder(ByDict):
    def forward(self, first, second):
        return self.map(torch.cat([first, second], 1))


class Starred(ByDict):
    def forward(self, *vectors):
        return self.map(torch.cat(vectors, 1))


class ByName(ByDict):
    def forward(self, m1, m0):
        return self.map(torch.cat([m0, m1], 1))


def lazy(widths, classes):
    return Lazy(classes)


class Lazy(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.map, self.drop = nn.LazyLinear(classes), nn.Dropout(0.5)

    def forward(self, vectors):
        return self.map(self.drop(torch.cat(list(vectors.values()), 1)))


class Middle(ByDict):
    def forward(self, vectors):
        return vectors["middle"]


class More(ByDict):
    def __init__(self, widths, classes):
        super().__init__(widths, classes + 1)


class NotANumber(ByDict):
    def forward(self, vectors):
        return super().forward(vectors).log()


class Detached(ByDict):
    def forward(self, vectors):
        return super().forward(vectors).detach()


class Three(ByDict):
    def forward(self, a, b, c):
        return a


class Pair(ByDict):
    def forward(self, vectors):
        return super().forward(vectors), None


class Squeezed(ByDict):
    def forward(self, vectors):
        return super().forward(vectors)[:, 0]


def raises(widths, classes):
    raise ValueError("no\\nluck")


def nothing(widths, classes):
    return None


built = ByDict({"m0": 2}, 3)
"""


@pytest.fixture(autouse=True)
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("networks.py").write_text(NETWORKS)
    forget()


def made(name: str, task: TaskSpec = TASK, seed: int = 0, **options: object) -> Any:
    strategy = load("strategy", f"networks.py:{name}")
    torch.manual_seed(seed)
    return strategy(setting_of(task, seed), **options)


def test_however_its_forward_takes_the_modalities_it_gets_the_same() -> None:
    batch = batch_of(TASK)
    found = [logits_of(made(name), batch) for name in ("ByDict", "InOrder", "Starred", "ByName")]
    assert found[0].shape == (len(batch), TASK.classes)
    for other in found[1:]:
        assert torch.equal(other, found[0])


def test_it_is_what_the_network_itself_gives_of_the_encodings() -> None:
    module, batch = made("ByDict"), batch_of(TASK)
    encoded = module.eval().encode(batch)
    by_hand = module.network.map(torch.cat([encoded[name].pooled for name in TASK.names], 1))
    assert torch.equal(logits_of(module, batch), by_hand)


def test_parameters_and_flops_are_counted_and_options_are_its_own() -> None:
    sizes = measure(made("ByDict", hidden=9), batch_of(TASK))
    assert sizes["fusion_parameters"] == (2 * WIDTH + 1) * 9 + (9 + 1) * TASK.classes
    assert sizes["fusion_flops_per_sample"] == 2 * (2 * WIDTH * 9 + 9 * TASK.classes)


def test_trying_it_out_moves_nothing_and_weights_are_of_the_seed() -> None:
    one, same, other = made("lazy"), made("lazy"), made("lazy", seed=1)
    assert one.training
    assert one.network.drop.training
    assert torch.equal(one.network.map.weight, same.network.map.weight)
    assert not torch.equal(one.network.map.weight, other.network.map.weight)


def test_an_absent_modality_is_zeros() -> None:
    module, batch = made("ByDict"), batch_of(TASK)
    batch.present["m0"] = torch.zeros(len(batch), dtype=torch.bool)
    batch.inputs["m0"].fill_(torch.nan)
    assert logits_of(module, batch).isfinite().all()


def test_one_number_to_predict_may_come_without_its_column() -> None:
    task = task_of(("vector", "vector"), "regression")
    assert logits_of(made("Squeezed", task), batch_of(task)).shape == (6, 1)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Middle", r"its forward, given as one dict: m0 \(3, 8\), m1 \(3, 8\), failed: KeyError: 'middle'"),
        ("More", r"gives a tensor float32 \(3, 4\); give logits, a float tensor \(3, 3\)"),
        ("NotANumber", "gives NaN or infinity before anything is learned"),
        ("Detached", "gives logits without a gradient: no parameter of it would learn"),
        ("Three", r"its forward takes \(a, b, c\); give it one dict, or a tensor for each of m0, m1"),
        ("Pair", "gives a tuple of 2; give logits"),
        ("Squeezed", r"gives a tensor float32 \(3,\); give logits"),
        ("raises", r"cannot be built: ValueError: no luck \(networks.py, line \d+\)"),
        ("nothing", r"called with \(widths, classes\) it gives nothing; give a torch.nn.Module"),
        ("built", "is a ByDict that is built already; name what builds a network"),
        ("torch", r"is module <module 'torch'.*; name what builds a network"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line_before_anything_trains(name: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as error:
        made(name)
    assert str(error.value).startswith(f"strategy 'networks.py:{name}'")
    assert "\n" not in str(error.value)


def test_a_strategy_that_hides_what_it_is_says_the_way_out() -> None:
    Path("bases.py").write_text("from fusionbench.fusion.concat import ConcatFusion\n")
    Path("hidden.py").write_text("from bases import ConcatFusion\nclass Mine(ConcatFusion): ...\n")
    with pytest.raises(UserError, match="is a FusionModule, which its own file does not show; name FusionModule among"):
        load("strategy", "hidden.py:Mine")


def test_one_modality_is_given_alone_unless_a_dict_is_asked_for() -> None:
    class Alone(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x

    class Dict(nn.Module):
        def forward(self, x: dict[str, Tensor]) -> Tensor:
            return x["a"]

    assert way_of(Alone(), ["a"]) == "in order"
    assert way_of(Dict(), ["a"]) == "as one dict"


def test_it_is_a_layer_too() -> None:
    module = layer("networks.py:ByDict", widths={"a": 5, "b": 7}, classes=4, options={"hidden": 3})
    assert module({"a": torch.randn(2, 5), "b": torch.randn(2, 7)}).shape == (2, 4)
