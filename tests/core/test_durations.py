"""Durations: read as people write them, one clear error otherwise."""

from __future__ import annotations

import pytest

from fusionbench.core.durations import as_option, in_words, seconds_of
from fusionbench.core.errors import UserError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("1.5h", 5400), ("1h30m", 5400), ("1h0m5s", 3605), (" 2H ", 7200), ("0.5s", 0.5)],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert seconds_of(text, "--for") == seconds


@pytest.mark.parametrize(
    "text", ["", "10", "m", "10 m", "ten", "30m1h", "1h1h", "-5m", "0s", "1e3s", "nanh", "infs", "٣m", "99999h", "1d"]
)
def test_anything_else_is_one_line_that_says_how(text: str) -> None:
    with pytest.raises(UserError, match=r"^--for: give a duration such as 90s, 10m, 1\.5h or 1h30m, got ") as error:
        seconds_of(text, "--for")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("seconds", [0.01, 1, 59, 59.5, 60, 61, 600, 3599, 3600, 3601, 5400, 86400, 400000])
def test_what_is_proposed_can_be_typed_and_is_long_enough(seconds: float) -> None:
    assert seconds_of(as_option(seconds), "--for") >= seconds
    assert in_words(seconds)
