"""Hateful Memes: pictures with a text on them; whether both together are hateful.

    img/01235.png
    train.jsonl, dev_unseen.jsonl, test_unseen.jsonl     {"id": 1235, "img": "img/01235.png", "label": 0, "text": "..."}
    dev_seen.jsonl, test_seen.jsonl                      likewise, of the challenge's first phase (also dev, test)

Where parts of both phases are there, those of the second (unseen) are taken, as MMF does.

Source: the data's README (https://ai.meta.com/tools/hatefulmemes); https://github.com/facebookresearch/mmf,
mmf/configs/datasets/hateful_memes/defaults.yaml.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fusionbench.core.errors import shown
from fusionbench.data.recipes._layout import Layout, Recipe, Row

HOME = "get the challenge's data, with labels of the test, from https://ai.meta.com/tools/hatefulmemes"
LABELS = {0: "benign", 1: "hateful"}


def recipe(folder: Path) -> Recipe:
    """The table of that folder.

    Raises:
        UserError: something of the layout is missing, or the test has no labels.
    """
    layout = Layout("hateful_memes", folder, HOME)
    layout.directory("img")
    parts = {
        "train": layout.file("train.jsonl"),
        "validation": layout.file("dev_unseen.jsonl", "dev_seen.jsonl", "dev.jsonl"),
        "test": layout.file("test_unseen.jsonl", "test_seen.jsonl", "test.jsonl"),
    }
    notes = [f"parts: {', '.join(path.name for path in parts.values())}; papers report AUROC and accuracy"]
    options = {"columns": {"picture": "image", "text": "tokens"}, "label": "label", "split": "part"}
    return Recipe(lambda _: _rows(layout, parts), options, notes=notes)


def _rows(layout: Layout, parts: dict[str, Path]) -> Iterator[Row]:
    seen: dict[str, str] = {}
    for part, path in parts.items():
        for number, meme in enumerate(layout.lines(path), 1):
            where = f"{path}, meme {number}"
            if not isinstance(meme.get("img"), str) or not isinstance(meme.get("text"), str) or "id" not in meme:
                raise layout.refused(f"{where}: id, img and text are not all there")
            if meme.get("label") not in LABELS:
                held = shown(meme["label"]) if "label" in meme else "no label, as the test of the challenge's phases"
                raise layout.refused(f"{where}: {held}")
            name, picture = str(meme["id"]), layout.inside(*meme["img"].split("/"))
            if name in seen:
                raise layout.refused(f"{where}: meme {name} is in {seen[name]} too")
            if not (layout.folder / picture).is_file():
                raise layout.refused(f"{layout.folder / picture} is missing, which {path.name} names")
            seen[name] = path.name
            yield {"id": name, "picture": picture, "text": meme["text"], "label": LABELS[meme["label"]], "part": part}
