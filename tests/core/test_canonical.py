"""Canonical JSON, hashes and derived seeds: what keys and fingerprints are made of."""

import hashlib
import json
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionbench.core.canonical import canonical_json, derived_seed, sha256_of, short_key

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def test_the_form_is_pinned() -> None:
    assert canonical_json({"b": [1, 1.0, True, None], "a": "\u00e9"}) == '{"a":"\\u00e9","b":[1,1.0,true,null]}'


def test_the_hash_is_sha256_of_the_text() -> None:
    assert sha256_of({"a": 1}) == hashlib.sha256(b'{"a":1}').hexdigest()
    assert short_key({"a": 1}) == hashlib.sha256(b'{"a":1}').hexdigest()[:12]


@given(PLAIN)
def test_any_plain_value_survives_the_way_through_json(value: object) -> None:
    assert canonical_json(json.loads(canonical_json(value))) == canonical_json(value)
    assert canonical_json(value).isascii()


@given(st.dictionaries(st.text(), PLAIN, min_size=2, max_size=5), st.randoms())
def test_the_order_of_keys_does_not_matter(value: dict[str, object], random: object) -> None:
    items = list(value.items())
    random.shuffle(items)  # type: ignore[attr-defined]
    assert sha256_of(dict(items)) == sha256_of(value)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_refused(number: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json({"a": [number]})


def test_tuples_and_other_mappings_are_lists_and_objects() -> None:
    assert canonical_json(MappingProxyType({"a": (1, 2)})) == '{"a":[1,2]}'
    assert canonical_json(range(3)) == "[0,1,2]"


def test_an_object_without_a_json_form_is_refused() -> None:
    with pytest.raises(TypeError, match="set has no canonical JSON"):
        canonical_json({"a": {1}})


def test_derived_seeds_are_pinned() -> None:
    # A change here changes every weight that is drawn: raise results_version.
    assert derived_seed(0, "encoder/left") == 972293864390737433


@given(st.integers(0, 2**32 - 1), st.text(max_size=20))
def test_derived_seeds_fit_into_63_bits_and_differ_by_purpose(seed: int, purpose: str) -> None:
    assert 0 <= derived_seed(seed, purpose) < 2**63
    assert derived_seed(seed, purpose) != derived_seed(seed, purpose + "x")
    assert derived_seed(seed, purpose) != derived_seed(seed + 1, purpose)
