"""The catalogue: names are files, facts are read without importing, one broken file does not hide the others."""

import ast
import inspect
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from fusionbench.core import plugin_places, plugin_source
from fusionbench.core.catalogue import PluginKind, changed_options, checked_options, describe, load, names
from fusionbench.core.errors import UserError

ALL = [(kind, name) for kind in get_args(PluginKind) for name in names(kind)]
STRATEGY = '''"""Mine: adds nothing.

    y = 0
"""
from fusionbench.fusion.base import FusionModule

class Mine(FusionModule):
    paper, interaction = "me2026mine", "none"
    count = len("abc")

    def __init__(self, setting, *, hidden: int = 8) -> None:
        super().__init__(setting)
'''


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    describe.cache_clear()
    yield
    describe.cache_clear()


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder from which `own_plugins.x` is found."""
    folder = tmp_path / "own_plugins"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def place(*part: str | int) -> str:
    return ".".join(map(str, ("here", *part)))


def test_names_are_the_files_that_hold_a_plug_in() -> None:
    assert {"concat", "unimodal"} <= set(names("strategy"))
    assert {"base", "blocks", "_stages", "layer", "__init__"}.isdisjoint(names("strategy"))
    assert {"digits"} <= set(names("dataset"))
    assert {"splits", "store"}.isdisjoint(names("dataset"))
    assert {"linear", "mlp", "small_cnn"} <= set(names("encoder"))
    assert "size" in names("measure")
    assert list(names("strategy")) == sorted(names("strategy"))


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_what_the_source_says_is_what_the_import_has(kind: PluginKind, name: str) -> None:
    plugin, loaded = describe(kind, name), load(kind, name)
    assert plugin.summary
    assert plugin.shipped
    for fact, value in plugin.facts.items():
        # A measure is a function, which states facts beside it.
        assert getattr(sys.modules[plugin.module] if kind == "measure" else loaded, fact) == value
    parameters = inspect.signature(loaded).parameters.values()
    given = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert set(plugin.options) == set(given)
    for option in plugin.options.values():
        default = given[option.name]
        assert option.required == (default is inspect.Parameter.empty)
        assert option.required or option.default == (list(default) if isinstance(default, tuple) else default)


def test_a_broken_file_hides_no_other_and_names_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(plugin_places.PACKAGE / "fusion", tmp_path / "fusion")
    (tmp_path / "fusion" / "broken.py").write_text('"""Broken."""\n\nclass Broken(FusionModule:\n')
    (tmp_path / "fusion" / "bytes.py").write_bytes(b"x = '\xff'\n")
    (tmp_path / "fusion" / "null.py").write_bytes(b"x = 1\0\n")
    (tmp_path / "fusion" / "notes.txt").write_text("no Python")
    whole = names("strategy")
    monkeypatch.setattr(plugin_places, "PACKAGE", tmp_path)
    assert set(names("strategy")) == {*whole, "broken", "bytes", "null"}
    assert describe("strategy", "concat").attribute == "ConcatFusion"
    with pytest.raises(UserError, match=r"strategy 'broken': broken.py, line 3: "):
        describe("strategy", "broken")
    for name in ("bytes", "null"):
        with pytest.raises(UserError, match=rf"strategy '{name}': {name}.py"):
            describe("strategy", name)


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(UserError, match=r"no dataset 'digit'; did you mean 'digits'\? Known: "):
        describe("dataset", "digit")


@pytest.mark.parametrize("name", ["base", "blocks", "_stages", "../concat", "concat.py", "", "Concat"])
def test_only_plug_ins_can_be_named(name: str) -> None:
    with pytest.raises(UserError):
        describe("strategy", name)


def test_ones_own_module_is_read_without_running_it(own: Path) -> None:
    (own / "__init__.py").write_text("raise RuntimeError('imported')")
    (own / "mine.py").write_text(STRATEGY + "raise RuntimeError('imported')\n")
    plugin = describe("strategy", "own_plugins.mine")
    assert plugin.attribute == "Mine"
    assert plugin.summary == "Mine: adds nothing."
    assert dict(plugin.facts) == {"paper": "me2026mine", "interaction": "none"}
    assert plugin.options["hidden"].default == 8
    assert not plugin.shipped
    assert "own_plugins" not in sys.modules


def test_ones_own_module_may_lie_in_folders_without_init(own: Path) -> None:
    (own / "deep" / "er").mkdir(parents=True)
    (own / "deep" / "er" / "mine.py").write_text(STRATEGY)
    assert describe("strategy", "own_plugins.deep.er.mine").module == "own_plugins.deep.er.mine"


def test_the_hash_of_ones_own_module_follows_its_source(own: Path) -> None:
    (own / "mine.py").write_text(STRATEGY)
    before = describe("strategy", "own_plugins.mine").source
    (own / "mine.py").write_text(STRATEGY + "# changed\n")
    describe.cache_clear()
    assert describe("strategy", "own_plugins.mine").source != before


@pytest.mark.parametrize(
    "name", ["no.such", "own_plugins.missing", "__main__.x", "json.decoder.JSONDecoder", "sys.path"]
)
def test_a_module_that_is_not_there_is_an_error_with_the_way_out(own: Path, name: str) -> None:
    with pytest.raises(UserError, match="no such Python module; start in the folder that holds"):
        describe("strategy", name)


@pytest.mark.parametrize(
    "body", ["x = 1\n", STRATEGY + "class Other(FusionModule): ...\n", "class _P(FusionModule): ...\n"]
)
def test_a_file_without_exactly_one_public_class_is_refused(own: Path, body: str) -> None:
    (own / "odd.py").write_text(body)
    with pytest.raises(UserError, match=r"odd.py must hold exactly one public class derived from FusionModule"):
        describe("strategy", "own_plugins.odd")


def test_a_measure_is_a_file_with_a_function_measure(own: Path) -> None:
    (own / "odd.py").write_text("x = 1\n")
    with pytest.raises(UserError, match=r"odd.py must hold exactly one function `measure`"):
        describe("measure", "own_plugins.odd")


def test_an_import_that_fails_names_the_module(own: Path) -> None:
    (own / "mine.py").write_text("import no_such_module\n" + STRATEGY)
    with pytest.raises(UserError, match=r"own_plugins.mine cannot be imported: No module named 'no_such_module'"):
        load("strategy", "own_plugins.mine")


def test_an_import_that_raises_anything_is_one_line(own: Path) -> None:
    (own / "mine.py").write_text("class FusionModule: ...\n" + STRATEGY + "raise ValueError('two\\nlines')\n")
    with pytest.raises(UserError, match=r"^strategy 'own_plugins.mine': own_plugins.mine .* ValueError: two lines$"):
        load("strategy", "own_plugins.mine")


def test_facts_are_literals_in_any_spelling() -> None:
    body = ast.parse("a = 1\nb: int = 2\nc, d = 'x', (1, 2)\ne: int\nf = g()\nh, i = 1, g()\nj, k = f()").body
    assert dict(plugin_source.literals(body)) == {"a": 1, "b": 2, "c": "x", "d": (1, 2), "h": 1}


def test_options_are_filled_in_with_their_defaults() -> None:
    plugin = describe("encoder", "small_cnn")
    assert checked_options(plugin, {"channels": [8]}, place) == {"width": 128, "channels": [8], "groups": 8}
    assert changed_options(plugin, {"width": 128, "channels": [8], "groups": 8}) == {"channels": [8]}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"widht": 3}, r"^here.widht: no option of encoder 'small_cnn' called 'widht'; did you mean 'width'\? Known: "),
        ({"width": "3"}, r"^here.width: encoder 'small_cnn': give a whole number, got '3'$"),
        ({"channels": [1, "a"]}, r"^here.channels.1: encoder 'small_cnn': give a whole number, got 'a'$"),
    ],
)
def test_a_wrong_option_is_an_error_in_its_place(given: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        checked_options(describe("encoder", "small_cnn"), given, place)


def test_a_required_option_that_is_missing_is_named() -> None:
    with pytest.raises(UserError, match=r"^here: strategy 'unimodal' needs the option 'modality'$"):
        checked_options(describe("strategy", "unimodal"), {}, place)


def test_a_required_option_is_always_a_changed_one() -> None:
    assert changed_options(describe("strategy", "unimodal"), {"modality": "left"}) == {"modality": "left"}


def test_the_catalogue_answers_without_torch() -> None:
    program = (
        "import sys; from fusionbench.core.catalogue import describe, names\n"
        "for kind in ('strategy', 'dataset', 'encoder', 'measure'): [describe(kind, name) for name in names(kind)]\n"
        "print([name for name in ('torch', 'lightning', 'timm', 'pandas', 'sklearn') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
