"""Labels that keep off each other, off points and inside."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from fusionbench.report.labels import Box, Spot, place

AREA = Box(0, 0, 400, 300)


def placed(
    xs: list[float], ys: list[float], lines: list[Box] | None = None, nameless: list[Box] | None = None
) -> tuple[list[Box], list[Box]]:
    spots = [Spot(x, y, 60, 10) for x, y in zip(xs, ys, strict=True)]
    markers = [Box(x - 4, y - 4, x + 4, y + 4) for x, y in zip(xs, ys, strict=True)]
    return place(spots, markers, nameless or [], lines or [], AREA), markers


@pytest.mark.parametrize("seed", range(5))
def test_eleven_labels_in_a_crowd_cover_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    xs, ys = rng.uniform(150, 250, 11).tolist(), rng.uniform(100, 200, 11).tolist()
    boxes, markers = placed(xs, ys)
    assert all(a.overlap(b) == 0 for a, b in combinations(boxes, 2))
    assert all(box.overlap(marker) == 0 for box in boxes for marker in markers)
    assert all(box.outside(AREA) == 0 for box in boxes)


def test_a_lone_label_stands_to_the_right_of_its_point() -> None:
    boxes, _ = placed([100], [100])
    assert boxes[0].left == pytest.approx(105)
    assert boxes[0].centre[1] == pytest.approx(100)


def test_a_label_at_the_right_edge_goes_elsewhere() -> None:
    boxes, _ = placed([390], [100])
    assert boxes[0].right <= 400


def test_a_label_keeps_off_a_line() -> None:
    boxes, _ = placed([100], [100], [Box(100, 99, 400, 101)])
    assert boxes[0].overlap(Box(100, 99, 400, 101)) == 0


def test_a_label_keeps_off_points_that_have_none() -> None:
    crowd = [Box(x - 4, 96, x + 4, 104) for x in range(110, 200, 8)]
    boxes, _ = placed([100], [100], nameless=crowd)
    assert all(boxes[0].overlap(box) == 0 for box in crowd)


def test_labels_of_points_in_one_place_do_not_cover_each_other() -> None:
    boxes, _ = placed([200] * 4, [150] * 4)
    assert all(a.overlap(b) == 0 for a, b in combinations(boxes, 2))


def test_a_label_stands_nearer_to_its_own_point() -> None:
    boxes, _ = placed([200, 212], [150, 150])
    assert boxes[0].distance(200, 150) <= boxes[0].distance(212, 150)
    assert boxes[1].distance(212, 150) <= boxes[1].distance(200, 150)


def test_no_points_need_no_labels() -> None:
    assert place([], [], [], [], AREA) == []
