"""Error messages: the nearest right name, on one short line."""

import pytest

from fusionbench.core.errors import nearest, shown, unknown


def test_an_unknown_name_comes_with_place_nearest_name_and_all_names() -> None:
    error = unknown("strategy", "gatd", ["late", "gated", "concat"], "my.yaml, line 4: strategies.2")
    assert str(error) == (
        "my.yaml, line 4: strategies.2: no strategy 'gatd'; did you mean 'gated'? Known: concat, gated, late"
    )


def test_a_name_near_nothing_gets_no_guess() -> None:
    assert str(unknown("strategy", "zzz", ["late", "gated"])) == "no strategy 'zzz'. Known: gated, late"
    assert nearest("zzz", ["late", "gated"]) == ""


def test_names_from_a_hostile_file_command_no_terminal_and_fill_no_screen() -> None:
    error = str(unknown("column", "hue", ["h\x0bue", "\x1b[31m", *(f"column {number}" for number in range(1000))]))
    assert error.isprintable()
    assert "; did you mean 'h ue'? Known: " in error
    assert error.endswith(", ...")
    assert len(error) < 1700


def test_a_choice_from_nothing_says_so() -> None:
    assert str(unknown("measure", "x", [])) == "no measure 'x'. Known: none"


@pytest.mark.parametrize(
    "value", ["a\nb", "x" * 10**6, list(range(10**4)), {"a": {"b": list("xyz")}}, "\x1b[31m", None]
)
def test_any_value_is_shown_on_one_short_line(value: object) -> None:
    assert shown(value).isprintable()
    assert len(shown(value)) < 200
