"""The scales of the picture."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from fusionbench.core.scores import SCORES
from fusionbench.report.axes import scale_cost, scale_score
from fusionbench.report.costs_picture import TICKS
from fusionbench.report.figures import PAGE
from fusionbench.report.marks import round_numbers
from fusionbench.report.panels import panels


@given(st.floats(1e-5, 1e5), st.floats(1.3, 1e6))
def test_marks_lie_within_the_axis_and_are_three_or_more(low: float, ratio: float) -> None:
    marks = round_numbers(low, low * ratio)
    assert len(marks) >= 3
    assert all(low * 0.95 <= mark <= low * ratio * 1.05 for mark in marks)
    assert marks == sorted(marks)
    assert all(float(f"{mark:.3g}") == pytest.approx(mark) for mark in marks)


def test_a_decade_is_marked_at_round_numbers() -> None:
    assert round_numbers(0.9, 12) == pytest.approx([1, 3, 10])
    assert round_numbers(0.09, 110) == pytest.approx([0.1, 1, 10, 100])


def test_the_cost_axis_has_room_on_both_sides() -> None:
    axes = Figure().add_subplot()
    scale_cost(axes, [2.0, 2.0], counts=False)
    low, high = axes.get_xlim()
    assert low < 2.0 < high
    assert axes.get_xscale() == "log"


@pytest.mark.parametrize("costs", [(2.6e6, 2.1e8), (7.6e6, 2.8e7), (2.5e3, 1.2e6), (1.0e5, 2.0e5)])
def test_numbers_below_a_narrow_panel_do_not_touch(costs: tuple[float, float]) -> None:
    figure = Figure(figsize=(PAGE, 2), layout="constrained")
    panel = next(panels(figure, 4))
    panel.tick_params(labelsize=8)
    scale_cost(panel, costs, counts=True, most=TICKS)
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in panel.get_xticklabels()]
    assert len(boxes) >= 2
    assert all(left.x1 + 3 < right.x0 for left, right in pairwise(boxes))


def test_an_interval_beyond_what_a_fraction_can_be_does_not_stretch_the_axis() -> None:
    axes = Figure().add_subplot()
    scale_score(axes, [-1.2, 0.4, 2.3], SCORES["accuracy"])
    low, high = axes.get_ylim()
    assert (low, high) == pytest.approx((-0.08, 1.08))


@pytest.mark.parametrize("score", [0.0, 0.5, 1.0])
def test_equal_scores_still_span_an_axis(score: float) -> None:
    axes = Figure().add_subplot()
    scale_score(axes, [score, score], SCORES["accuracy"])
    low, high = axes.get_ylim()
    assert low < score < high
    assert math.isclose(high - low, 0.01, abs_tol=1e-9)
