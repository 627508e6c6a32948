"""Suite text: plain YAML only, and every mistake in its place."""

import re
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionbench.core.errors import UserError
from fusionbench.plan.source import parse_source, read_source, shipped_suites, with_settings

BOMB = "a: &a [x, x, x]\nb: &b [*a, *a, *a]\nc: &c [*b, *b, *b]\n"


def test_every_value_knows_its_line() -> None:
    source = parse_source(
        textwrap.dedent("""\
            # A comment
            name: x
            budget:
              epochs: 3
            strategies:
              - concat
              - {name: gated,
                 options: {hidden: 3}}
            """),
        "my.yaml",
    )
    assert source.place(("budget", "epochs")) == "my.yaml, line 4: budget.epochs"
    assert source.place(("strategies", 1, "options", "hidden")) == "my.yaml, line 8: strategies.1.options.hidden"
    assert source.place(("budget", "patience")) == "my.yaml, line 3: budget.patience"
    assert source.place(()) == "my.yaml, line 2"


def test_an_exponent_needs_no_point() -> None:
    tree = parse_source("a: 1e-3\nb: 1.0e-3\nc: -2E5\nd: .5e1\ne: 1e\nf: e1", "x").tree
    assert tree == {"a": 1e-3, "b": 1e-3, "c": -2e5, "d": 5.0, "e": "1e", "f": "e1"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a: 1\nb: !!python/object/apply:os.system [ls]",
            "my.yaml, line 2: b: the tag '!!python/object/apply:os.system'",
        ),
        ("a: !!python/name:os.system", "line 1: a: the tag '!!python/name:os.system' is not allowed"),
        ("a: [1, !custom {x: 1}]", "line 1: a.1: the tag '!custom' is not allowed; a suite holds plain values only"),
        ("a: !!bool maybe", "the tag '!!bool' is not allowed"),
        ("a: !!binary aGVsbG8=", "the tag '!!binary' is not allowed"),
        ("!!set {a}", "the tag '!!set' is not allowed"),
        ("a: &x [1]\nb:\n  c: *x", "line 3: b.c: aliases are not allowed; write the value out"),
        (BOMB, "line 2: b.0: aliases are not allowed"),
        ("a: {b: 1}\n<<: {c: 2}", "line 2: a key is a plain word, got '<<'"),
        ("a:\n  b: 1\n  b: 2", "line 3: a: the key 'b' stands here twice"),
        ("a: 1\na: 1", "line 2: the key 'a' stands here twice"),
        ("1: a", "line 1: a key is a plain word, got '1'"),
        ("on: a", "line 1: a key is a plain word, got 'on'"),
        ("? [a]\n: b", "line 1: a key is a plain word, got a list or mapping"),
        ('"a\\nb": c', r"line 1: a key is a plain word, got 'a\\nb'"),
        ("a: 1\nb: 2024-01-01", "line 2: b: '2024-01-01' reads as a timestamp; put it in quotes"),
        ("a: 2024-13-45", "reads as a timestamp"),
        ("a: =", "reads as a value"),
        ('a: 1\nb: ["\\ud800x"]', r"line 2: b.0: '\\ud800x' holds half a character"),
        ("a: .nan", "line 1: a: give a finite number below 2\\^63, got '.nan'"),
        ("a: [1, -.inf]", "line 1: a.1: give a finite number"),
        ("a: 1e999", "give a finite number"),
        ("a: 9223372036854775808", "give a finite number below 2\\^63"),
        ("a: " + "9" * 5000, "line 1: a: '999.*999' is no number that can be read"),
        ("a: 1\nb: " + "[" * 100_000, "line 2: b.0.0: nested more than 32 deep"),
        ("a: " + "{b: " * 40 + "1" + "}" * 40, "nested more than 32 deep"),
        ("? " * 5000 + "a", "nested more than 32 deep"),
        ("- " * 5000 + "a", "nested more than 32 deep"),
        ("", "line 1: a suite is a mapping with name, datasets and strategies, got nothing"),
        ("# only a comment\n", "line 1: a suite is a mapping"),
        ("- a", r"line 1: a suite is a mapping with name, datasets and strategies, got \['a'\]"),
        ("hello", "got 'hello'"),
        ("a: 1\n---\na: 2", "line 2: expected a single document in the stream, but found another document"),
        ("a: 1\nb: [1,\n", "line 3: while parsing a flow (sequence|node), expected"),
        ("a: b: c", "line 1: mapping values are not allowed here"),
        ("a: 1\n\tb: 2", r"line 2: .*found character '\\t'"),
        ("a: 1\nb: \x00", "line 2: the character #x00 is not allowed"),
        ("a: 'open", "line 1: while scanning a quoted scalar, found unexpected end of stream"),
        ("a: {b: }}", "line 1: "),
        ("%YAML 3.0\n---\na: 1", "line 1: found incompatible YAML document"),
    ],
)
def test_what_is_no_plain_yaml_is_one_line_with_its_place(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        parse_source(text, "my.yaml")
    assert str(caught.value).startswith("my.yaml, line ")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250


def outcome(text: str) -> str:
    try:
        return type(parse_source(text, "my.yaml").tree).__name__
    except UserError as error:
        return str(error)


@given(st.text(alphabet=st.sampled_from(list("ab:-[]{}&*!?|>'\"%@,#\n \t01.e~\u00e9\x00<="))))
def test_any_text_is_a_tree_or_one_line(text: str) -> None:
    assert re.fullmatch(r"dict|my\.yaml, line \d+: .+", outcome(text))


def test_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: x\r\nseeds: 2\r\n")
    source = read_source(str(path))
    assert source.tree == {"name": "x", "seeds": 2}
    assert source.place(("seeds",)).endswith("line 2: seeds")


def test_a_shipped_suite_is_found_by_name() -> None:
    assert "quickstart" in shipped_suites()
    assert read_source("quickstart").name == "quickstart.yaml"


def test_a_suite_that_is_not_there_is_an_error_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no shipped suite 'quikstart'; did you mean 'quickstart'\?.*path of a .yaml"):
        read_source("quikstart")
    with pytest.raises(
        UserError, match=r"none.yaml: No such file or directory; give a suite file or one of .*quickstart"
    ):
        read_source(str(tmp_path / "none.yaml"))
    with pytest.raises(UserError, match="Is a directory"):
        read_source(f"{tmp_path}/")


def test_a_file_that_is_not_utf_8_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"name: x\n# caf\xe9\n")
    with pytest.raises(UserError, match=r"a.yaml, line 2: not UTF-8 text"):
        read_source(str(path))


SOURCE = parse_source("name: x\nbudget: {epochs: 3}\nstrategies: [a, b]", "my.yaml")


def test_a_setting_replaces_or_adds_and_leaves_the_source_alone() -> None:
    changed = with_settings(SOURCE, ["budget.epochs=5", "budget.dropout=1e-1", "seeds=[3, 4]", "encoders.image=mlp"])
    assert changed.tree["budget"] == {"epochs": 5, "dropout": 0.1}
    assert changed.tree["seeds"] == [3, 4]
    assert changed.tree["encoders"] == {"image": "mlp"}
    assert SOURCE.tree == {"name": "x", "budget": {"epochs": 3}, "strategies": ["a", "b"]}


def test_a_mistake_in_a_setting_is_shown_there_not_in_the_file() -> None:
    changed = with_settings(SOURCE, ["budget.epochs=x", "strategies=[c]"])
    assert changed.place(("budget", "epochs")) == "--set budget.epochs=x: budget.epochs"
    assert changed.place(("strategies", 0)) == "--set strategies=[c]: strategies.0"
    assert changed.place(("name",)) == "my.yaml, line 1: name"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("budget.epochs", "--set budget.epochs: give it as path=value, such as budget.epochs=2"),
        ("=3", "give it as path=value"),
        ("a..b=3", "give it as path=value"),
        ("name.x=3", "--set name.x=3: 'name' is no mapping in my.yaml"),
        ("strategies.0=c", "'strategies' is no mapping"),
        ("seeds=[", "--set seeds=\\[, line 1: "),
        ("seeds=!x 3", "the tag '!x' is not allowed"),
    ],
)
def test_a_setting_that_cannot_be_laid_over_is_an_error(setting: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        with_settings(SOURCE, [setting])
