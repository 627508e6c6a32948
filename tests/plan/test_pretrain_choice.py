"""Encoders that are trained beforehand, as a suite file asks for them: under which budget, and on which rows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fusionbench.core.errors import UserError
from fusionbench.plan.budget import Pretraining
from fusionbench.plan.load import load_suite, suite_of
from fusionbench.plan.source import parse_source, with_settings
from fusionbench.plan.suite import Choice, RunSpec, Suite

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
    expected = Pretraining(epochs=3, learning_rate=1e-2, dropout=0.3, batch_size=64)
    assert run.encoders["image"].pretrain == expected
    assert run.encoders["text"].pretrain is None
    assert run.pretrained == ("image",)


@pytest.mark.parametrize(("given", "is_there"), [("true", True), ("{}", True), ("false", False), ("null", False)])
def test_true_is_the_suites_budget_and_false_is_none(given: str, is_there: bool) -> None:
    run = first(suite(f"{{image: {{name: small_cnn, pretrain: {given}}}}}"))
    assert run.encoders["image"].pretrain == (Pretraining(**vars(run.budget)) if is_there else None)


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
            "{image: {name: small_cnn, pretrain: {rows: halve}}}",
            BASE,
            r"line 5: encoders.image.pretrain.rows: give 'half' or 'all', got 'halve'; did you mean 'half'\?",
        ),
        ("{image: {name: small_cnn, pretrain: {rows: 0.5}}}", BASE, r"pretrain.rows: give 'half' or 'all', got 0.5"),
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


DIGITS = "name: x\ndatasets: [digits]\nstrategies: [concat, unimodal, chance]\n"


def test_labels_of_its_own_are_learned_on_all_rows_and_the_tasks_on_half_of_them() -> None:
    own = first(suite("{image: {name: small_cnn, pretrain: true}}"))
    assert own.encoders["image"].pretrain == replace(Pretraining(**vars(own.budget)), rows="all")
    assert not own.trains_on_other_half
    of_task = first(suite("{image: {name: small_cnn, pretrain: true}}", base=DIGITS))
    assert {choice.pretrain and choice.pretrain.rows for choice in of_task.encoders.values()} == {"half"}
    assert of_task.trains_on_other_half


def test_each_is_stated_or_set_where_the_other_is_wanted() -> None:
    own = first(suite("{image: {name: small_cnn, pretrain: {rows: half}}}"))
    assert own.encoders["image"].pretrain == replace(Pretraining(**vars(own.budget)), rows="half")
    assert own.trains_on_other_half
    words = "{image: {name: small_cnn, pretrain: {epochs: 2}}}"
    whole = first(suite(words, "encoders.image.pretrain.rows=all", base=DIGITS))
    assert not whole.trains_on_other_half
    assert whole.key != first(suite(words, base=DIGITS)).key
    with pytest.raises(UserError, match=r"--set encoders.image.pretrain.rows=al: .*give 'half' or 'all', got 'al'"):
        suite(words, "encoders.image.pretrain.rows=al", base=DIGITS)


def test_the_half_is_in_the_key_and_all_rows_are_what_keys_had_before() -> None:
    run = first(suite("{image: {name: small_cnn, pretrain: true}}"))
    assert "rows" not in json.dumps(run.to_json())
    half = first(suite("{image: {name: small_cnn, pretrain: {rows: half}}}"))
    assert half.to_json()["encoders"]["image"]["pretrain"]["rows"] == "half"
    assert RunSpec.from_json(json.loads(json.dumps(half.to_json()))) == half
    assert half.key != run.key


STILL = """from fusionbench.encoders.base import Encoder


class Still(Encoder):
    kinds, frozen = ("image",), True

    def __init__(self, spec, dropout=0.0, *, width: int = 16) -> None:
        super().__init__(spec, width)
"""


def test_an_encoder_that_has_nothing_to_train_is_frozen_and_never_trained_beforehand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "still_lab").mkdir()
    (tmp_path / "still_lab" / "still.py").write_text(STILL)
    monkeypatch.syspath_prepend(tmp_path)
    run = first(suite("{image: still_lab.still}", base=DIGITS))
    assert run.is_frozen
    assert not run.pretrained
    assert not run.trains_on_other_half
    assert not Choice("mlp").is_frozen
    with pytest.raises(UserError, match=r"pretrain: encoder 'still_lab.still' has nothing to train; leave pretrain"):
        suite("{image: {name: still_lab.still, pretrain: true}}", base=DIGITS)


@pytest.mark.parametrize(("name", "encoders"), [("cifar10_frozen", ("image",)), ("imdb_frozen", ("tokens", "bag"))])
def test_the_suites_of_frozen_encoders_can_be_had_both_ways_by_settings_alone(
    name: str, encoders: tuple[str, ...]
) -> None:
    runs = list(load_suite(name).runs())
    assert all(run.is_frozen for run in runs)
    assert all(run.trains_on_other_half for run in runs)
    settings = [f"name={name}_all", "tracks=[same_encoders]", "seeds=3"]
    whole = list(load_suite(name, [*settings, *(f"encoders.{key}.pretrain.rows=all" for key in encoders)]).runs())
    assert not any(run.trains_on_other_half for run in whole)
    assert {run.seed for run in whole} == {0, 1, 2}
    assert not {run.key for run in whole} & {run.key for run in runs}


def test_imdb_pretrained_plans_where_the_model_is_not_and_its_keys_do_not_say_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runs = list(load_suite("imdb_pretrained").runs())
    assert all(run.is_frozen for run in runs)
    weights = str(next(run for run in runs if "text" in run.encoders).encoders["text"].options["weights"])
    pin = "0cfc83afb449f81d5535c4f5d76b097ee7074a09fdb02ad94ea5bb3c282e01f6"
    other = list(load_suite("imdb_pretrained", [f"encoders.text.options.weights=elsewhere/model#sha256={pin}"]).runs())
    assert weights == "weights/all-MiniLM-L6-v2"
    assert [run.key for run in other] == [run.key for run in runs]


def test_all_rows_of_a_table_train_on_the_same_half_whether_their_own_encoder_had_the_other_or_not() -> None:
    made = suite("{image: {name: small_cnn, pretrain: {epochs: 1, rows: half}}}", base=BASE.replace("concat", "chance"))
    runs = {run.strategy.options.get("modality", run.strategy.name): run for run in made.runs()}
    assert {name: run.trains_on_other_half for name, run in runs.items()} == dict.fromkeys(runs, True)
    assert {name: run.other_half for name, run in runs.items()} == {"chance": True, "image": False, "text": True}
    assert [RunSpec.from_json(json.loads(json.dumps(run.to_json()))) for run in runs.values()] == list(runs.values())
    assert all("other_half" not in json.dumps(run.to_json()) for run in suite("{}").runs())
