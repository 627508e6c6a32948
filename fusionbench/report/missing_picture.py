"""What is missing in training by what is missing in the test: for each strategy and modality a small matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fusionbench.core.scores import lower_is_better
from fusionbench.report.figures import PAGE, SMALL, drawn, write_title
from fusionbench.report.marks import short_label
from fusionbench.report.titles import directed

ROW, AROUND = 1.0, 0.9
"""Inches: of a row of matrices, and of all else."""
MOST = 8
"""Strategies of a picture."""
Line = Mapping[str, Any]


def missing_picture(suite: str, title: str, lines: Sequence[Line]) -> dict[str, bytes]:
    """The picture in each form; empty where training lacked nothing.

    Args:
        suite: its name.
        title: of the data.
        lines: of one data set and track, as missing.csv has them; of more strategies than a picture holds, those with
            the best mean score over all lines.
    """
    modalities = list(dict.fromkeys(line["modality"] for line in lines))
    strategies = _best(lines)
    means = [line["mean"] for line in lines if line["strategy"] in strategies and line["mean"] is not None]
    if not strategies or all(line["train_missing"] == "none" for line in lines):
        return {}

    def draw(figure: Figure) -> None:
        found = figure.subplots(len(strategies), len(modalities), squeeze=False)
        for panels, strategy in zip(found, strategies, strict=True):
            for axes, modality in zip(panels, modalities, strict=True):
                found_here = [one for one in lines if (one["strategy"], one["modality"]) == (strategy, modality)]
                _matrix(axes, found_here, min(means), max(means))
                axes.set_title(f"{short_label(strategy)}, {modality} missing", fontsize=SMALL, parse_math=False)
        figure.supxlabel("share of test rows that lack it", fontsize="medium")
        figure.supylabel("missing in training", fontsize="medium")
        write_title(figure, title, f"suite {suite}", f"test {directed(lines[0]['score'])}, mean over seeds")

    return drawn(PAGE, ROW * len(strategies) + AROUND, draw)


def _best(lines: Sequence[Line]) -> list[str]:
    """Those with a score in every line first, the best mean first."""
    scores: dict[str, list[float]] = {}
    for line in lines:
        if line["mean"] is not None:
            scores.setdefault(line["strategy"], []).append(line["mean"])
    sign = 1 if lines and lower_is_better(lines[0]["score"]) else -1
    ranked = sorted(scores, key=lambda name: (-len(scores[name]), sign * sum(scores[name]) / len(scores[name])))
    return ranked[:MOST]


def _matrix(axes: Axes, lines: Sequence[Line], least: float, most: float) -> None:
    """One scale of colours for the whole picture, so that matrices compare."""
    trained = list(dict.fromkeys(line["train_missing"] for line in lines))
    rates = list(dict.fromkeys(line["test_rate"] for line in lines))
    means = {(line["train_missing"], line["test_rate"]): line["mean"] for line in lines}
    values = [[means.get((one, rate)) for rate in rates] for one in trained]
    numbers = [[float("nan") if value is None else float(value) for value in row] for row in values]
    axes.imshow(numbers, aspect="auto", cmap="cividis", vmin=least, vmax=most)
    for y, row in enumerate(values):
        for x, value in enumerate(row):
            if value is not None:
                colour = "white" if value < (least + most) / 2 else "black"
                axes.text(x, y, f"{value:.2f}".lstrip("0"), ha="center", va="center", fontsize=5, color=colour)
    axes.set_xticks(range(len(rates)), [f"{rate:g}" for rate in rates], fontsize=5.5)
    axes.set_yticks(range(len(trained)), trained, fontsize=5.5)
    axes.tick_params(length=0)
    for text in axes.get_yticklabels():
        text.set_parse_math(False)
