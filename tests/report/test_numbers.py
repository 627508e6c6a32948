"""Numbers as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionbench.report.numbers import count, decimals, difference, milliseconds, score, significant
from fusionbench.stats.estimate import Estimate


@pytest.mark.parametrize(
    ("mean", "half_width", "text"),
    [
        (0.91234, 0.0132, "0.912 ± 0.013"),
        (0.91234, 0.0046, "0.912 ± 0.005"),
        (0.91234, 0.0019, "0.9123 ± 0.0019"),
        (0.91234, 0.00982, "0.912 ± 0.010"),
        (0.91234, 0.31, "0.91 ± 0.31"),
        (0.91234, 6e-6, "0.91234 ± 0.00001"),
        (2.302585, 0.0, "2.3026"),
        (0.91234, 3e-9, "0.9123"),
        (0.91234, None, "0.9123"),
    ],
)
def test_the_decimals_of_a_score_follow_its_half_width(mean: float, half_width: float | None, text: str) -> None:
    assert score(Estimate(mean, half_width, 3)) == text


def test_a_difference_has_its_sign() -> None:
    assert difference(Estimate(0.0123, 0.02, 3)) == "+0.012 ± 0.020"
    assert difference(Estimate(-0.0123, None, 1)) == "-0.0123"
    assert difference(Estimate(-0.0001, 0.02, 3)) == "+0.000 ± 0.020"


def test_what_is_not_there_is_a_dash() -> None:
    assert (score(None), count(None), milliseconds(None)) == ("-", "-", "-")


@given(st.floats(0.0002, 0.9))
def test_a_half_width_shows_one_or_two_digits(half_width: float) -> None:
    shown = f"{half_width:.{decimals(half_width)}f}".replace(".", "").lstrip("0")
    assert len(shown) <= 2
    assert float(f"{half_width:.{decimals(half_width)}f}") == pytest.approx(half_width, rel=0.17)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (7, "7"),
        (999, "999"),
        (1000, "1.00 k"),
        (12_345, "12.3 k"),
        (999_499, "999 k"),
        (999_950, "1.00 M"),
        (1_750_000_000_000, "1.75 T"),
        (4e21, "4000 E"),
    ],
)
def test_counts_have_three_digits_and_a_prefix(value: float, text: str) -> None:
    assert count(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.043211, "0.0432"), (1.2, "1.20"), (9.996, "10.0"), (123.4, "123"), (12345.6, "12346"), (0, "0")],
)
def test_milliseconds_have_three_digits_and_no_exponent(value: float, text: str) -> None:
    assert milliseconds(value) == text


@given(st.floats(1e-6, 1e6))
def test_significant_digits_keep_the_value(value: float) -> None:
    assert float(significant(value)) == pytest.approx(value, rel=0.0051)
    assert "e" not in significant(value)
