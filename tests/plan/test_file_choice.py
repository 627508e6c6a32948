"""Options that name files: a run's key has their content, and the run still knows where they lie."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fusionbench.core import catalogue, plugin_places
from fusionbench.core.catalogue import describe, with_later
from fusionbench.core.errors import UserError
from fusionbench.plan.load import suite_of
from fusionbench.plan.names import slug
from fusionbench.plan.source import parse_source
from fusionbench.plan.suite import Choice, RunSpec

ENCODER = '''"""Mine."""
class Mine(Encoder):
    kinds = ("image",)
    {facts}
    def __init__(self, spec, dropout=0.0, *, width: int = 8{more}): ...
'''
FILES = {"facts": 'files, later = ("weights",), {"weights": ""}', "more": ', weights: str = ""'}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with an encoder of one's own, `own_files.mine`, and a file of weights."""
    (tmp_path / "own_files").mkdir()
    (tmp_path / "w.pth").write_bytes(b"hello")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    describe.cache_clear()
    plugin_places.parsed.cache_clear()


def run_of(here: Path, options: str, *, facts: str = FILES["facts"], more: str = FILES["more"]) -> RunSpec:
    (here / "own_files" / "mine.py").write_text(ENCODER.format(facts=facts, more=more))
    describe.cache_clear()
    plugin_places.parsed.cache_clear()
    text = "name: x\nseeds: 1\ndatasets: [digits]\nstrategies: [concat]\n"
    text += f"encoders: {{image: {{name: own_files.mine, {options}}}}}"
    return next(iter(suite_of(parse_source(text, "x.yaml")).runs()))


def without_source(run: RunSpec) -> str:
    """The key as if the encoder's own file were not in it."""
    plain = {name: Choice(c.name, c.options, pretrain=c.pretrain, files=c.files) for name, c in run.encoders.items()}
    return RunSpec(run.dataset, run.strategy, plain, run.seed, run.track, run.budget).key


def test_without_a_file_the_key_is_what_it_was_before_there_was_such_an_option(here: Path) -> None:
    before = run_of(here, "options: {}", facts="pass", more="")
    assert without_source(run_of(here, "options: {}")) == without_source(before)
    assert without_source(run_of(here, 'options: {weights: ""}')) == without_source(before)
    assert "files" not in before.to_json()["encoders"]["left"]


def test_the_content_moves_the_key_and_the_place_does_not(here: Path) -> None:
    (here / "deep").mkdir()
    (here / "deep" / "same.pth").write_bytes(b"hello")
    (here / "other.pth").write_bytes(b"hallo")
    plain, one, same, other = (
        run_of(here, f"options: {{{given}}}")
        for given in ("", "weights: w.pth", "weights: deep/same.pth", "weights: other.pth")
    )
    assert one.key == same.key
    assert len({plain.key, one.key, other.key}) == 3


def test_a_pin_is_the_key_of_the_file_that_it_names_and_the_file_need_not_be_there(here: Path) -> None:
    found = run_of(here, "options: {weights: w.pth}")
    (here / "w.pth").unlink()
    pin = hashlib.sha256(b"hello").hexdigest()
    pinned = run_of(here, f'options: {{weights: "elsewhere/w.pth#sha256={pin}"}}')
    assert pinned.key == found.key
    assert pinned.encoders["left"].options["weights"] == "elsewhere/w.pth"


def test_the_run_still_knows_where_the_file_lies_also_after_json(here: Path) -> None:
    run = run_of(here, "options: {weights: w.pth}")
    again = RunSpec.from_json(json.loads(json.dumps(run.to_json())))
    assert again == run
    assert again.key == run.key
    choice = again.encoders["left"]
    assert with_later("encoder", choice.name, choice.options) == {"width": 8, "weights": "w.pth"}
    assert choice.files == {"weights": hashlib.sha256(b"hello").hexdigest()}


def test_a_folders_name_has_the_content_and_not_the_place(here: Path) -> None:
    choice = run_of(here, "options: {weights: w.pth}").encoders["left"]
    assert slug("encoder", choice) == f"own_files.mine+weights={hashlib.sha256(b'hello').hexdigest()[:12]}"


def test_a_file_that_is_not_there_is_one_line_with_its_place(here: Path) -> None:
    with pytest.raises(UserError) as raised:
        run_of(here, "options: {weights: nowhere.pth}")
    assert str(raised.value).startswith(
        "x.yaml, line 5: encoders.image.options.weights: encoder 'own_files.mine': no file"
    )
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("kind", ["strategy", "dataset", "encoder"])
def test_what_names_a_file_is_an_option_and_none_where_it_is_empty(kind: catalogue.PluginKind) -> None:
    for name in catalogue.names(kind):
        plugin = describe(kind, name)
        assert all(plugin.options[option].default == "" for option in plugin.files), name
