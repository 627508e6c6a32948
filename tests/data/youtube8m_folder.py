"""A data folder with small YouTube-8M shards in it, and the dataset made ready over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tfrecord_writer import Values, video, write_shard

from fusionbench.data.youtube8m import YouTube8M

SHARDS = {"train": "validate 0-1", "validation": "validate 2", "test": "validate 3,5"}
NAMES = ("validate0000", "validate0001", "validate0002", "validate0003", "validate0005")
LABELS: Sequence[list[int]] = ([3, 4, 9], [], [3861], [0, 1], [7, 7], [200, 935])

Videos = dict[str, list[dict[str, Values]]]


def made(names: Sequence[str]) -> Videos:
    """Three records for every shard."""
    rng = np.random.default_rng(7)
    return {
        name: [video(b"%02da" % number + b"bcd"[row : row + 1], LABELS[(number + row) % 6], rng) for row in range(3)]
        for number, name in enumerate(names)
    }


def write(root: Path, videos: Mapping[str, Sequence[Mapping[str, Values]]]) -> None:
    """The shards where the dataset looks for them."""
    for name, shard in videos.items():
        write_shard(root / "youtube8m" / "video" / f"{name}.tfrecord", shard)


def ready(root: Path, **options: object) -> YouTube8M:
    """Prepared and set up; with SHARDS unless the options say otherwise."""
    data = YouTube8M(root, **({"shards": SHARDS} | options))  # type: ignore[arg-type]
    data.prepare_data()
    data.setup()
    return data


def left_over(root: Path) -> list[str]:
    """What is in the folder of converted data, but for locks."""
    return [path.name for path in (root / "prepared").iterdir() if path.suffix != ".lock"]
