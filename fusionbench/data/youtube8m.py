"""YouTube-8M, video level: millions of videos as the mean of their frames' visual and of their audio features.

Two modalities, rgb (1,024 values) and audio (128 values), and 3,862 classes of which a video has three on average.
Without `shards` the official partitions are used: test is the official validate partition, since the labels of the
official test partition are unpublished, and about a twentieth of the training shards, drawn by seed, is validation.
With `shards` the three parts are named by number instead, e.g. train: "validate 0-19", validation: "validate 20-23",
test: "validate 24-29"; results made so are comparable with each other only.

Rows are converted shard by shard and read from memory maps, and no score keeps all logits: the official partitions need
no more memory than a shard, and than what is kept of each test video (benchmarks/official_size.py measures both).

Source: Abu-El-Haija et al. 2016, arXiv:1609.08675; the version of 2018.
"""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from fusionbench.core.batch import MultimodalBatch
from fusionbench.core.canonical import derived_seed, sha256_of
from fusionbench.core.errors import UserError, unknown
from fusionbench.core.task import ModalitySpec, TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.npy import GrowingArray
from fusionbench.data.progress import progress
from fusionbench.data.splits import Rows, Split
from fusionbench.data.store import is_prepared, prepared_folder
from fusionbench.data.youtube8m_records import AUDIO, CLASSES, RGB, read_video_shard
from fusionbench.data.youtube8m_shards import (
    VOCABULARY_URL,
    Shard,
    download_shards,
    in_subset,
    parse_shards,
    parse_subset,
    partition_shards,
    refuse_missing,
)

PARTS = ("train", "validation", "test")
HELD_OUT = 20
"""One in so many official training shards is for validation."""
VOCABULARY = "vocabulary.json"


class YouTube8M(MultimodalData):
    """Video-level rgb and audio features; 3,862 classes, several per video."""

    views = {"video": {"rgb": "vector", "audio": "vector"}}
    kind = "multilabel"
    default_encoders = {"vector": {"name": "mlp", "options": {"width": 512}}}
    display = "YouTube-8M"
    paper, licence, home = "abuelhaija2016youtube8m", "CC BY 4.0", "https://research.google.com/youtube8m"

    def __init__(
        self,
        root: Path | str | None = None,
        seed: int = 0,
        batch_size: int = 128,
        *,
        view: Literal["video"] = "video",
        shards: dict[str, str] = {},  # noqa: B006  (a literal, which the catalogue reads; never changed)
        subset: str = "1/1",
    ) -> None:
        super().__init__(root, seed, batch_size)
        self.view = view
        self.subset = parse_subset(subset, f"{self.name}: option subset")
        self.named = self._named_shards(shards)
        """By part, the shards of the option `shards`; empty: the official partitions."""
        self.offsets = np.zeros(1, dtype=np.int64)

    @property
    def task(self) -> TaskSpec:
        """Two vectors, of 1,024 and 128."""
        modalities = (ModalitySpec("rgb", "vector", (RGB,)), ModalitySpec("audio", "vector", (AUDIO,)))
        return TaskSpec(modalities, classes=CLASSES, kind="multilabel", metric="gap20")

    @property
    def folder(self) -> Path:
        """Where the shards lie."""
        return self.root / "youtube8m" / "video"

    @property
    def wanted(self) -> tuple[Shard, ...]:
        """All shards of the three parts, in the order of the converted rows."""
        if self.named:
            return tuple(sorted(shard for shards in self.named.values() for shard in shards))
        return partition_shards("train", self.subset) + partition_shards("validate", self.subset)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The 3,862 names of the official vocabulary, as converted; empty if it was not there."""
        folder = prepared_folder(self.root, self.name, self.identity())
        return tuple(json.loads((folder / VOCABULARY).read_text(encoding="utf-8")))

    def identity(self) -> dict[str, Any]:
        """Which shards; not how they are split, so that another split shares the arrays."""
        return {"shards": sha256_of([shard.name for shard in self.wanted])}

    def origin(self) -> list[list[Any]] | None:
        """Name, size and time of every shard; None when one is gone, which is no matter once they are converted."""
        paths = [shard.find(self.folder) for shard in self.wanted]
        facts = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in paths if path is not None]
        return facts if len(facts) == len(paths) else None

    def _named_shards(self, shards: dict[str, str]) -> dict[str, tuple[Shard, ...]]:
        where = f"{self.name}: option shards"
        for part in shards:
            if part not in PARTS:
                raise unknown("part", part, PARTS, where)
        absent = [part for part in PARTS if shards and part not in shards]
        if absent:
            raise UserError(
                f"{where}: {' and '.join(absent)} missing; give train, validation and test, or no shards at all"
            )
        named = {part: parse_shards(text, f"{where}.{part}") for part, text in shards.items()}
        for one, other in combinations(named, 2):
            both = sorted(set(named[one]) & set(named[other]))
            if both:
                raise UserError(f"{where}: {both[0].name} is in {one} and in {other}; a shard may be in one part only")
        kept = {part: tuple(shard for shard in found if in_subset(shard, self.subset)) for part, found in named.items()}
        return {part: kept[part] for part in PARTS if part in kept}

    # --- preparing -----------------------------------------------------------------------------------------------

    def prepare_data(self) -> None:
        """Download by the official plan what is missing, then convert; neither if it is converted already."""
        if not is_prepared(self.root, self.name, self.identity(), self.origin()):
            download_shards(self.folder, self.wanted)
        super().prepare_data()

    def convert(self, folder: Path) -> None:
        """Shard by shard, one in memory at a time: rgb, audio, labels and where a row's begin, ids, a row's shard."""
        refuse_missing(self.folder, self.wanted)
        self._convert_vocabulary(folder)
        np.save(folder / "shard_names.npy", np.array([shard.name for shard in self.wanted], dtype=np.bytes_))
        with (
            GrowingArray(folder / "rgb.npy", "<f4", (RGB,)) as rgb,
            GrowingArray(folder / "audio.npy", "<f4", (AUDIO,)) as audio,
            GrowingArray(folder / "labels.npy", "<i2") as labels,
            GrowingArray(folder / "label_offsets.npy", "<i8") as offsets,
            GrowingArray(folder / "ids.npy", "S16") as ids,
            GrowingArray(folder / "shard.npy", "<i2") as shard_of,
            progress("youtube8m: converting", len(self.wanted), lines=10) as show,
        ):
            offsets.append(np.zeros(1, dtype=np.int64))
            for index, shard in enumerate(self.wanted):
                path = shard.find(self.folder)
                assert path is not None
                found = read_video_shard(path)
                rgb.append(found.rgb)
                audio.append(found.audio)
                offsets.append(labels.rows + np.cumsum(found.counts))
                labels.append(found.labels.astype(np.int16))
                ids.append(found.ids)
                shard_of.append(np.full(len(found.ids), index, dtype=np.int16))
                show(index + 1, shard.name)

    def _convert_vocabulary(self, folder: Path) -> None:
        names = read_vocabulary(self.root / "youtube8m" / "vocabulary.csv")
        (folder / VOCABULARY).write_text(json.dumps(names), encoding="utf-8")

    # --- reading -------------------------------------------------------------------------------------------------

    def split(self) -> Split:
        """By shard: as named, or the official partitions with a part of train held out by seed."""
        names = [name.decode() for name in self.arrays["shard_names"]]
        shard_of = np.asarray(self.arrays["shard"])
        parts = self._parts(names)
        part_of = np.array([PARTS.index(parts[name]) for name in names], dtype=np.int8)[shard_of]  # (n,)
        rows = {part: np.flatnonzero(part_of == number) for number, part in enumerate(PARTS)}
        empty = [part for part in PARTS if not len(rows[part])]
        if empty:
            raise UserError(f"{self.name}: no video is left for {' and '.join(empty)}; take more shards")
        return Split(*(rows[part].astype(np.int64) for part in PARTS))

    def _parts(self, names: list[str]) -> dict[str, str]:
        """By the shard's name, the part it belongs to."""
        if self.named:
            return {shard.name: part for part, shards in self.named.items() for shard in shards}
        drawn = {name: derived_seed(self.seed, f"validation/{name}") for name in names if name.startswith("train")}
        held = {name for name, number in drawn.items() if number % HELD_OUT == 0} or {min(drawn, key=drawn.__getitem__)}
        return {name: "validation" if name in held else "train" if name in drawn else "test" for name in names}

    def load_memory(self) -> None:
        """Nothing but the label offsets: rows are read from the memory map, which all runs share."""
        self.arrays = {name: np.asarray(array) for name, array in self.arrays.items()}
        self.offsets = np.array(self.arrays["label_offsets"])

    def batch(self, rows: Rows) -> MultimodalBatch:
        """The videos of those rows, gathered at once; targets are float (B, 3862)."""
        inputs = {name: torch.from_numpy(self.arrays[name].take(rows, axis=0)) for name in self.task.names}
        return replace(self.labels(rows), inputs=inputs)

    def labels(self, rows: Rows) -> MultimodalBatch:
        """Without reading a video's features."""
        here = torch.ones(len(rows), dtype=torch.bool)
        return MultimodalBatch(
            inputs={},
            masks={},
            present=dict.fromkeys(self.task.names, here),
            targets=self.targets(rows),
            ids=torch.from_numpy(rows),
        )

    def targets(self, rows: Rows) -> torch.Tensor:
        """Zeros and ones, float (B, 3862)."""
        first, counts = self.offsets[rows], self.offsets[rows + 1] - self.offsets[rows]
        # Every label's place: its row's first, plus how many of the row came before it.
        before = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        labels = self.arrays["labels"][np.repeat(first, counts) + before].astype(np.int64)
        targets = torch.zeros(len(rows), CLASSES)
        targets[torch.from_numpy(np.repeat(np.arange(len(rows)), counts)), torch.from_numpy(labels)] = 1.0
        return targets


def read_vocabulary(path: Path) -> list[str]:
    """The classes' names by index; none if the file is not there.

    Raises:
        UserError: it does not name every class once.
    """
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        # An entity without a name (there are some) is known by its identifier.
        rows = [(row.get("Index"), row.get("Name") or row.get("KnowledgeGraphId")) for row in csv.DictReader(file)]
    names = {index: name for index, name in rows if index and name}
    if set(names) != {str(index) for index in range(CLASSES)} or len(rows) != CLASSES:
        other = f"it has {len(names)}, as another version's" if set(names) > {str(i) for i in range(CLASSES)} else ""
        raise UserError(
            f"{path}: not the vocabulary of {CLASSES} classes ({other or 'columns Index, Name'}); copy that of 2018 "
            f"again ({VOCABULARY_URL}), or remove it"
        )
    return [names[str(index)] for index in range(CLASSES)]
