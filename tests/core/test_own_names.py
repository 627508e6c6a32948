"""Plug-ins of the user's own by module and name, and by file: found and read without running them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fusionbench.core.catalogue import checked_options, describe, forget, load
from fusionbench.core.errors import UserError
from fusionbench.core.own_files import imported
from fusionbench.core.plugin_names import folder_name, is_name, portable

NETWORKS = '''"""Two networks."""
import no_such_module

class Net(Base):
    display = "My Net"
    uses = 3

    def __init__(self, widths, classes, hidden=32, *, act=len, rate: float = 0.5, names: tuple[str, ...] = ("a",)):
        """Builds it."""

def small(widths, classes): ...

if True:
    Other = small
'''
STRATEGY = """from fusionbench.fusion.base import FusionModule

class Mine(FusionModule):
    interaction = "none"

class Yours(FusionModule):
    interaction = "full"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])  # First: other tests leave folders there.
    for module in ("mine", "mine.nets", "nets"):  # Another test's, of another folder.
        monkeypatch.delitem(sys.modules, module, raising=False)
    forget()
    yield tmp_path
    forget()


@pytest.mark.parametrize(
    "name", ["gated", "mine.gated", "nets:Net", "mine.nets:Net", "nets.py:Net", "../a b/nets.py", "~/nets.py:Net"]
)
def test_what_is_a_name(name: str) -> None:
    assert is_name(name)
    assert not set(folder_name(name)) & set("/\\: ~")


@pytest.mark.parametrize("name", ["", "no such", "a:b:c", "nets.py:", ".py\n:Net", "mine..x", "1a"])
def test_what_is_none(name: str) -> None:
    assert not is_name(name)


def test_a_key_does_not_know_where_a_file_lies() -> None:
    assert portable("/somewhere/nets.py:Net") == portable("nets.py:Net") == "nets.py:Net"
    assert portable("mine.nets:Net") == "mine.nets:Net"


@pytest.mark.parametrize("name", ["nets:Net", "nets.py:Net"])
def test_a_network_is_described_without_importing_it(folder: Path, name: str) -> None:
    (folder / "nets.py").write_text(NETWORKS)
    plugin = describe("strategy", name)
    assert plugin.is_network
    assert not plugin.shipped
    assert (plugin.name, plugin.attribute) == (name, "Net")
    assert plugin.facts == {"interaction": "", "fidelity": "", "display": "My Net"}
    assert {option.name: option.default for option in plugin.options.values()} == {
        "hidden": 32,
        "rate": 0.5,
        "names": ["a"],
    }
    assert checked_options(plugin, {"hidden": 8}, lambda *_: "here")["hidden"] == 8
    with pytest.raises(UserError, match=r"here: strategy '.*': give a whole number, got 'x'"):
        checked_options(plugin, {"hidden": "x"}, lambda *_: "here")
    assert describe("strategy", name.replace("Net", "small")).options == {}
    assert describe("strategy", name.replace("Net", "Other")).is_network
    with pytest.raises(UserError, match=r"nets(.py)? cannot be imported: No module named 'no_such_module'"):
        load("strategy", name)


def test_a_class_that_derives_from_fusion_module_is_a_strategy_like_any_other(folder: Path) -> None:
    (folder / "several.py").write_text(STRATEGY)
    plugin = describe("strategy", "several.py:Mine")
    assert not plugin.is_network
    assert plugin.facts == {"interaction": "none"}
    assert describe("strategy", "several:Yours").facts == {"interaction": "full"}
    with pytest.raises(UserError, match=r"several.py must hold exactly one public class .* named several.py:Name"):
        describe("strategy", "several.py")
    (folder / "single.py").write_text(STRATEGY.partition("class Yours")[0])
    assert describe("strategy", "single.py").name == "single.py:Mine"
    assert load("strategy", "single.py").interaction == "none"


def test_the_source_of_a_file_is_that_of_its_own_modules_too_and_not_its_place(folder: Path) -> None:
    (folder / "nets.py").write_text("import parts_of_it\n" + NETWORKS)
    (folder / "parts_of_it.py").write_text("x = 1\n")
    before = describe("strategy", "nets.py:Net").source
    forget()
    (folder / "parts_of_it.py").write_text("x = 2\n")
    assert describe("strategy", "nets.py:Net").source != before


def test_two_files_of_one_name_are_two_modules_and_an_edited_one_is_a_third(folder: Path) -> None:
    for place, value in (("a", 1), ("b", 2)):
        (folder / place).mkdir()
        (folder / place / "same.py").write_text(f"value = {value}\n")
    one, other = (imported(folder / place / "same.py") for place in "ab")
    assert (one.value, other.value) == (1, 2)
    assert imported(folder / "a" / "same.py") is one
    (folder / "a" / "same.py").write_text("value = 3\n")
    assert imported(folder / "a" / "same.py").value == 3


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nets.py:Nett", "no name in nets.py called 'Nett'; did you mean 'Net'"),
        ("nowhere.py:Net", "no file nowhere.py"),
        ("nowhere:Net", "no such Python module; start in the folder that holds nowhere.py"),
        ("odd.py:one", r"it takes \(widths\); it is called with \(widths, classes\)"),
        ("odd.py:needs", "its argument 'act' needs a default, or an annotation of a plain type"),
        ("broken.py:Net", "broken.py, line 1: "),
    ],
)
def test_a_name_that_leads_to_no_network_is_one_line(folder: Path, name: str, said: str) -> None:
    (folder / "nets.py").write_text(NETWORKS)
    (folder / "odd.py").write_text("def one(widths): ...\ndef needs(widths, classes, act): ...\n")
    (folder / "broken.py").write_text("class Net(\n")
    with pytest.raises(UserError, match=said) as error:
        describe("strategy", name)
    assert "\n" not in str(error.value)


def test_a_data_set_and_an_encoder_may_be_named_so_if_they_are_one(folder: Path) -> None:
    (folder / "moons.py").write_text("class Moons(MultimodalData): ...\nclass Helper: ...\n")
    assert describe("dataset", "moons.py").attribute == "Moons"
    assert describe("dataset", "moons.py:Moons").attribute == "Moons"
    with pytest.raises(UserError, match="Helper is no dataset; that is a class that names MultimodalData as its base"):
        describe("dataset", "moons.py:Helper")


def test_a_file_of_a_package_has_to_be_named_by_it(folder: Path) -> None:
    (folder / "relative.py").write_text("from .parts import x\ndef Net(widths, classes): ...\n")
    with pytest.raises(UserError, match=r"relative import .*; name it by its package, package.module:Name"):
        load("strategy", "relative.py:Net")
