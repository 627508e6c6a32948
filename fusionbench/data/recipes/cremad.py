"""CREMA-D: 91 actors say twelve sentences in six emotions; a sound and a picture of each clip.

    AudioWAV/1001_DFA_ANG_XX.wav           actor, sentence, emotion, level
    Image-01-FPS/1001_DFA_ANG_XX/*.jpg     a frame a second, made of VideoFlash/1001_DFA_ANG_XX.flv
    train.csv, test.csv                    `1001_DFA_ANG_XX,ANG`, without a header: the lists of OGM-GE, if there

Of the frames the middle one is taken. The authors give no split. The lists of OGM-GE, which later papers use, have the
same actors in both parts; without them the table keeps actors apart (`group`).

Source: https://github.com/CheyneyComputerScience/CREMA-D, README.md; frames and lists:
https://github.com/GeWu-Lab/OGM-GE_CVPR2022, data/CREMAD and dataset/CramedDataset.py.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from fusionbench.data.recipes._layout import Layout, Recipe, Row, left_out

HOME = "get CREMA-D from https://github.com/CheyneyComputerScience/CREMA-D (git lfs pull)"
FRAMES = "Image-01-FPS"
CLIP = re.compile(r"(?P<actor>\d{4})_(?P<sentence>[A-Z]{3})_(?P<emotion>ANG|DIS|FEA|HAP|NEU|SAD)_(?P<level>[A-Z]{1,2})")
EMOTIONS = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
POINTER = b"version https://git-lfs"


def recipe(folder: Path) -> Recipe:
    """The table of that folder.

    Raises:
        UserError: something of the layout is missing.
    """
    layout = Layout("cremad", folder, HOME)
    sounds, frames = layout.directory("AudioWAV"), folder / FRAMES
    if not frames.is_dir():
        way = f"ffmpeg -i VideoFlash/CLIP.flv -r 1 {FRAMES}/CLIP/%05d.jpg makes a clip's frames"
        raise layout.refused(f"{frames} is missing ({way})")
    clips = {path.stem: path for path in sorted(sounds.glob("*.wav")) if CLIP.fullmatch(path.stem)}
    if not clips:
        raise layout.refused(f"{sounds} holds no sound such as 1001_DFA_ANG_XX.wav")
    _refuse_pointer(layout, next(iter(clips.values())))
    parts = _parts(layout)
    options = {"columns": {"audio": "audio", "face": "image"}, "label": "emotion", "group": "actor"}
    notes = [] if parts else ["no official split: actors are kept apart, and drawn for the test by fusionbench"]
    if parts:
        options = {"columns": options["columns"], "label": "emotion", "split": "part"}
        notes = ["split of OGM-GE's lists, whose parts have actors in common"]
    return Recipe(lambda _: _rows(layout, clips, parts, notes), options, notes=notes)


def _rows(layout: Layout, clips: dict[str, Path], parts: dict[str, str], notes: list[str]) -> Iterator[Row]:
    no_frame = no_part = 0
    for name in clips:
        found = CLIP.fullmatch(name)
        assert found is not None
        frames = sorted((layout.folder / FRAMES / name).glob("*.jpg"))
        no_frame += not frames
        no_part += bool(parts) and name not in parts
        if frames and (not parts or name in parts):
            middle = frames[len(frames) // 2].name
            row = {"id": name, "audio": f"AudioWAV/{name}.wav", "face": layout.inside(FRAMES, name, middle)}
            part = {"part": parts[name]} if parts else {}
            yield {**row, "emotion": EMOTIONS[found["emotion"]], "actor": found["actor"], **part}
    notes += [*left_out(no_frame, f"no frame in {FRAMES}"), *left_out(no_part, "in neither list")]


def _parts(layout: Layout) -> dict[str, str]:
    """By clip, the part that a list names; empty without lists."""
    lists = {"train": layout.folder / "train.csv", "test": layout.folder / "test.csv"}
    if not any(path.is_file() for path in lists.values()):
        return {}
    found: dict[str, str] = {}
    for part, path in lists.items():
        for number, row in enumerate(csv.reader(layout.text(layout.file(path.name)).splitlines()), 1):
            if not row:
                continue
            if not CLIP.fullmatch(row[0]) or row[0] in found:
                what = "twice" if row[0] in found else "no clip"
                raise layout.refused(f"{path}, line {number}: {row[0][:40]!r} is {'there ' * (what == 'twice')}{what}")
            found[row[0]] = part
    return found


def _refuse_pointer(layout: Layout, path: Path) -> None:
    with path.open("rb") as file:
        if file.read(len(POINTER)) == POINTER:
            raise layout.refused(f"{path} is a pointer of Git LFS, no sound")
