"""What a number of seeds may claim."""

from __future__ import annotations

import pytest

from fusionbench.stats.standing import standing


@pytest.mark.parametrize(
    ("n", "word"), [(1, "exploratory"), (5, "exploratory"), (6, ""), (9, ""), (10, "confirmatory")]
)
def test_what_a_number_of_seeds_may_claim(n: int, word: str) -> None:
    assert standing(n) == word
