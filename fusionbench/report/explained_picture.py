"""The picture of an explained row: heat maps, coloured words, the strongest features, and the answer without each part.

Blue speaks for the class, orange against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from fusionbench.report.explained import AS_PICTURES, Explanation, Input, Part
from fusionbench.report.figures import BLUE, GREY, ORANGE, PAGE, SMALL, picture, write_title
from fusionbench.report.marks import short_label

FEATURES, LINES = 12, 24
"""Features, and lines of words, that are shown."""
TOP, PICTURE, LINE, BAR, ROOM = 1.15, 1.9, 0.17, 0.16, 0.45
"""Inches: the first row, a heat map, a line of words, a bar, and what stands around each."""
LETTER = 0.058
"""Inches of one letter of the words' type."""


def explained_picture(found: Explanation) -> Figure:
    """All of it on one page."""
    rows = [_Row(part) for part in found.parts]
    heights = [TOP, *(row.height for row in rows)]

    def draw(figure: Figure) -> None:
        shares = [height + ROOM for height in heights]
        first, *others = figure.subfigures(len(heights), 1, height_ratios=shares, squeeze=False)[:, 0]
        _draw_first(first, found)
        for row, place in zip(rows, others, strict=True):
            row.draw(place)
        answer = f"answers {found.said(found.facts['answer'])}, right is {found.truth}"
        write_title(figure, f"{found.title}: {answer}", f"blue speaks for {found.target}, orange against it")

    return picture(PAGE, sum(heights) + ROOM * len(heights) + 0.5, draw)


@dataclass(frozen=True)
class _Row:
    """One modality, over the page's width."""

    part: Part

    @property
    def height(self) -> float:
        """Inches, as much as it needs."""
        if self.part.kind in AS_PICTURES:
            return PICTURE
        if self.part.kind in ("tokens", "text"):
            return LINE * max(2, len(_broken(self.part.inputs)))
        return BAR * max(2, len(self.part.strongest(FEATURES)))

    def draw(self, figure: SubFigure) -> None:
        """Into its row of the page."""
        title = f"{self.part.name}: adds {self.part.total:+.3g}" + ("" if self.part.present else ", missing here")
        if self.part.kind in AS_PICTURES:
            first, second = figure.subplots(1, 2)
            _draw_heat(first, second, self.part)
            first.set_title(title, parse_math=False)
            return
        axes = figure.subplots()
        if self.part.kind in ("tokens", "text"):
            _draw_words(axes, self.part)
        else:
            _draw_bars(axes, self.part.strongest(FEATURES))
        axes.set_title(title, parse_math=False)


def _draw_first(figure: SubFigure, found: Explanation) -> None:
    """What each modality adds, the strategy's own weights where it has some, and the answer without each."""
    weights, facts = found.facts["weights"], found.facts
    places = iter(figure.subplots(1, 3 if weights else 2))
    axes = next(places)
    _draw_bars(axes, [Input(part.name, part.total) for part in found.parts])
    axes.set_title("adds to the logit" if facts["task"] != "regression" else "adds to the number")
    if weights:
        axes = next(places)
        _draw_bars(axes, [Input(name, value) for name, value in weights.items()])
        axes.set_title("the strategy's own weights")
    axes = next(places)
    target, answers = facts["target"], {"with all": facts["answer"]}
    answers |= {f"without {name}": one for name, one in facts["without"].items() if one}
    _draw_bars(axes, [Input(name, answer[target]) for name, answer in answers.items()])
    for at, answer in enumerate(answers.values()):
        said = axes.text(
            0.02, at, found.said(answer), transform=axes.get_yaxis_transform(), va="center", fontsize=SMALL
        )
        said.set_parse_math(False)
        said.set_in_layout(False)
    what = "says" if facts["task"] == "regression" else f"probability of {found.target}"
    axes.set_title(what, parse_math=False)


def _draw_bars(axes: Axes, inputs: Sequence[Input]) -> None:
    """One below the other, the first on top."""
    values = [one.added for one in inputs]
    colours = [BLUE if value >= 0 else ORANGE for value in values]
    axes.barh(range(len(values)), values, color=colours, alpha=0.75, height=0.7)
    axes.set_yticks(range(len(values)), [short_label(one.name) for one in inputs], parse_math=False)
    axes.axvline(0.0, color=GREY, linewidth=0.6)
    axes.set_ylim(max(len(values), 1) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)


def _draw_heat(first: Axes, second: Axes, part: Part) -> None:
    """The input, and what it adds place by place."""
    values, added = _flat(part.values, part.kind), part.added
    heat = added.sum(0) if part.kind == "image" else added.T
    aspect: Literal["equal", "auto"] = "equal" if part.kind == "image" else "auto"
    most = float(np.abs(heat).max()) or 1.0
    first.imshow(values, cmap="gray", aspect=aspect, interpolation="nearest", origin=_origin(part.kind))
    second.imshow(heat, cmap=_colours(), vmin=-most, vmax=most, aspect=aspect, origin=_origin(part.kind))
    for axes in (first, second):
        axes.set_xticks([])
        axes.set_yticks([])
    if part.kind != "image":
        first.set_xlabel("steps")
        second.set_xlabel("steps")


def _flat(values: NDArray[Any], kind: str) -> NDArray[Any]:
    """As it is shown: red, green and blue from 0 to 1, or one number each."""
    if kind != "image":
        return values.T
    low, high = float(values.min()), float(values.max())
    shown: NDArray[Any] = (values - low) / ((high - low) or 1.0)
    return np.moveaxis(shown, 0, -1) if len(shown) == 3 else shown.mean(0)


def _origin(kind: str) -> Any:
    return "upper" if kind == "image" else "lower"


def _draw_words(axes: Axes, part: Part) -> None:
    """Word by word, the stronger the more colour."""
    most = max((abs(one.added) for one in part.inputs), default=0.0) or 1.0
    broken = _broken(part.inputs)
    for number, line in enumerate(broken):
        at = 0.0
        for one in line:
            colour = _colours()(0.5 + 0.5 * one.added / most)
            box = {"facecolor": colour, "edgecolor": "none", "pad": 0.8}
            word = axes.text(at, number, one.name, family="monospace", fontsize=SMALL, bbox=box, va="center")
            word.set_parse_math(False)
            word.set_in_layout(False)  # It lies in the axes, which need no room for it.
            at += (len(one.name) + 1) * LETTER
    axes.set_xlim(0, PAGE - 0.3)
    axes.set_ylim(len(broken) - 0.4, -0.6)
    axes.set_axis_off()


def _broken(inputs: Sequence[Input]) -> list[list[Input]]:
    """Lines of words, no wider than the page; what is beyond the last that is shown is said at its end."""
    lines: list[list[Input]] = [[]]
    wide = int((PAGE - 0.4) / LETTER)
    for number, one in enumerate(inputs):
        if sum(len(word.name) + 1 for word in lines[-1]) + len(one.name) > wide:
            if len(lines) == LINES:
                lines[-1] = [*lines[-1][:-2], Input(f"... {len(inputs) - number} more", 0.0)]
                break
            lines.append([])
        lines[-1].append(one)
    return lines


def _colours() -> Colormap:
    return LinearSegmentedColormap.from_list("for and against", [ORANGE, "white", BLUE])
