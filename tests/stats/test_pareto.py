"""The Pareto front, against the usual definition where there is no noise, and by hand where there is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fusionbench.stats.estimate import Scored
from fusionbench.stats.paired import matrix
from fusionbench.stats.pareto import Point, front, staircase

VALUE = st.floats(0.01, 1, allow_subnormal=False)
POINT = st.builds(
    Point, st.dictionaries(st.integers(0, 4), VALUE.map(Scored), min_size=1), VALUE, st.sampled_from([0.0, 0.01, 0.3])
)
GRID = st.integers(1, 5).map(float)


def seeds(*scores: float) -> dict[int, Scored]:
    return dict(enumerate(map(Scored, scores)))


@given(st.lists(st.tuples(GRID, GRID), min_size=1, max_size=12))
def test_without_noise_it_is_the_usual_front(pairs: list[tuple[float, float]]) -> None:
    usual = [not any(s >= score and c <= cost and (s, c) != (score, cost) for s, c in pairs) for score, cost in pairs]
    points = [Point(seeds(score, score), cost) for score, cost in pairs]
    assert front(points) == usual
    assert {(p.mean, p.cost) for p in staircase(points)} == {p for p, on in zip(pairs, usual, strict=True) if on}


@given(st.lists(POINT, min_size=2, max_size=10))
def test_differences_that_are_known_of_more_strategies_give_the_same_front(points: list[Point]) -> None:
    every = matrix({str(at): point.scores for at, point in enumerate(points)})
    chosen = list(range(len(points)))[::-2]
    some = [points[at] for at in chosen]
    assert front(some, every.of([str(at) for at in chosen])) == front(some)


@given(st.lists(POINT, min_size=1, max_size=10))
def test_there_is_always_a_front_and_the_staircase_is_on_it(points: list[Point]) -> None:
    on = front(points)
    assert any(on)
    assert all(on[points.index(stair)] for stair in staircase(points))


@given(POINT, POINT)
def test_two_points_never_dominate_each_other(a: Point, b: Point) -> None:
    assert any(front([a, b]))


def test_a_difference_within_the_interval_of_seeds_does_not_dominate() -> None:
    worse = Point(seeds(0.90, 0.92, 0.94), 1.0)
    noisy = Point(seeds(0.95, 0.90, 0.97), 1.0)
    assert noisy.mean > worse.mean
    assert front([worse, noisy]) == [True, True]


def test_a_small_but_steady_paired_difference_dominates() -> None:
    worse = Point(seeds(0.90, 0.92, 0.94), 1.0)
    better = Point(seeds(0.911, 0.930, 0.951), 1.0)
    assert front([worse, better]) == [False, True]


def test_a_latency_within_its_spread_does_not_dominate() -> None:
    score = seeds(0.9, 0.9)
    assert front([Point(score, 1.00, 0.05), Point(score, 1.08, 0.05)]) == [True, True]
    assert front([Point(score, 1.00, 0.05), Point(score, 1.20, 0.05)]) == [True, False]


def test_a_slower_point_never_dominates_however_good() -> None:
    assert front([Point(seeds(1.0, 1.0), 2.0), Point(seeds(0.1, 0.1), 1.0)]) == [True, True]


def test_one_seed_can_be_dominated_by_cost_alone() -> None:
    low, high = Point(seeds(0.5), 1.0), Point(seeds(0.9), 1.0)
    assert front([low, high]) == [True, True]
    assert front([Point(seeds(0.5), 2.0), high]) == [False, True]


def test_seeds_that_only_one_has_are_not_compared() -> None:
    a, b = Point(seeds(0.5, 0.51), 1.0), Point({2: Scored(0.9), 3: Scored(0.91)}, 1.0)
    assert front([a, b]) == [True, True]
