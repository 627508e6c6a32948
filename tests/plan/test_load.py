"""Suites: short forms written out, everything checked before anything trains, every mistake one line in its place."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from fusionbench.core.catalogue import describe, names
from fusionbench.core.errors import UserError
from fusionbench.plan.budget import Budget
from fusionbench.plan.dataset_choice import modality_kinds
from fusionbench.plan.load import load_suite, suite_of
from fusionbench.plan.names import slug
from fusionbench.plan.source import parse_source, shipped_suites, with_settings
from fusionbench.plan.suite import Choice, Suite
from fusionbench.plan.suite_file import FileBudget, FileTraining

BASE = "name: x\ndatasets: [digits]\nstrategies: [concat]\n"


def suite(text: str = BASE, *settings: str) -> Suite:
    return suite_of(with_settings(parse_source(text, "my.yaml"), list(settings)))


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder from which `own_suite.x` is found."""
    folder = tmp_path / "own_suite"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    describe.cache_clear()
    yield folder
    describe.cache_clear()


@pytest.mark.parametrize("name", shipped_suites())
def test_every_shipped_suite_loads_and_plans(name: str) -> None:
    loaded = load_suite(name)
    runs = list(loaded.runs())
    assert loaded.name == name
    fewer = {track.name: seeds for track, seeds in loaded.fewer}
    assert len(runs) == sum(len(fewer.get(row.track.name, loaded.seeds)) for row in loaded.rows) > 0
    assert len({run.key for run in runs}) == len(runs)


def test_short_forms_stand_for_what_the_design_says() -> None:
    loaded = suite()
    assert loaded.seeds == (0, 1, 2, 3, 4, 5)
    assert loaded.tracks == (Choice("same_encoders"),)
    assert loaded.measures == (Choice("size"),)
    assert loaded.budget == Budget()
    assert loaded.datasets == (Choice("digits", {"view": "halves"}),)


def test_the_file_knows_every_field_of_the_budget_and_its_default() -> None:
    assert vars(FileTraining()) == vars(Budget())
    assert [field.name for field in fields(FileTraining)] == [field.name for field in fields(Budget)]
    assert {field.name for field in fields(FileBudget)} - {field.name for field in fields(FileTraining)} == {
        "time_limit"
    }


def test_a_time_limit_is_in_seconds_and_in_no_key() -> None:
    base = "name: x\ndatasets: [digits]\nstrategies: [concat]\nencoders: {image: {name: small_cnn, pretrain: true}}"
    plain = suite(base)
    assert plain.time_limit == 0
    for given, seconds in (("90", 90.0), ("1h30m", 5400.0), ("0", 0.0)):
        limited = suite(f"{base}\nbudget: {{time_limit: {given}}}")
        assert limited.time_limit == seconds
        assert [run.key for run in limited.runs()] == [run.key for run in plain.runs()]
        assert [run.to_json() for run in limited.runs()] == [run.to_json() for run in plain.runs()]


def test_seeds_are_outermost_so_that_a_stopped_suite_is_comparable() -> None:
    runs = list(suite("name: x\nseeds: [7, 3]\ndatasets: [digits]\nstrategies: [concat, late]").runs())
    assert [(run.seed, run.strategy.name) for run in runs] == [(7, "concat"), (7, "late"), (3, "concat"), (3, "late")]


def test_all_means_every_strategy_of_the_catalogue() -> None:
    planned = {row.strategy.name for row in suite("name: x\ndatasets: [digits]\nstrategies: all").rows}
    assert planned == set(names("strategy"))


def test_unimodal_is_a_row_per_modality_and_chance_builds_no_encoder() -> None:
    rows = suite("name: x\ndatasets: [digits]\nstrategies: [chance, unimodal, concat]").rows
    assert [(row.strategy.name, tuple(row.encoders)) for row in rows] == [
        ("chance", ()),
        ("unimodal", ("left",)),
        ("unimodal", ("right",)),
        ("concat", ("left", "right")),
    ]
    assert [row.strategy.options.get("modality") for row in rows] == [None, "left", "right", None]


def test_a_gate_is_any_modality_where_none_is_named() -> None:
    rows = suite("name: x\ndatasets: [digits]\nstrategies: [gated_by_one]").rows
    assert [(row.strategy.options["gate"], tuple(row.encoders)) for row in rows] == [
        ("left", ("left", "right")),
        ("right", ("left", "right")),
    ]
    text = "name: x\ndatasets: [digits]\nstrategies: [{name: gated_by_one, options: {gate: right}}]"
    assert [row.strategy.options["gate"] for row in suite(text).rows] == ["right"]


def test_an_encoder_is_looked_up_by_modality_then_kind_then_default() -> None:
    text = BASE + "encoders: {left: {name: mlp, options: {width: 32}}, image: {name: small_cnn, options: {width: 32}}}"
    row = suite(text).rows[0]
    assert {name: choice.name for name, choice in row.encoders.items()} == {"left": "mlp", "right": "small_cnn"}
    assert suite().rows[0].encoders["left"].options == {"width": 64, "channels": [16, 32], "groups": 8}


def test_settings_from_the_command_line_count() -> None:
    loaded = suite(BASE, "budget.epochs=2", "budget.learning_rate=1e-2", "seeds=[5]", "strategies=[late, sum]")
    assert (loaded.budget.epochs, loaded.budget.learning_rate, loaded.seeds) == (2, 0.01, (5,))
    assert [row.strategy.name for row in loaded.rows] == ["late", "sum"]


def test_a_measure_is_found_by_name() -> None:
    loaded = suite(BASE + "measures: [size]")
    assert loaded.measure("size") == Choice("size")
    assert loaded.measure("latency") is None


def test_modality_kinds_are_the_views_of_the_dataset() -> None:
    assert modality_kinds(Choice("digits", {"view": "halves"})) == {"left": "image", "right": "image"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"relation": "mixture"}, "synthetic_pid+relation=mixture"),
        ({"relation": "synergy", "noise": 1.0}, "synthetic_pid+relation=synergy"),
        ({"relation": "mixture", "noise": 2.0}, "synthetic_pid+noise=2.0+relation=mixture"),
    ],
)
def test_a_slug_shows_the_options_that_differ(options: dict[str, object], expected: str) -> None:
    assert slug("dataset", Choice("synthetic_pid", options)) == expected


def test_a_slug_is_plain_for_defaults_and_short_for_anything_odd() -> None:
    assert slug("encoder", Choice("small_cnn", {"width": 128, "channels": [32, 64, 128], "groups": 8})) == "small_cnn"
    odd = slug("encoder", Choice("small_cnn", {"channels": [1, 2]}))
    assert odd.startswith("small_cnn+")
    assert len(odd) == len("small_cnn+") + 6
    assert odd != slug("encoder", Choice("small_cnn", {"channels": [1, 3]}))
    assert "/" not in slug("strategy", Choice("unimodal", {"modality": "../../x"}))


def test_the_largest_seed_is_taken() -> None:
    assert suite(BASE + "seeds: [4294967295, 0]").seeds == (4294967295, 0)


def test_an_encoder_of_ones_own_without_a_width_is_refused(own: Path) -> None:
    (own / "narrow.py").write_text("class Narrow(Encoder):\n    def __init__(self, spec, dropout=0.0): ...\n")
    with pytest.raises(
        UserError, match=r"encoders.image: encoder 'own_suite.narrow' needs a keyword-only option `width"
    ):
        suite(BASE + "encoders: {image: own_suite.narrow}")


@pytest.mark.parametrize("views", ["", "views = 3", "views = {}", "views = {'v': {'a': 'picture'}}", "views = f()"])
def test_a_dataset_of_ones_own_must_state_its_views(own: Path, views: str) -> None:
    (own / "data.py").write_text(f"class Mine(MultimodalData):\n    pass\n    {views}\n")
    with pytest.raises(UserError, match=r"must state its views|no view of dataset"):
        suite("name: x\ndatasets: [own_suite.data]\nstrategies: [concat]")


def test_a_dataset_of_ones_own_without_encoders_asks_for_one(own: Path) -> None:
    (own / "data.py").write_text("class Mine(MultimodalData):\n    views = {'v': {'a': 'vector', 'b': 'vector'}}\n")
    text = "name: x\ndatasets: [own_suite.data]\nstrategies: [concat]\n"
    with pytest.raises(UserError, match=r"has no encoder for its modality 'a'; name one under encoders"):
        suite(text)
    assert set(suite(text + "encoders: {vector: mlp}").rows[0].encoders) == {"a", "b"}


def test_planning_imports_no_torch() -> None:
    program = (
        "import sys; from fusionbench.plan.load import load_suite\n"
        "for run in load_suite('quickstart').runs(): run.key\n"
        "heavy = ('torch', 'lightning', 'timm', 'pandas', 'numpy', 'scipy', 'sklearn', 'matplotlib', 'wandb')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_a_column_of_ones_own_that_is_called_as_another_kind_is_has_the_encoder_of_its_own_kind() -> None:
    options = "{file: t.csv, label: y, columns: {audio: sequence, text: tokens, image: {kind: vector, numbers: [a]}}}"
    loaded = suite(f"name: x\ndatasets: [{{name: manifest, options: {options}}}]\nstrategies: [concat]\n")
    encoders = {name: choice.name for name, choice in loaded.rows[0].encoders.items()}
    assert encoders == {"audio": "lstm", "image": "table", "text": "lstm"}
