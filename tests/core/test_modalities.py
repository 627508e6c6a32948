"""The modalities of a dataset as plans read them."""

from __future__ import annotations

import pytest

from fusionbench.core.errors import UserError
from fusionbench.core.modalities import kinds_of, kinds_of_columns
from fusionbench.plan.dataset_choice import modality_kinds
from fusionbench.plan.load import suite_of
from fusionbench.plan.source import Source
from fusionbench.plan.suite import Choice

FACTS = {"modalities_from": "columns"}


def test_an_option_says_them_in_the_order_of_their_names() -> None:
    columns = {"words": "tokens", "age": {"kind": "vector", "numbers": ["age", "height"]}, "face": "image"}
    found = kinds_of("mine", FACTS, {"columns": columns})
    assert list(found.items()) == [("age", "vector"), ("face", "image"), ("words", "tokens")]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        (None, "dataset 'mine', option columns: give each modality its kind"),
        ({}, "give each modality its kind"),
        ({"left": "picture"}, "no kind of modality 'left' called 'picture'. Known: audio, bag, category"),
        ({"left": "imag"}, "did you mean 'image'"),
        ({"age": "number", "table": "image"}, "'age' is one of the columns of 'table'; rename the modality 'table'"),
        ({"left": {"numbers": ["age"]}}, "no kind of modality 'left' called 'None'"),
    ],
)
def test_what_is_no_kind_is_told(columns: object, told: str) -> None:
    with pytest.raises(UserError, match=told):
        kinds_of("mine", FACTS, {"columns": columns})


def test_a_suite_that_names_arrays_is_planned_without_the_arrays() -> None:
    dataset = {"name": "arrays", "options": {"contents": "ab" * 32, "columns": {"b": "image", "a": "vector"}}}
    tree = {"name": "mine", "datasets": [dataset], "strategies": ["unimodal", "concat"], "seeds": 2}
    suite = suite_of(Source("mine", tree, {}))
    assert [row.strategy.options.get("modality") for row in suite.rows] == ["a", "b", None]
    assert {name: choice.name for name, choice in suite.rows[-1].encoders.items()} == {"a": "mlp", "b": "small_cnn"}


def test_the_order_in_which_they_are_given_changes_no_key() -> None:
    columns = {"b": "image", "a": "vector"}
    turned = dict(reversed(columns.items()))
    keys = []
    for given in (columns, turned):
        dataset = {"name": "arrays", "options": {"contents": "ab" * 32, "columns": given}}
        tree = {"name": "mine", "datasets": [dataset], "strategies": ["concat"], "seeds": 1}
        keys.append(next(suite_of(Source("mine", tree, {})).runs()).key)
    assert keys[0] == keys[1]
    assert list(modality_kinds(Choice("arrays", {"columns": turned}))) == ["a", "b"]
    assert list(kinds_of_columns("x", turned)) == ["a", "b"]
