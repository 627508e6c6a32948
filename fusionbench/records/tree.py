"""A tree of packed tables, which can be a repository of its own: written from a results folder, and back.

TREE/index.json                          every file of the tree, its size and SHA-256: what a URL is read by
TREE/<suite>/<dataset>/<track>.jsonl     a table, see packed.py
TREE/verified.jsonl                      which records somebody trained again and found the same, see verified.py
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fusionbench.core.errors import UserError
from fusionbench.core.files import write_new, write_over
from fusionbench.plan.names import track_label
from fusionbench.records.find import check_folder
from fusionbench.records.packed import END, FORM, MEASURE, RECORD, Pack, Packed, Title, from_lines, is_name, to_lines
from fusionbench.records.reading import content_of, facts_of, track_of
from fusionbench.records.record import InvalidRecord, from_text
from fusionbench.records.store import LATENCY, WANDB
from fusionbench.records.verified import NAME as VERIFIED
from fusionbench.records.verified import merge_marks

Write = Callable[[Path, bytes], bool]
INDEX = "index.json"
BEGINNING = b'{"packed":'
LARGEST_PACK = 2**30
"""Bytes of a file on this machine: fetched.py has the limits of what comes from elsewhere."""


@dataclass
class Done:
    """What was packed or unpacked."""

    tables: list[str] = field(default_factory=list)
    """The files of the tree, in order."""
    runs: int = 0
    """Latency sessions among them."""
    faults: list[str] = field(default_factory=list)
    """A line for each thing that was left out, and why."""


def pack(root: Path, tree: Path, suites: Collection[str] = ()) -> Done:
    """Write the records below a results folder into a tree; runs that are only in the tree stay there.

    Args:
        root: the results folder; nothing in it is changed.
        tree: where the packed files go; made where it is not there.
        suites: folders of `root` to pack; none: all.

    Raises:
        UserError: no such folder or suite, or a file of the tree that records would be added to is damaged.
    """
    check_folder(root)
    known = sorted(path.name for path in root.iterdir() if path.is_dir() and is_name(path.name))
    if unknown := [name for name in suites if name not in known]:
        raise UserError(f"{root}: no records of suite '{unknown[0]}'; there are {', '.join(known) or 'none'}")
    done = Done()
    for name in suites or known:
        for title, runs in sorted(_tables(root / name, done.faults).items(), key=lambda pair: pair[0].place):
            path = tree / title.place
            together = _with_those_there(path, runs, done.faults)
            _make(path.parent)
            write_over(path, to_lines(title, together))
            done.tables.append(title.place)
            done.runs += len(runs)
    _make(tree)
    merge_marks(root / VERIFIED, tree / VERIFIED)
    write_over(tree / INDEX, index_of(tree))
    return done


def unpack(source: Path, root: Path, write: Write = write_new) -> Done:
    """Write the files of a tree, or of one packed file, below a results folder; what is there stays as it is.

    Args:
        source: the tree, or the file.
        root: the results folder.
        write: publishes one file; False if there is one of that name.

    Raises:
        UserError: no such file or folder, or nothing packed in it.
    """
    found, done = list(packs(source)), Done()
    if not found:
        raise UserError(f"{source}: nothing packed here; `fusionbench pack --to DIR` writes such a folder")
    for path in found:
        one = _read(path, done.faults)
        if one is None:
            continue
        folder = root / one.title.suite / one.title.dataset
        done.faults += one.faults
        done.tables.append(one.title.place)
        for run in one.runs:
            done.runs += 1
            done.faults += _put(run, folder / run.strategy, write)
    if source.is_dir():
        merge_marks(source / VERIFIED, root / VERIFIED)
    return done


def packs(source: Path) -> Iterator[Path]:
    """The packed files of a tree, or the one that is named; of a folder without an index, those that say they are."""
    if not source.exists():
        raise UserError(f"{source}: no such file or folder; name a packed file ({END}) or a folder of them")
    if not source.is_dir():
        yield source
        return
    is_tree = (source / INDEX).exists()
    for path in sorted(source.rglob(f"*{END}")):
        parts = path.relative_to(source).parts
        if path.name != VERIFIED and WANDB not in parts and path.is_file() and (is_tree or _says_so(path)):
            yield path


def _says_so(path: Path) -> bool:
    """Other programs leave files of that ending among results, too."""
    try:
        with path.open("rb") as file:
            return file.read(len(BEGINNING)) == BEGINNING
    except OSError:
        return False


def index_of(tree: Path) -> bytes:
    """What the tree holds, as `index.json` says it: sorted, the same files, the same bytes."""
    paths = sorted([*packs(tree), *(path for path in [tree / VERIFIED] if path.is_file())])
    places = {path: path.relative_to(tree).as_posix() for path in paths}
    files = [_stated(place, path.read_bytes()) for path, place in places.items() if _is_place(place)]
    return (json.dumps({"packed": FORM, "files": files}, indent=1) + "\n").encode()


def _stated(place: str, content: bytes) -> dict[str, Any]:
    return {"path": place, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _tables(folder: Path, faults: list[str]) -> dict[Title, list[Packed]]:
    """The runs of a suite by the table that they are of."""
    found: dict[Title, list[Packed]] = {}
    for path in sorted(folder.glob("*/*/*.json")):
        dataset, strategy = path.parts[-3:-1]
        if path.stem.count(".") or not is_name(dataset) or not is_name(strategy):
            continue
        try:
            run, track = _run(path)
        except (InvalidRecord, FileNotFoundError, ValueError) as error:
            faults.append(f"{path}: {error}; not packed")
            continue
        found.setdefault(Title(folder.name, dataset, track), []).append(run)
    return found


def _run(path: Path) -> tuple[Packed, str]:
    """A record or a latency session with what lies beside it, and its track."""
    content = content_of(path)
    files = {RECORD: content}
    if path.parent.name == LATENCY:
        track = track_label(track_of(facts_of(content, path.stem)))
    else:
        record = from_text(content)
        if record.key != path.stem:
            raise InvalidRecord(f"holds the record of {record.key}")
        track = track_label(record.run.track)
        for other in path.parent.glob(f"{path.stem}.*.json"):
            end = other.name.removeprefix(f"{path.stem}.")
            if MEASURE.fullmatch(end):
                files[end] = content_of(other)
    run = Packed(path.parent.name, path.stem, files)
    run.line()  # Whether every file is JSON is said of this one, not when the table is written.
    return run, track


def _with_those_there(path: Path, runs: list[Packed], faults: list[str]) -> list[Packed]:
    """These runs and others that a packed file has already; of a run that differs, the one that is there."""
    if not path.exists():
        return runs
    there = _read(path, faults)
    if there is None or there.faults:
        raise UserError(f"{there.faults[0] if there else faults[-1]}; mend or remove that file, then pack again")
    kept = {(run.strategy, run.key): run for run in there.runs}
    for run in runs:
        known = kept.setdefault((run.strategy, run.key), run)
        if known.files[RECORD] != run.files[RECORD]:
            faults.append(f"{path}: {run.key} is there with another content, which stays; not packed")
        else:
            kept[run.strategy, run.key] = Packed(run.strategy, run.key, {**known.files, **run.files})
    return list(kept.values())


def _read(path: Path, faults: list[str]) -> Pack | None:
    """A packed file; None and a line in `faults` if it is none."""
    try:
        if path.stat().st_size > LARGEST_PACK:
            raise UserError(f"{path}: {path.stat().st_size / 2**20:,.0f} MB, more than any table has")
        return from_lines(path.read_bytes(), str(path))
    except UserError as error:
        faults.append(str(error))
    except OSError as error:
        faults.append(f"{path}: cannot be read: {error.strerror or error}")
    return None


def _put(run: Packed, folder: Path, write: Write) -> Iterator[str]:
    """Write the files of a run, the record last; a line for each that is there with another content."""
    _make(folder)
    for end, content in sorted(run.files.items(), key=lambda pair: pair[0] == RECORD):
        path = folder / f"{run.key}.{end}"
        if not write(path, content) and path.read_bytes() != content:
            yield f"{path}: is there with another content, which stays; not unpacked"


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made: {error.strerror or error}") from error


def checked_index(found: Any, name: str) -> list[dict[str, Any]]:
    """The files that an index names, none of which leads out of its tree.

    Raises:
        UserError: it is no index, or names what is no file of a tree.
    """
    files = found.get("files") if isinstance(found, dict) and found.get("packed") == FORM else None
    if not isinstance(files, list):
        raise UserError(f"{name}: no index of packed records of form {FORM}")
    for one in files:
        path = str(one.get("path")) if isinstance(one, dict) else ""
        if not _is_place(path):
            raise UserError(f"{name}: {path[:120]!r} is no place of a table; nothing was read")
        if type(one.get("bytes")) is not int or one["bytes"] < 0 or not isinstance(one.get("sha256"), str):
            raise UserError(f"{name}: {path} has no size and SHA-256")
    return files


def _is_place(path: str) -> bool:
    """Whether a file of a tree lies there."""
    parts = path.removesuffix(END).split("/")
    return path == VERIFIED or (path.endswith(END) and len(parts) == 3 and all(map(is_name, parts)))
