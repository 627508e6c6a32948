"""What all pictures share: the size at which they are printed, colours that everybody tells apart, the same bytes.

A picture is as wide as one column of a two-column paper, so that its type is as small as it looks here and no smaller.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from textwrap import wrap
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fusionbench.report.tables import Table
from fusionbench.report.titles import track_title

COLUMN, PAGE = 3.4, 7.0
"""Inches: one column of a two-column paper, and both."""
TALLEST = 9.0
"""Inches that a page has."""
DPI = 300
TYPE, SMALL = 7.5, 7.0
"""Points."""
BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW, BLACK = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7"),
    *("#56B4E9", "#E69F00", "#000000"),
)
"""Okabe and Ito's palette, which colour-blind readers tell apart."""
GREY, PALE = "#6B6B6B", "#DDDDDD"
SETTINGS: dict[str, Any] = {
    "font.size": TYPE,
    "axes.titlesize": TYPE + 0.5,
    "axes.labelsize": TYPE,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "pdf.fonttype": 42,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
FORMS: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
"""File formats, with metadata that leave out dates and versions."""
LETTERS_AN_INCH = 15
"""Of a title."""


class Picture(Figure):
    """A figure that a notebook shows, whichever backend is chosen there."""

    def _repr_png_(self) -> bytes:
        return _saved(self, "png")


def picture(width: float, height: float, draw: Callable[[Figure], None]) -> Picture:
    """A figure that is drawn alike whatever settings of matplotlib the user has.

    Args:
        width: inches.
        height: inches.
        draw: makes all that is in it.
    """
    with _settings():
        figure = Picture(figsize=(width, min(height, TALLEST)), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        return figure


def drawn(width: float, height: float, draw: Callable[[Figure], None]) -> dict[str, bytes]:
    """The same in each of FORMS."""
    return forms_of(picture(width, height, draw))


def forms_of(figure: Figure) -> dict[str, bytes]:
    """A figure in each of FORMS."""
    return {form: saved(figure, form) for form in FORMS}


def saved(figure: Figure, form: str) -> bytes:
    """A figure in one form: also others of matplotlib's than FORMS has."""
    with _settings():
        return _saved(figure, form)


@contextmanager
def _settings() -> Iterator[None]:
    with style.context(["default", SETTINGS]), warnings.catch_warnings():
        # A user's strategy may be named in a script that the font lacks: a box in its place is no reason to stop.
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
        yield


def entitle(figure: Figure, table: Table, *more: str) -> None:
    """The table's data set, suite and track over the whole picture, and what else has to be said."""
    write_title(figure, table.title, f"suite {table.suite}, {track_title(table.track)}", *more)


def write_title(figure: Figure, *paragraphs: str) -> None:
    """Paragraphs over the whole picture, broken where they are wider than it."""
    length = int(figure.get_figwidth() * LETTERS_AN_INCH)
    lines = [line for words in paragraphs for line in wrap(words, length)]
    figure.suptitle("\n".join(lines), fontsize=TYPE + 0.5, parse_math=False)


def grid(axes: Axes, axis: str = "both") -> None:
    """Pale lines behind all that is drawn."""
    axes.grid(color=PALE, linewidth=0.5, axis=axis)  # type: ignore[arg-type]
    axes.set_axisbelow(True)


def _saved(figure: Figure, form: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, dpi=DPI, metadata=FORMS.get(form))
    return buffer.getvalue()
