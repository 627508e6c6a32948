"""UPMC Food-101: pictures of 101 dishes from web pages, and the titles of these pages.

    images/train/apple_pie/apple_pie_0.jpg      images/test/apple_pie/apple_pie_10.jpg
    texts/train_titles.csv, test_titles.csv     apple_pie_0.jpg, title, apple_pie; without a header

Food-101 of ETH Zurich, of the same dishes, has pictures alone: there is nothing to fuse. Validation rows are drawn by
seed, since there are none.

Source: https://visiir.isir.upmc.fr/explore; the layout of https://www.kaggle.com/datasets/gianmarco96/upmcfood101, as
https://github.com/YiLunLee/missing_aware_prompts, DATA.md, describes it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from fusionbench.data.recipes._layout import Layout, Recipe, Row, left_out

HOME = "get UPMC Food-101 (https://visiir.isir.upmc.fr, https://www.kaggle.com/datasets/gianmarco96/upmcfood101)"
PARTS = ("train", "test")


def recipe(folder: Path) -> Recipe:
    """The table of that folder.

    Raises:
        UserError: something of the layout is missing.
    """
    layout = Layout("food101", folder, HOME)
    if (folder / "meta" / "classes.txt").is_file():
        raise layout.refused(f"{folder} is Food-101 of ETH Zurich, which has pictures and no texts")
    for part in PARTS:
        layout.directory(f"images/{part}")
        layout.file(f"texts/{part}_titles.csv")
    notes = ["there is no official validation part: a seed draws it from the training rows"]
    options = {"columns": {"photo": "image", "title": "tokens"}, "label": "dish", "split": "part"}
    return Recipe(lambda _: _rows(layout, notes), options, notes=notes)


def _rows(layout: Layout, notes: list[str]) -> Iterator[Row]:
    lost, seen = 0, set[str]()
    for part in PARTS:
        path = layout.folder / "texts" / f"{part}_titles.csv"
        for number, row in enumerate(csv.reader(layout.text(path).splitlines(keepends=True)), 1):
            if len(row) != 3:
                raise layout.refused(f"{path}, row {number}: {len(row)} cells; picture, title and dish are three")
            picture, title, dish = (cell.strip() for cell in row)
            photo = layout.inside("images", part, dish, picture)
            if picture in seen:
                raise layout.refused(f"{path}, row {number}: {picture} is there twice")
            seen.add(picture)
            there = (layout.folder / photo).is_file()
            lost += not there
            if there:
                yield {"id": picture, "photo": photo, "title": title, "dish": dish, "part": part}
    notes += left_out(lost, "titles whose picture is not there")
