"""Pictures of several panels: how many stand beside each other, and how large they are together."""

from __future__ import annotations

from collections.abc import Iterator

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fusionbench.report.figures import COLUMN, PAGE

MOST = 4
"""Panels side by side on a page."""


def shape_of(count: int) -> tuple[int, int]:
    """Rows and columns of panels."""
    columns = count if count <= MOST else -(-count // -(-count // MOST))
    return -(-count // columns), columns


def width_of(count: int) -> float:
    """Inches: up to two panels fit a column of a paper."""
    return COLUMN if count <= 2 else PAGE


def panels(figure: Figure, count: int, *, same_y: bool = False) -> Iterator[Axes]:
    """So many, row by row; places that are left over are empty."""
    rows, columns = shape_of(count)
    found = figure.subplots(rows, columns, squeeze=False, sharey=same_y).flatten()
    for axes in found[count:]:
        axes.set_axis_off()
    yield from found[:count]
