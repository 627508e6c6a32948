"""Run keys: pinned, sensitive to everything that decides a result, and blind to all else."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionbench.core import catalogue
from fusionbench.core.catalogue import describe
from fusionbench.plan.load import suite_of
from fusionbench.plan.source import parse_source
from fusionbench.plan.suite import Budget, Choice, RunSpec

SPEC = RunSpec(
    dataset=Choice("synthetic_pid", {"relation": "synergy", "noise": 1.0, "train": 4096}),
    strategy=Choice("gated", {"hidden": 128}),
    encoders={"a": Choice("mlp", {"width": 64, "depth": 1}), "b": Choice("mine.net", {"width": 64}, source="ab" * 32)},
    seed=3,
    track=Choice("same_encoders"),
    budget=Budget(),
)
TEXT = (
    '{"budget":{"batch_size":128,"dropout":0.0,"epochs":20,"learning_rate":0.001,"patience":0,"precision":"32-true",'
    '"weight_decay":0.01},"dataset":{"name":"synthetic_pid","options":{"noise":1.0,"relation":"synergy","train":4096}},'
    '"encoders":{"a":{"name":"mlp","options":{"depth":1,"width":64}},"b":{"name":"mine.net","options":{"width":64},'
    '"source":"abababababababababababababababababababababababababababababababab"}},"role":"final","seed":3,'
    '"strategy":{"name":"gated","options":{"hidden":128}},"track":{"name":"same_encoders","options":{}}}'
)

NAMES = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
VALUES = st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False) | st.text()
OPTIONS = st.dictionaries(NAMES, VALUES | st.lists(VALUES, max_size=3), max_size=3)
CHOICES = st.builds(Choice, NAMES, OPTIONS, st.sampled_from(["", "ab" * 32]))
POSITIVE = st.floats(1e-9, 10)
BUDGETS = st.builds(
    Budget,
    epochs=st.integers(1, 10**6),
    batch_size=st.integers(1, 10**6),
    learning_rate=POSITIVE,
    weight_decay=POSITIVE,
    dropout=st.floats(0, 0.99),
    precision=st.sampled_from(["32-true", "bf16-mixed"]),
    patience=st.integers(0, 100),
)
SPECS = st.builds(
    RunSpec,
    dataset=CHOICES,
    strategy=CHOICES,
    encoders=st.dictionaries(NAMES, CHOICES, max_size=3),
    seed=st.integers(0, 2**32 - 1),
    track=CHOICES,
    budget=BUDGETS,
    role=st.sampled_from(["final", "trial"]),
)


def test_the_key_of_a_run_is_pinned() -> None:
    # If this fails, every record that exists is lost to its suite: raise results_version and say so in the changelog.
    assert SPEC.key == "3bf5aba756dd"
    assert SPEC.key == hashlib.sha256(TEXT.encode()).hexdigest()[:12]


@given(SPECS)
def test_a_run_survives_the_way_through_json(spec: RunSpec) -> None:
    again = RunSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert again == spec
    assert again.key == spec.key


def test_every_field_is_in_the_json() -> None:
    assert set(SPEC.to_json()) == {field.name for field in fields(RunSpec)}
    assert set(SPEC.to_json()["budget"]) == {field.name for field in fields(Budget)} - set(Budget.LATER)


CHANGES: list[Callable[[RunSpec], RunSpec]] = [
    lambda spec: replace(spec, dataset=Choice("digits", spec.dataset.options)),
    lambda spec: replace(spec, dataset=Choice("synthetic_pid", {**spec.dataset.options, "noise": 2.0})),
    lambda spec: replace(spec, strategy=Choice("late", spec.strategy.options)),
    lambda spec: replace(spec, strategy=Choice("gated", {"hidden": 129})),
    lambda spec: replace(spec, strategy=replace(spec.strategy, source="cd" * 32)),
    lambda spec: replace(spec, encoders={"a": spec.encoders["a"]}),
    lambda spec: replace(spec, encoders={"a": spec.encoders["b"], "b": spec.encoders["a"]}),
    lambda spec: replace(spec, seed=4),
    lambda spec: replace(spec, track=Choice("same_encoders", {"x": 1})),
    lambda spec: replace(spec, role="trial"),
    lambda spec: replace(spec, budget=replace(spec.budget, epochs=21)),
    lambda spec: replace(spec, budget=replace(spec.budget, batch_size=64)),
    lambda spec: replace(spec, budget=replace(spec.budget, learning_rate=2e-3)),
    lambda spec: replace(spec, budget=replace(spec.budget, weight_decay=0.0)),
    lambda spec: replace(spec, budget=replace(spec.budget, dropout=0.1)),
    lambda spec: replace(spec, budget=replace(spec.budget, precision="bf16-mixed")),
    lambda spec: replace(spec, budget=replace(spec.budget, patience=1)),
]


def test_each_thing_that_decides_a_result_moves_the_key() -> None:
    keys = [change(SPEC).key for change in CHANGES]
    assert len({SPEC.key, *keys}) == len(CHANGES) + 1


@given(SPECS, st.randoms())
def test_the_order_of_options_and_encoders_does_not_move_the_key(spec: RunSpec, random: object) -> None:
    def shuffled(mapping: dict[str, object]) -> dict[str, object]:
        items = list(mapping.items())
        random.shuffle(items)  # type: ignore[attr-defined]
        return dict(items)

    options = shuffled(spec.strategy.options)
    encoders = shuffled(dict(spec.encoders))
    other = replace(spec, strategy=replace(spec.strategy, options=options), encoders=encoders)  # type: ignore[arg-type]
    assert other.key == spec.key


def keys_of(text: str) -> dict[str, str]:
    """Key by strategy and its options, seed 0."""
    suite = suite_of(parse_source(f"name: x\nseeds: 1\n{text}", "x.yaml"))
    return {run.strategy.name + "".join(map(str, run.strategy.options.values())): run.key for run in suite.runs()}


def test_only_encoders_that_are_used_are_in_the_key() -> None:
    text = "datasets: [digits]\nstrategies: [chance, unimodal, concat]\n"
    plain, other = keys_of(text), keys_of(text + "encoders: {left: {name: mlp, options: {width: 64}}}")
    moved = {name for name in plain if plain[name] != other[name]}
    assert moved == {"unimodalleft", "concat"}


def test_a_default_that_is_written_out_does_not_move_the_key() -> None:
    short = keys_of("datasets: [digits]\nstrategies: [concat]")
    long = keys_of(
        "datasets: [{name: digits, options: {view: halves}}]\nstrategies: [{name: concat, options: {}}]\n"
        "tracks: [{name: same_encoders}]\nbudget: {epochs: 20, learning_rate: 1e-3, weight_decay: 0.01, dropout: 0}"
    )
    assert short == long


def test_suite_name_measures_other_strategies_and_seeds_do_not_move_a_key() -> None:
    one = suite_of(parse_source("name: x\nseeds: [2]\ndatasets: [digits]\nstrategies: [concat]", "x.yaml"))
    many = suite_of(
        parse_source("name: y\nseeds: 3\ndatasets: [digits]\nstrategies: [late, concat]\nmeasures: []", "y.yaml")
    )
    assert next(one.runs()).key in {run.key for run in many.runs()}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a strategy of one's own, `own_keys.mine`."""
    (tmp_path / "own_keys").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "own_keys" / "mine.py"


def test_a_change_to_ones_own_strategy_moves_its_key_and_no_other(own: Path) -> None:
    text = "datasets: [digits]\nstrategies: [concat, own_keys.mine]"
    own.write_text('"""Mine."""\nclass Mine(FusionModule): ...\n')
    before = keys_of(text)
    own.write_text('"""Mine."""\nclass Mine(FusionModule):\n    x = 1\n')
    describe.cache_clear()
    catalogue._parsed.cache_clear()
    after = keys_of(text)
    assert before["concat"] == after["concat"]
    assert before["own_keys.mine"] != after["own_keys.mine"]
