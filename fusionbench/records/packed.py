"""The records of a table in one file: a JSON line for each run, with all that lies beside its record, and back.

    {"packed": 1, "suite": "quickstart", "dataset": "digits", "track": "same_encoders"}       the first line
    {"strategy": "concat", "key": "1ab3...", "files": {"json": {the record}, "resamples.json": {...}, "size.json": ...}}
    {"strategy": "latency", "key": "b51a...", "files": {"json": {a latency session}}}

Files go back byte for byte: what JSON alone would not give again stands as its text under "texts". Nothing in such a
file is believed: names are single names of folders, a record is checked as any other, and a key that stands twice
counts not at all, since nobody can say which is meant.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fusionbench.core.errors import UserError
from fusionbench.plan.names import slug, track_label
from fusionbench.records import resamples
from fusionbench.records.reading import LARGEST, facts_of, track_of
from fusionbench.records.record import InvalidRecord, from_text
from fusionbench.records.store import LATENCY, RESAMPLES, WANDB

FORM = 1
END = ".jsonl"
RECORD, RESAMPLED = "json", RESAMPLES.removeprefix(".")
NAME = re.compile(r"[A-Za-z0-9_][\w+=.,-]{0,199}", re.ASCII)
KEY = re.compile(r"[0-9a-f]{12}")
MEASURE = re.compile(r"[A-Za-z_][\w.-]{0,99}\.json", re.ASCII)


@dataclass(frozen=True)
class Title:
    """Whose records they are: names of folders, and the label of a track."""

    suite: str
    dataset: str
    track: str

    @property
    def place(self) -> str:
        """Where the file lies in a tree, with slashes."""
        return f"{self.suite}/{self.dataset}/{self.track}{END}"

    def line(self) -> str:
        """The first line of the file."""
        return _line({"packed": FORM, **vars(self)})


@dataclass(frozen=True)
class Packed:
    """One run, or a latency session: its files by their endings, `json` and `size.json`."""

    strategy: str
    """The name of the folder; `latency` of a session."""
    key: str
    files: Mapping[str, bytes]

    def line(self) -> str:
        """The line of it; ValueError if a file is no JSON."""
        found = {end: _value(content) for end, content in sorted(self.files.items())}
        plain = {end: value for end, value in found.items() if written(end, value) == self.files[end]}
        texts = {end: self.files[end].decode() for end in found if end not in plain}
        parts: dict[str, Any] = {"strategy": self.strategy, "key": self.key, "files": plain}
        return _line(parts | ({"texts": texts} if texts else {}))


@dataclass
class Pack:
    """What a packed file holds, and what is wrong with it, a line each; what is wrong is not among the runs."""

    title: Title
    runs: list[Packed] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def written(end: str, value: object) -> bytes:
    """A value as the store writes a file of that ending."""
    if end == RESAMPLED:
        return (json.dumps(value, sort_keys=True, separators=(",", ":")) + "\n").encode()
    return (json.dumps(value, sort_keys=True, indent=1, ensure_ascii=end != RECORD) + "\n").encode()


def to_lines(title: Title, runs: Iterable[Packed]) -> bytes:
    """The file: its title and then the runs by strategy and key; the same runs, the same bytes."""
    ordered = sorted(runs, key=lambda run: (run.strategy, run.key))
    return "".join(f"{line}\n" for line in (title.line(), *(run.line() for run in ordered))).encode()


def from_lines(content: bytes, name: str) -> Pack:
    """The runs of a packed file.

    Args:
        content: of the file.
        name: what it is called in what is said of its faults.

    Raises:
        UserError: its first line is no title: then nothing of it can be placed.
    """
    lines = content.split(b"\n")
    pack = Pack(_title(lines[0], name))
    found: list[tuple[int, Packed]] = []
    for number, line in enumerate(lines[1:], 2):
        if not line and number == len(lines):
            break
        try:
            found.append((number, _packed(line, pack.title)))
        except (InvalidRecord, ValueError, RecursionError) as error:
            pack.faults.append(f"{name}, line {number}: {_short(error)}; not counted")
    counted = Counter((run.strategy, run.key) for _, run in found)
    for number, run in found:
        if counted[run.strategy, run.key] > 1:
            pack.faults.append(f"{name}, line {number}: {run.key} stands here more than once; none of them counted")
        else:
            pack.runs.append(run)
    return pack


def is_name(text: object) -> bool:
    """Whether it is one name of a folder, and of none that has a meaning of its own.

    >>> [is_name(text) for text in ("digits", "unimodal+modality=left", "..", "a/b", "", ".git", "wandb")]
    [True, True, False, False, False, False, False]
    """
    return isinstance(text, str) and NAME.fullmatch(text) is not None and text != WANDB


def _title(line: bytes, name: str) -> Title:
    try:
        found = _value(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name}: no packed records: its first line is no JSON ({_short(error)})") from error
    if not isinstance(found, dict) or found.get("packed") != FORM:
        raise UserError(f"{name}: no packed records of form {FORM}: its first line does not say so")
    parts: dict[str, Any] = {part: found.get(part) for part in ("suite", "dataset", "track")}
    for part, value in parts.items():
        if not is_name(value):
            raise UserError(f"{name}: {part} {_short(value)} is no name of a folder")
    return Title(**parts)


def _packed(line: bytes, title: Title) -> Packed:
    """One line, checked."""
    if len(line) > LARGEST:
        raise InvalidRecord(f"{len(line) / 2**20:,.0f} MB, more than any record has")
    found = _value(line)
    if not isinstance(found, dict) or not found.keys() <= {"strategy", "key", "files", "texts"}:
        raise InvalidRecord("no line of packed records")
    strategy, key = found.get("strategy"), found.get("key")
    if not is_name(strategy):
        raise InvalidRecord(f"strategy {_short(strategy)} is no name of a folder")
    if not isinstance(key, str) or not KEY.fullmatch(key):
        raise InvalidRecord(f"key {_short(key)} is no key")
    files = dict(_files(found.get("files", {}), found.get("texts", {})))
    if RECORD not in files:
        raise InvalidRecord(f"{key} has no record")
    run = Packed(str(strategy), key, files)
    (_check_session if strategy == LATENCY else _check_run)(run, title)
    return run


def _files(plain: object, texts: object) -> Iterator[tuple[str, bytes]]:
    if not isinstance(plain, dict) or not isinstance(texts, dict) or plain.keys() & texts.keys():
        raise InvalidRecord("files and texts are no two sets of files")
    for end, value in (plain | texts).items():
        if end != RECORD and not MEASURE.fullmatch(end):
            raise InvalidRecord(f"{_short(end)} is no ending of a file beside records")
        if end in texts and not isinstance(value, str):
            raise InvalidRecord(f"{_short(end)} is no text")
        yield end, value.encode() if end in texts else written(end, value)


def _check_run(run: Packed, title: Title) -> None:
    """A record like any other, where it belongs, with what may lie beside it."""
    record = from_text(run.files[RECORD])
    if record.key != run.key:
        raise InvalidRecord(f"{run.key} holds the record of {record.key}")
    spec = record.run
    if track_label(spec.track) != title.track:
        raise InvalidRecord(f"{run.key} is of the track {track_label(spec.track)}")
    try:
        place = slug("dataset", spec.dataset), slug("strategy", spec.strategy)
    except UserError:  # Of somebody's own plug-in, which is not here, folders cannot be named.
        place = title.dataset, run.strategy
    if place != (title.dataset, run.strategy):
        raise InvalidRecord(f"{run.key} belongs to {'/'.join(place)}")
    for end, content in run.files.items():
        if end == RESAMPLED:
            if resamples.from_text(content).key != run.key:
                raise InvalidRecord(f"{run.key} has the resamples of another run")
        elif end != RECORD:
            facts_of(content, run.key)


def _check_session(run: Packed, title: Title) -> None:
    if run.files.keys() != {RECORD}:
        raise InvalidRecord(f"{run.key} is a latency session with files beside it")
    try:
        label = track_label(track_of(facts_of(run.files[RECORD], run.key)))
    except (AttributeError, KeyError, TypeError) as error:
        raise InvalidRecord(f"{run.key}: track: {error}") from error
    if label != title.track:
        raise InvalidRecord(f"{run.key} is a latency session of the track {label}")


def _value(content: bytes) -> Any:
    return json.loads(content.decode(), object_pairs_hook=_once, parse_constant=_refused)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A name that stands twice would be read by one program so and by another otherwise."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"{_short(max(pairs, key=lambda pair: [name for name, _ in pairs].count(pair[0]))[0])} twice")
    return found


def _refused(word: str) -> float:
    raise ValueError(f"{word} is no number")


def _line(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _short(what: object) -> str:
    text = " ".join(str(what).split())
    return text if len(text) <= 120 else f"{text[:119]}…"
