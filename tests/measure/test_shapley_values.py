"""Shapley values and interactions against the library shapiq, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import shapiq
from numpy.typing import NDArray

from fusionbench.measure.shapley import Game, interactions, shapley_values, subsets

PLAYERS = ("a", "b", "c", "d", "e")


def game_of(count: int) -> Game:
    rng = np.random.default_rng(count)
    return {some: float(rng.normal()) for some in subsets(PLAYERS[:count])}


def computer(game: Game, count: int) -> shapiq.ExactComputer:
    def values(coalitions: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.array([game[frozenset(np.array(PLAYERS[:count])[row].tolist())] for row in coalitions])

    return shapiq.ExactComputer(values, n_players=count)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_values_and_interactions_are_those_of_shapiq(count: int) -> None:
    game, players = game_of(count), PLAYERS[:count]
    exact = computer(game, count)
    values = exact("SV", order=1)
    found = shapley_values(game, players)
    for number, player in enumerate(players):
        assert found[player] == pytest.approx(values[(number,)], abs=1e-12)
    pairs = exact("SII", order=2)
    for (one, other), value in interactions(game, players).items():
        assert value == pytest.approx(pairs[players.index(one), players.index(other)], abs=1e-12)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_values_sum_to_what_all_have_over_none(count: int) -> None:
    game, players = game_of(count), PLAYERS[:count]
    whole = game[frozenset(players)] - game[frozenset()]
    assert sum(shapley_values(game, players).values()) == pytest.approx(whole, abs=1e-12)


def test_two_players_by_hand() -> None:
    game = {frozenset(some): value for some, value in (("", 0.5), ("a", 0.6), ("b", 0.7), ("ab", 1.0))}
    assert shapley_values(game, ("a", "b")) == pytest.approx({"a": 0.2, "b": 0.3})
    assert interactions(game, ("a", "b")) == pytest.approx({("a", "b"): 0.2})
