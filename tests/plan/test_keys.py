"""Run keys: pinned, sensitive to everything that decides a result, and blind to all else."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionbench.core import catalogue, plugin_places
from fusionbench.core.canonical import short_key
from fusionbench.core.catalogue import describe, with_later
from fusionbench.plan.budget import Budget, Pretraining
from fusionbench.plan.load import suite_of
from fusionbench.plan.names import slug
from fusionbench.plan.source import parse_source
from fusionbench.plan.suite import Choice, RunSpec

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
FILES = st.dictionaries(NAMES, st.just("cd" * 32), max_size=1)
CHOICES = st.builds(
    Choice,
    NAMES,
    OPTIONS,
    st.sampled_from(["", "ab" * 32]),
    version=st.integers(1, 3),
    files=FILES,
    metric=st.sampled_from(["", "nll"]),
)
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
    head_norm=st.booleans(),
    optimiser=st.sampled_from(["adamw", "sgd"]),
    momentum=st.sampled_from([0.0, 0.9]),
)
FIRSTS = BUDGETS.flatmap(
    lambda b: st.builds(lambda rows: Pretraining(**vars(b), rows=rows), st.sampled_from(["half", "all"]))
)
ENCODERS = st.builds(lambda choice, first: replace(choice, pretrain=first), CHOICES, st.none() | FIRSTS)
SPECS = st.builds(
    RunSpec,
    dataset=CHOICES,
    strategy=CHOICES,
    encoders=st.dictionaries(NAMES, ENCODERS, max_size=3),
    seed=st.integers(0, 2**32 - 1),
    track=CHOICES,
    budget=BUDGETS,
    role=st.sampled_from(["final", "trial"]),
)


PLAIN = replace(SPEC, encoders={"a": SPEC.encoders["a"]})
TARGET = {"target": 100_000}
MATCHED = Choice("matched_parameters", {**TARGET, "learning_rates": [3e-4, 1e-3], "grow": 2, "trial_seed": 10**6})
FIRST = replace(SPEC.encoders["a"], pretrain=Pretraining(epochs=3))
HALF = replace(SPEC.encoders["a"], pretrain=Pretraining(epochs=3, rows="half"))
PINNED = {
    "plain": (PLAIN, "39d348c27348"),
    "own source": (SPEC, "3bf5aba756dd"),
    "pretrain": (replace(SPEC, encoders={"a": FIRST}), "e73095666e40"),
    "pretrain on half": (replace(SPEC, encoders={"a": HALF}), "3e177f51f2f5"),
    "trial": (replace(PLAIN, track=Choice("matched_parameters", TARGET), seed=10**6, role="trial"), "4c560b09b52d"),
    "matched": (replace(PLAIN, track=MATCHED), "a8059c7cb87b"),
    "metric": (replace(PLAIN, dataset=replace(SPEC.dataset, metric="nll")), "b0c767f6414e"),
}


@pytest.mark.parametrize("name", PINNED)
def test_keys_are_pinned(name: str) -> None:
    # If this fails, every record that exists is lost to its suite. A new field needs a value that means "as before".
    spec, key = PINNED[name]
    assert spec.key == key


def test_a_key_is_the_hash_of_the_text_as_it_stands_here() -> None:
    assert SPEC.key == hashlib.sha256(TEXT.encode()).hexdigest()[:12]


def test_a_later_field_is_in_the_key_only_where_it_says_something_new() -> None:
    assert "head_norm" not in SPEC.to_json()["budget"]
    other = replace(SPEC, budget=replace(SPEC.budget, head_norm=False))
    assert other.to_json()["budget"]["head_norm"] is False
    assert other.key != SPEC.key
    assert RunSpec.from_json(other.to_json()) == other
    assert not {"optimiser", "momentum"} & SPEC.to_json()["budget"].keys()
    sgd = replace(SPEC, budget=replace(SPEC.budget, optimiser="sgd", momentum=0.9))
    assert sgd.to_json()["budget"].items() >= {"optimiser": "sgd", "momentum": 0.9}.items()


def test_a_plug_ins_own_version_is_in_the_key_of_its_runs_from_two_on() -> None:
    assert "version" not in SPEC.to_json()["strategy"]
    keys = {replace(SPEC, strategy=replace(SPEC.strategy, version=version)).key for version in (1, 2, 3)}
    assert len(keys) == 3
    assert SPEC.key in keys


def test_what_decides_no_result_is_no_part_of_a_run() -> None:
    assert set(SPEC.to_json()) == {"dataset", "strategy", "encoders", "seed", "track", "budget", "role"}


@given(SPECS)
def test_a_run_survives_the_way_through_json(spec: RunSpec) -> None:
    again = RunSpec.from_json(json.loads(json.dumps(spec.to_json())))
    assert again == spec
    assert again.key == spec.key


def test_a_changed_copy_has_a_key_of_its_own_whatever_was_asked_before() -> None:
    assert SPEC.key == short_key(SPEC.decisive())
    other = replace(SPEC, seed=SPEC.seed + 1)
    assert other.key == short_key(other.decisive()) != SPEC.key
    named = replace(SPEC, dataset=replace(SPEC.dataset, source="cd" * 32))
    assert named.to_json()["dataset"]["source"] == "cd" * 32
    assert named.key == short_key(named.decisive()) != SPEC.key


def test_every_field_is_in_the_json() -> None:
    assert set(SPEC.to_json()) == {field.name for field in fields(RunSpec)} - set(RunSpec.LATER)
    assert set(SPEC.to_json()["budget"]) == {field.name for field in fields(Budget)} - set(Budget.LATER)


CHANGES: list[Callable[[RunSpec], RunSpec]] = [
    lambda spec: replace(spec, dataset=Choice("digits", spec.dataset.options)),
    lambda spec: replace(spec, dataset=Choice("synthetic_pid", {**spec.dataset.options, "noise": 2.0})),
    lambda spec: replace(spec, dataset=replace(spec.dataset, metric="nll")),
    lambda spec: replace(spec, strategy=Choice("late", spec.strategy.options)),
    lambda spec: replace(spec, strategy=Choice("gated", {"hidden": 129})),
    lambda spec: replace(spec, strategy=replace(spec.strategy, source="cd" * 32)),
    lambda spec: replace(spec, encoders={"a": spec.encoders["a"]}),
    lambda spec: replace(spec, encoders={"a": spec.encoders["b"], "b": spec.encoders["a"]}),
    lambda spec: replace(spec, seed=4),
    lambda spec: replace(spec, track=Choice("same_encoders", {"x": 1})),
    lambda spec: replace(spec, role="trial"),
    lambda spec: replace(spec, other_half=True),
    lambda spec: replace(spec, budget=replace(spec.budget, epochs=21)),
    lambda spec: replace(spec, budget=replace(spec.budget, batch_size=64)),
    lambda spec: replace(spec, budget=replace(spec.budget, learning_rate=2e-3)),
    lambda spec: replace(spec, budget=replace(spec.budget, weight_decay=0.0)),
    lambda spec: replace(spec, budget=replace(spec.budget, dropout=0.1)),
    lambda spec: replace(spec, budget=replace(spec.budget, precision="bf16-mixed")),
    lambda spec: replace(spec, budget=replace(spec.budget, patience=1)),
    lambda spec: replace(spec, budget=replace(spec.budget, optimiser="sgd")),
    lambda spec: replace(spec, budget=replace(spec.budget, optimiser="sgd", momentum=0.9)),
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
    plugin_places.parsed.cache_clear()
    after = keys_of(text)
    assert before["concat"] == after["concat"]
    assert before["own_keys.mine"] != after["own_keys.mine"]


LATER = '''"""Mine."""
class Mine(FusionModule):
    {facts}
    def __init__(self, setting, *, hidden: int = 8{more}): ...
'''


def rewritten(own: Path, facts: str, more: str = "", options: str = "") -> tuple[str, RunSpec]:
    """Key and run of the user's own strategy after a change to it, as if its source were not in the key."""
    own.write_text(LATER.format(facts=facts, more=more))
    describe.cache_clear()
    plugin_places.parsed.cache_clear()
    text = f"name: x\nseeds: 1\ndatasets: [digits]\nstrategies: [{{name: own_keys.mine, options: {{{options}}}}}]"
    run = next(iter(suite_of(parse_source(text, "x.yaml")).runs()))
    return replace(run, strategy=replace(run.strategy, source="")).key, run


def test_a_later_option_keeps_the_key_at_the_value_that_means_as_before(own: Path) -> None:
    facts, more = 'later = {"steps": 0}', ", steps: int = 0"
    before, _ = rewritten(own, "pass")
    after, run = rewritten(own, facts, more)
    assert after == before
    assert rewritten(own, facts, more, "steps: 0")[0] == before
    assert rewritten(own, facts, more, "steps: 3")[0] != before
    assert with_later("strategy", "own_keys.mine", run.strategy.options) == {"hidden": 8, "steps": 0}


def test_a_default_that_changes_does_change_the_key_even_of_a_later_option(own: Path) -> None:
    before, _ = rewritten(own, 'later = {"steps": 0}', ", steps: int = 0")
    after, _ = rewritten(own, 'later = {"steps": 0}', ", steps: int = 5")
    assert after != before
    kept, run = rewritten(own, 'later = {"steps": 0}', ", steps: int = 5", "steps: 0")
    assert kept == before
    assert with_later("strategy", "own_keys.mine", run.strategy.options) == {"hidden": 8, "steps": 0}
    assert slug("strategy", run.strategy) == "own_keys.mine+steps=0"


def test_a_version_that_is_raised_moves_the_keys_of_its_own_runs(own: Path) -> None:
    assert rewritten(own, "version = 1")[0] == rewritten(own, "pass")[0]
    assert rewritten(own, "version = 2")[0] != rewritten(own, "pass")[0]


@pytest.mark.parametrize("kind", ["strategy", "dataset", "encoder"])
def test_every_later_option_of_ours_is_an_option_and_every_version_a_number(kind: catalogue.PluginKind) -> None:
    for name in catalogue.names(kind):
        plugin = describe(kind, name)
        assert set(plugin.later) <= set(plugin.options), name
        assert plugin.version >= 1
