"""Shapley values and pairwise interactions of a game of few players, exactly, over all subsets.

    phi_i  = sum over S without i      of |S|! (M-|S|-1)! / M!     * (v(S + i) - v(S))
    I_ij   = sum over S without i, j   of |S|! (M-|S|-2)! / (M-1)! * (v(S + i + j) - v(S + i) - v(S + j) + v(S))

I is the Shapley interaction index; of two players v(12) - v(1) - v(2) + v(0).

Source: Shapley 1953, "A value for n-person games"; Grabisch & Roubens 1999, "An axiomatic approach to the concept of
interaction among players in cooperative games". Tests hold both to the library shapiq.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from math import factorial

Game = Mapping[frozenset[str], float]
"""The value of every subset of the players."""


def shapley_values(game: Game, players: Sequence[str]) -> dict[str, float]:
    """By player; they sum to v(all) - v(none)."""
    m = len(players)
    return {
        one: sum(
            factorial(len(some)) * factorial(m - len(some) - 1) / factorial(m) * (game[some | {one}] - game[some])
            for some in subsets([other for other in players if other != one])
        )
        for one in players
    }


def interactions(game: Game, players: Sequence[str]) -> dict[tuple[str, str], float]:
    """By pair of players."""
    m = len(players)
    found = {}
    for one, other in combinations(players, 2):
        rest = [player for player in players if player not in (one, other)]
        found[one, other] = sum(
            factorial(len(some)) * factorial(m - len(some) - 2) / factorial(m - 1) * _together(game, some, one, other)
            for some in subsets(rest)
        )
    return found


def subsets(players: Sequence[str]) -> Iterator[frozenset[str]]:
    """All of them, the smallest first."""
    for size in range(len(players) + 1):
        yield from map(frozenset, combinations(players, size))


def _together(game: Game, some: frozenset[str], one: str, other: str) -> float:
    return game[some | {one, other}] - game[some | {one}] - game[some | {other}] + game[some]
