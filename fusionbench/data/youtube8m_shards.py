"""The shards of YouTube-8M, video level: their names, which are wanted, where they are and how they get here.

    <root>/youtube8m/video/<partition>NNNN.tfrecord     or under the server's name, <partition>XX.tfrecord
    <root>/youtube8m/plans/video_<partition>.json       the official download plan: server's name -> MD5

$FUSIONBENCH_YOUTUBE8M_MIRROR (us, eu or asia) says which server is near.

The server names a partition's 3,844 shards by two of the 62 letters and digits; the official script stores number NNNN,
counted from aa over az, aA, a0 to 99, and takes the subset X/Y by the MD5 of the server's name, ".tfrecord" included.

Source: the download page and download.py of YouTube-8M, https://research.google.com/youtube8m/download.html
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import string
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fusionbench.core.errors import UserError, unknown
from fusionbench.data.download import fetch
from fusionbench.data.progress import progress

Partition = Literal["train", "validate"]
PARTITIONS: tuple[Partition, ...] = ("train", "validate")
"""The labels of the official test partition are unpublished."""
LETTERS = string.ascii_lowercase + string.ascii_uppercase + string.digits
SHARDS = len(LETTERS) ** 2
"""How many shards a partition has."""
PLAN_URL = "http://data.yt8m.org/2/download_plans/video_{partition}.json"
MIRRORS = ("us", "eu", "asia")
MIRROR_VARIABLE = "FUSIONBENCH_YOUTUBE8M_MIRROR"
SHARD_URL = "http://{mirror}.data.yt8m.org/2/video/{partition}/{name}"
VOCABULARY_URL = "https://research.google.com/youtube8m/csv/2/vocabulary.csv"

Fetch = Callable[..., Path]


@dataclass(frozen=True, order=True)
class Shard:
    """One file of the dataset."""

    partition: str
    number: int

    @property
    def name(self) -> str:
        """Its local name without the ending: `validate0007`."""
        return f"{self.partition}{self.number:04d}"

    @property
    def remote(self) -> str:
        """Its name on the server: `validateah.tfrecord`."""
        first, second = divmod(self.number, len(LETTERS))
        return f"{self.partition}{LETTERS[first]}{LETTERS[second]}.tfrecord"

    def find(self, folder: Path) -> Path | None:
        """The file in a folder, under either name; None if it is not there."""
        names = (f"{self.name}.tfrecord", self.remote)
        return next((folder / name for name in names if (folder / name).is_file()), None)


def parse_shards(text: str, where: str) -> tuple[Shard, ...]:
    """`validate 0-19,25` as shards.

    Raises:
        UserError: it is not written so, or a number is not in 0 .. 3843.
    """
    partition, _, numbers = text.strip().partition(" ")
    if partition not in PARTITIONS:
        raise unknown("partition", partition, PARTITIONS, where)
    found = set[int]()
    for part in numbers.split(","):
        match = re.fullmatch(r"(\d{1,6})(?:\s*-\s*(\d{1,6}))?", part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last or last >= SHARDS:
            raise UserError(
                f"{where}: '{part.strip()}' is no number or range a-b within 0-{SHARDS - 1}, as in 'train 0-19,25'"
            )
        found.update(range(first, last + 1))
    return tuple(Shard(partition, number) for number in sorted(found))


def parse_subset(text: str, where: str) -> tuple[int, int]:
    """`X/Y` as two numbers, 1 <= X <= Y.

    Raises:
        UserError: it is not written so.
    """
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text.strip())
    part, parts = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= part <= parts:
        raise UserError(f"{where}: '{text}' is no X/Y with 1 <= X <= Y, as in '1/100'")
    return part, parts


def in_subset(shard: Shard, subset: tuple[int, int]) -> bool:
    """The official rule for 1/Y of the shards: MD5 of the server's name, modulo Y."""
    part, parts = subset
    digest = hashlib.md5(shard.remote.encode(), usedforsecurity=False).hexdigest()
    return int(digest, 16) % parts == part - 1


def partition_shards(partition: Partition, subset: tuple[int, int]) -> tuple[Shard, ...]:
    """The shards of a partition that are in the subset, by number."""
    shards = (Shard(partition, number) for number in range(SHARDS))
    return tuple(shard for shard in shards if in_subset(shard, subset))


def missing(folder: Path, shards: Iterable[Shard]) -> list[Shard]:
    """Those that are not there."""
    return [shard for shard in shards if shard.find(folder) is None]


def told_missing(folder: Path, absent: Sequence[Shard]) -> str:
    """Which shards are not there, and on a second line both ways to get them."""
    names = ", ".join(shard.name for shard in absent[:3]) + (", ..." if len(absent) > 3 else "")
    return (
        f"{len(absent)} shards of YouTube-8M are not in {folder}: {names}\n"
        f"with a network, `fusionbench prepare youtube8m` downloads them; or put your own copies there, named "
        f"{absent[0].name}.tfrecord; or name another data folder with --data"
    )


def refuse_missing(folder: Path, shards: Iterable[Shard]) -> None:
    """Raises UserError if a shard is not there; names the first ones and both ways to get them."""
    absent = missing(folder, shards)
    if absent:
        raise UserError(told_missing(folder, absent))


def chosen_mirror() -> str:
    """The server to download from, $FUSIONBENCH_YOUTUBE8M_MIRROR or us: no option, since it decides no result.

    Raises:
        UserError: it is none of us, eu, asia.
    """
    mirror = os.environ.get(MIRROR_VARIABLE, MIRRORS[0])
    if mirror not in MIRRORS:
        raise unknown("mirror", mirror, MIRRORS, f"${MIRROR_VARIABLE}")
    return mirror


def download_shards(folder: Path, shards: Iterable[Shard], fetcher: Fetch = fetch) -> None:
    """Fetches what is missing, by the official plan, every MD5 checked; and the names of the classes.

    Args:
        folder: where the shards lie.
        shards: all that are wanted.
        fetcher: `fetch`, or another of its form.

    Raises:
        UserError: no network, a wrong checksum, no room, or a plan that is none.
    """
    absent = missing(folder, shards)
    if not absent:
        return
    mirror = chosen_mirror()
    way_out = told_missing(folder, absent)
    plans = {name: _plan(folder, name, way_out, fetcher) for name in sorted({shard.partition for shard in absent})}
    with progress("youtube8m: downloading", len(absent)) as show:
        for done, shard in enumerate(absent):
            if shard.remote not in plans[shard.partition]:
                raise UserError(f"youtube8m: the download plan of {shard.partition} has no {shard.remote}; {way_out}")

            def tell(so_far: int, total: int | None, done: int = done, name: str = shard.name) -> None:
                show(done, f"{name} {so_far / 1e6:.1f} of {(total or so_far) / 1e6:.1f} MB")

            fetcher(
                SHARD_URL.format(mirror=mirror, partition=shard.partition, name=shard.remote),
                folder / f"{shard.name}.tfrecord",
                md5=plans[shard.partition][shard.remote],
                progress=tell,
                way_out=way_out,
            )
            show(done + 1, shard.name)
    _fetch_vocabulary(folder, fetcher)


def read_plan(path: Path) -> dict[str, str]:
    """A download plan: server's name -> MD5, bare or under "files".

    Raises:
        UserError: it is no such mapping.
    """
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
        files = plan.get("files", plan)
        good = files and all(re.fullmatch(r"[0-9a-fA-F]{32}", md5) for md5 in files.values())
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: no download plan ({error}); remove it, it is fetched again") from error
    if not good:
        raise UserError(f"{path}: no download plan (not names with MD5s); remove it, it is fetched again")
    return dict(files)


def _plan(folder: Path, partition: str, way_out: str, fetcher: Fetch) -> dict[str, str]:
    path = folder.parent / "plans" / f"video_{partition}.json"
    fetcher(PLAN_URL.format(partition=partition), path, attempts=2, way_out=way_out)
    return read_plan(path)


def _fetch_vocabulary(folder: Path, fetcher: Fetch) -> None:
    try:
        fetcher(VOCABULARY_URL, folder.parent / "vocabulary.csv", attempts=2)
    except UserError as error:
        # Names are for people; nothing is trained on them.
        with progress("youtube8m", 1) as show:
            show(1, f"goes on without the names of the classes: {error}")
