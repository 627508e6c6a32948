"""MM-IMDb: posters and plots of 25,959 films, and their genres, of which one film may have several.

    split.json                {"train": [ids], "dev": [ids], "test": [ids]}
    dataset/0068646.json      {"genres": [...], "plot": [...], ...}
    dataset/0068646.jpeg      the poster

As the authors do: the longest plot is taken, and the 23 most frequent genres; a film with none of these, or without
plot or poster, is left out.

Source: https://github.com/johnarevalo/gmu-mmimdb, make_dataset.py and gmu.json; split.json as
https://github.com/facebookresearch/mmbt, scripts/mmimdb.py, reads it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from fusionbench.data.recipes._layout import Layout, Recipe, Row, left_out

HOME = "get mmimdb.tar.gz of https://github.com/johnarevalo/gmu-mmimdb (also https://archive.org/details/mmimdb)"
PARTS = {"train": "train", "dev": "validation", "test": "test"}
GENRES = 23


def recipe(folder: Path) -> Recipe:
    """The table of that folder, or of `mmimdb` in it, which the archive holds.

    Raises:
        UserError: something of the layout is missing.
    """
    layout = Layout("mmimdb", folder, HOME)
    layout = Layout("mmimdb", layout.file("split.json", "mmimdb/split.json").parent, HOME)
    layout.directory("dataset")
    split = layout.json(layout.file("split.json"), dict)
    for part in PARTS:
        if not isinstance(split.get(part), list):
            raise layout.refused(f"{layout.folder / 'split.json'}: no list of '{part}'")
    columns = {"poster": "image", "plot": "tokens"}
    options = {"columns": columns, "label": "genres", "kind": "multilabel", "split": "part"}
    notes = ["papers report F1; of several labels fusionbench has GAP@20, Hit@1, mean average precisions and NLL"]
    # Where the archive's own folder was given by the one around it, cells name files from there.
    inner = "" if layout.folder == folder else layout.folder.name
    return Recipe(lambda _: _rows(layout, split, inner, notes), options, notes=notes)


def _rows(layout: Layout, split: dict[str, list[object]], inner: str, notes: list[str]) -> Iterator[Row]:
    films, incomplete = list[Row](), 0
    for part, ids in split.items():
        for one in ids if part in PARTS else []:
            film = _film(layout, str(one), PARTS[part], inner)
            incomplete += film is None
            films += [film] if film else []
    counts = Counter(genre for film in films for genre in film["genres"])
    kept = {genre for genre, _ in counts.most_common(GENRES)}
    other = 0
    for film in films:
        genres = [genre for genre in film["genres"] if genre in kept]
        other += not genres
        if genres:
            yield {**film, "genres": genres}
    notes += left_out(incomplete, "no plot, no genre or no poster")
    notes += left_out(other, f"none of the {GENRES} most frequent genres")


def _film(layout: Layout, name: str, part: str, inner: str) -> Row | None:
    path = layout.folder / layout.inside("dataset", f"{name}.json")
    if not path.is_file():
        raise layout.refused(f"{path} is missing, which split.json names")
    found = layout.json(path, dict)
    plots, genres = found.get("plot"), found.get("genres")
    texts = [text for text in plots if isinstance(text, str)] if isinstance(plots, list) else []
    named = [genre for genre in genres if isinstance(genre, str)] if isinstance(genres, list) else []
    plot = max(texts, key=len, default="").strip()
    if not plot or not named or not path.with_suffix(".jpeg").is_file():
        return None
    poster = layout.inside(*([inner] if inner else []), "dataset", f"{name}.jpeg")
    return {"id": name, "poster": poster, "plot": plot, "genres": named, "part": part}
