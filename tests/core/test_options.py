"""Options: what a signature says without being imported, and what fits it."""

import ast
from typing import Any, Literal

import pytest
from pydantic import TypeAdapter, ValidationError

from fusionbench.core.errors import UserError
from fusionbench.core.options import REQUIRED, Option, annotation_of, complaint, options_of


def options(signature: str) -> dict[str, Option]:
    function = ast.parse(f"def f({signature}): ...").body[0]
    assert isinstance(function, ast.FunctionDef)
    return {option.name: option for option in options_of(function, "strategy 'x'")}


def test_only_keyword_only_arguments_are_options() -> None:
    found = options("self, setting, other=3, *, hidden: int = 128, modality: str")
    assert [(o.name, o.annotation, o.default) for o in found.values()] == [
        ("hidden", int, 128),
        ("modality", str, REQUIRED),
    ]
    assert found["modality"].required
    assert not found["hidden"].required


def test_no_init_means_no_options() -> None:
    assert list(options_of(None, "strategy 'x'")) == []


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("int", int),
        ("int | None", int | None),
        ("tuple[int, ...]", tuple[int, ...]),
        ("tuple[int, float]", tuple[int, float]),
        ("dict[str, float]", dict[str, float]),
        ("Literal['a', 'b']", Literal["a", "b"]),
        ("Literal['a']", Literal["a"]),
        ("tuple", tuple),
    ],
)
def test_an_annotation_is_read_as_python_means_it(text: str, meant: Any) -> None:
    assert annotation_of(ast.parse(text, mode="eval").body) == meant


@pytest.mark.parametrize(
    "signature",
    [
        "*, a=1",
        "*, a: Tensor = 1",
        "*, a: int = f()",
        "*, a: int = 'x'",
        "*, a: __import__('os') = 1",
        "*, a: str.x = 1",
    ],
)
def test_an_option_that_cannot_be_read_is_an_error_that_names_it(signature: str) -> None:
    with pytest.raises(UserError, match="strategy 'x': option 'a' needs an annotation made of bool, int"):
        options(signature)


def test_a_default_and_the_same_value_from_a_suite_are_one_json_value() -> None:
    # Else 1 and 1.0, or (1, 2) and [1, 2], would give one run two keys.
    found = options("*, rate: float = 1, sizes: tuple[int, ...] = (1, 2)")
    assert repr(found["rate"].default) == repr(found["rate"].checked(1)) == "1.0"
    assert found["sizes"].default == found["sizes"].checked([1, 2]) == [1, 2]


@pytest.mark.parametrize(
    ("annotation", "value", "words"),
    [
        (int, "3", "give a whole number, got '3'"),
        (int, True, "give a whole number, got True"),
        (float, "x", "give a number, got 'x'"),
        (bool, 1, "give true or false, got 1"),
        (str, 3, "give a word, got 3"),
        (tuple[int, ...], 3, "give a list, got 3"),
        (dict[str, int], [], "give a mapping, got []"),
        (Literal["low", "high"], "hihg", "give 'low' or 'high', got 'hihg'; did you mean 'high'?"),
        (Literal["low", "high"], 3, "give 'low' or 'high', got 3"),
    ],
)
def test_a_value_of_the_wrong_type_is_met_with_the_right_one(annotation: Any, value: object, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Option("a", annotation, REQUIRED).checked(value)
    assert complaint(caught.value.errors()[0]) == words


def test_any_other_complaint_keeps_pydantics_words() -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(tuple[int, int]).validate_json("[1, 2, 3]", strict=True)
    assert complaint(caught.value.errors()[0]).startswith("tuple should have at most 2 items")
