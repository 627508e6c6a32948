"""Known data sets in small: folders of the form that their authors give, with random contents."""

from __future__ import annotations

import csv
import json
import pickle
import wave
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

RNG = np.random.default_rng(0)
GENRES = ("Drama", "Comedy", "Romance")
DISHES = ("apple_pie", "baby_back_ribs", "baklava")


def picture(path: Path) -> None:
    """A small one of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (20, 24, 3), dtype=np.uint8)).save(path)


def sound(path: Path) -> None:
    """A fifth of a second of noise, 16 kHz, mono."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 3200, "NONE", ""))
        file.writeframes(RNG.integers(-(2**12), 2**12, 3200, dtype=np.int16).tobytes())


def json_lines(path: Path, rows: Iterable[Any]) -> None:
    """One object a line."""
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def cremad(folder: Path, *, lists: bool = True) -> Path:
    """Six actors, two sentences, two emotions; with OGM-GE's lists or without."""
    clips = [
        f"{actor}_{said}_{felt}_XX" for actor in range(1001, 1007) for said in ("DFA", "IEO") for felt in ("ANG", "HAP")
    ]
    for name in clips:
        sound(folder / "AudioWAV" / f"{name}.wav")
        for second in (0, 30, 60):
            picture(folder / "Image-01-FPS" / name / f"{second:05}.jpg")
    if lists:
        for part, some in (("train", clips[:16]), ("test", clips[16:])):
            rows = "".join(f"{name},{name.split('_')[2]}\n" for name in some)
            (folder / f"{part}.csv").write_text(rows, encoding="utf-8-sig")
    return folder


def mmimdb(folder: Path, films: int = 30) -> Path:
    """Films of one genre or two; the first has no plot."""
    names = [f"{number:07}" for number in range(1, films + 1)]
    for number, name in enumerate(names):
        picture(folder / "dataset" / f"{name}.jpeg")
        genres = [GENRES[number % 3]] + ["Horror"] * (number % 2)
        plots = ["Short.", f"A longer plot of the film {name}."] if number else []
        film = {"title": f"Film {name}", "genres": genres, "plot": plots, "year": 1990}
        (folder / "dataset" / f"{name}.json").write_text(json.dumps(film))
    parts = {"train": names[:20], "dev": names[20:24], "test": names[24:]}
    (folder / "split.json").write_text(json.dumps(parts))
    return folder


def food101(folder: Path, each: int = 8) -> Path:
    """Three dishes; a title with a comma in quotes, and one whose picture is lost."""
    (folder / "texts").mkdir(parents=True)
    for part, first in (("train", 0), ("test", each)):
        rows = []
        for dish in DISHES:
            for number in range(first, first + each):
                name = f"{dish}_{number}.jpg"
                picture(folder / "images" / part / dish / name)
                rows.append((name, f"The best {dish.replace('_', ' ')}, number {number}", dish))
        rows.append((f"baklava_{first + 900}.jpg", "Lost", "baklava"))
        with (folder / "texts" / f"{part}_titles.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
    return folder


def hateful_memes(folder: Path, *, phases: tuple[str, ...] = ("_seen", "_unseen")) -> Path:
    """Parts of the challenge's phases."""
    first = 1000
    for part, count in (("train", 20), *((f"{part}{phase}", 6) for phase in phases for part in ("dev", "test"))):
        memes = [
            {"id": number, "img": f"img/{number:05}.png", "label": number % 2, "text": f"look at number {number}"}
            for number in range(first, first + count)
        ]
        first += count
        for meme in memes:
            picture(folder / str(meme["img"]))
        json_lines(folder / f"{part}.jsonl", memes)
    return folder


def mmsa(folder: Path, name: str = "aligned_50.pkl", *, protocol: int = 4, segments: int = 12) -> Path:
    """Features of MOSI's widths, padded with zeros in front; the first segment of each part has no sound."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for part in ("train", "valid", "test"):
        arrays = {}
        for modality, width in (("text", 768), ("audio", 5), ("vision", 20)):
            steps = RNG.normal(size=(segments, 50, width)).astype(np.float32)
            for number in range(segments):
                steps[number, : 30 + number] = 0
            arrays[modality] = steps
        arrays["audio"][0] = 0
        arrays["audio"][1, 40, 0] = -np.inf
        found[part] = {
            **arrays,
            "raw_text": np.array([f"segment {number} was good" for number in range(segments)], dtype=object),
            "id": [f"{part}Video{number // 3}$_${number % 3}" for number in range(segments)],
            "annotations": ["Positive"] * segments,
            "classification_labels": np.ones(segments),
            "regression_labels": np.linspace(-3, 3, segments).astype(np.float32),
            "text_bert": RNG.normal(size=(segments, 3, 50)).astype(np.float32),
        }
    (folder / name).write_bytes(pickle.dumps(found, protocol=protocol))
    return folder
