"""Encoders that are trained beforehand, as a suite file asks for them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fusionbench.core.errors import UserError
from fusionbench.plan.load import suite_of
from fusionbench.plan.source import parse_source, with_settings
from fusionbench.plan.suite import Budget, RunSpec, Suite

BASE = """name: x
datasets: [{name: imdb_cifar10, options: {relation: synergy}}]
strategies: [concat, unimodal]
budget: {epochs: 9, learning_rate: 1.0e-2, dropout: 0.3}
"""


def suite(encoders: str, *settings: str, base: str = BASE) -> Suite:
    return suite_of(with_settings(parse_source(f"{base}encoders: {encoders}\n", "my.yaml"), list(settings)))


def first(suite: Suite) -> RunSpec:
    return next(iter(suite.runs()))


def test_pretraining_has_the_budget_of_the_suite_but_for_what_it_sets() -> None:
    run = first(suite("{image: {name: small_cnn, pretrain: {epochs: 3, batch_size: 64}}}"))
    expected = Budget(epochs=3, learning_rate=1e-2, dropout=0.3, batch_size=64)
    assert run.encoders["image"].pretrain == expected
    assert run.encoders["text"].pretrain is None
    assert run.pretrained == ("image",)


@pytest.mark.parametrize(("given", "is_there"), [("true", True), ("{}", True), ("false", False), ("null", False)])
def test_true_is_the_suites_budget_and_false_is_none(given: str, is_there: bool) -> None:
    run = first(suite(f"{{image: {{name: small_cnn, pretrain: {given}}}}}"))
    assert run.encoders["image"].pretrain == (run.budget if is_there else None)


def test_the_command_line_can_turn_it_off() -> None:
    run = first(suite("{image: {name: small_cnn, pretrain: {epochs: 3}}}", "encoders.image.pretrain=false"))
    assert run.encoders["image"].pretrain is None


def test_without_it_a_key_is_what_it_was_and_its_budget_moves_the_key() -> None:
    plain, same = first(suite("{image: small_cnn}")), first(suite("{image: {name: small_cnn, pretrain: false}}"))
    assert "pretrain" not in json.dumps(plain.to_json())
    assert plain.key == same.key
    variants = [first(suite(f"{{image: {{name: small_cnn, pretrain: {{epochs: {n}}}}}}}")) for n in (1, 2)]
    assert len({plain.key, *(run.key for run in variants)}) == 3


def test_a_run_with_it_survives_the_way_through_json() -> None:
    run = first(suite("{image: {name: small_cnn, pretrain: {epochs: 3}}, text: {name: lstm, pretrain: true}}"))
    again = RunSpec.from_json(json.loads(json.dumps(run.to_json())))
    assert again == run
    assert again.key == run.key
    assert again != replace(run, encoders={**run.encoders, "image": replace(run.encoders["image"], pretrain=None)})


@pytest.mark.parametrize(
    ("encoders", "base", "said"),
    [
        (
            "{image: {name: small_cnn, pretrain: true}}",
            "name: x\ndatasets: [digits]\nstrategies: [concat]\n",
            r"encoders.image.pretrain: dataset 'digits' has labels of their own for none of its modalities, "
            r"not for 'left'; leave pretrain out",
        ),
        (
            "{image: {name: small_cnn, pretrain: {epoch: 3}}}",
            BASE,
            r"line 5: encoders.image.pretrain.epoch: no key 'epoch'; did you mean 'epochs'\? Known: batch_size, ",
        ),
        (
            "{image: {name: small_cnn, pretrian: true}}",
            BASE,
            r"encoders.image.pretrian: no key 'pretrian'; did you mean 'pretrain'\? Known: name, options, pretrain",
        ),
        ("{image: {name: small_cnn, pretrain: {epochs: 0}}}", BASE, r"encoders.image.pretrain.epochs: .*got 0"),
        ("{image: {name: small_cnn, pretrain: 3}}", BASE, r"encoders.image.pretrain: give a mapping.*got 3"),
    ],
)
def test_a_mistake_is_one_line_in_its_place(encoders: str, base: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        suite(encoders, base=base)
    assert "\n" not in str(caught.value)
