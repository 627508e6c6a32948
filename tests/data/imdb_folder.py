"""A small folder of film reviews in the official layout, and the dataset made ready over it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from fusionbench.data.imdb import IMDB
from fusionbench.data.imdb_files import FOLDER

EACH = 40
"""Reviews of one part and label here."""
SENTENCE = "the film was seen by me and it has a story with actors in a town near my house"
WORDS = {
    "pos": ("wonderful", "great", "moving", "loved", "brilliant"),
    "neg": ("boring", "awful", "dull", "hated", "terrible"),
}


def made(seed: int = 0) -> dict[str, bytes]:
    """By path below the folder, its bytes; three reviews a film, and films of training and test apart."""
    rng = random.Random(seed)
    files = {}
    for part in ("train", "test"):
        for label in ("neg", "pos"):
            for number in range(EACH):
                words = rng.choices(SENTENCE.split(), k=rng.randint(5, 40)) + rng.choices(WORDS[label], k=2)
                rng.shuffle(words)
                text = " ".join(words[:4]) + ".<br /><br />" + " ".join(words[4:]) + "!"
                files[f"{part}/{label}/{number}_{rng.randint(1, 10)}.txt"] = text.encode()
            first = 10_000 if part == "train" else 20_000
            lines = [f"http://www.imdb.com/title/tt{first + number // 3}/usercomments\n" for number in range(EACH)]
            files[f"{part}/urls_{label}.txt"] = "".join(lines).encode()
    return files


def lay_out(root: Path, files: dict[str, bytes]) -> Path:
    """The official layout in a data folder."""
    for name, text in files.items():
        path = root / FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    return root / FOLDER


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many reviews are all there are."""
    monkeypatch.setattr("fusionbench.data.imdb_files.EACH", EACH)


def ready(root: Path, seed: int = 0, **options: object) -> IMDB:
    """Prepared and set up."""
    data = IMDB(root, seed, batch_size=8, **({"features": 60} | options))  # type: ignore[arg-type]
    data.prepare_data()
    data.setup()
    return data
