"""Reads W&B's offline files back: LevelDB's log format around protocol buffers, written down from their documentation.

A file is a header of 7 bytes, then blocks of 32 KiB; a piece is CRC (4 bytes), length (2), type (1: whole, 2, 3, 4:
first, middle, last), content; fewer than 7 bytes at a block's end are padding.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

HEADER, BLOCK, WHOLE, LAST = 7, 32768, 1, 4


@dataclass
class Read:
    """One run as W&B would show it."""

    id: str = ""
    project: str = ""
    group: str = ""
    job_type: str = ""
    name: str = ""
    host: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    """Per step, without what W&B adds; `_step` is kept."""
    summary: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    """None: never finished."""


def read_all(folder: Path) -> dict[str, list[Read]]:
    """Every offline run below a folder, by its id; twice sent is twice in the list."""
    found: dict[str, list[Read]] = {}
    for path in sorted(folder.glob("offline-run-*/*.wandb")):
        run = read(path)
        found.setdefault(run.id, []).append(run)
    return found


def read(path: Path) -> Read:
    """One file, its updates applied in their order."""
    run = Read()
    for content in _pieces(path.read_bytes()):
        record = wandb_internal_pb2.Record()  # type: ignore[attr-defined]  # protobuf makes its classes on import
        record.ParseFromString(content)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            _begin(run, record.run)
        elif kind == "history":
            row = _values(record.history.item)
            run.history.append({name: row[name] for name in row if name == "_step" or not name.startswith("_")})
        elif kind == "summary":
            run.summary.update(_values(record.summary.update))
        elif kind == "exit":
            run.exit_code = record.exit.exit_code
    return run


def _begin(run: Read, sent: Any) -> None:
    run.id, run.project, run.group, run.job_type = sent.run_id, sent.project, sent.run_group, sent.job_type
    run.name, run.host, run.tags = sent.display_name, sent.host, list(sent.tags)
    run.config = {name: value for name, value in _values(sent.config.update).items() if name != "_wandb"}


def _values(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def _pieces(content: bytes) -> Iterator[bytes]:
    at, whole = HEADER, b""
    while at + HEADER <= len(content):
        left = BLOCK - at % BLOCK
        if left < HEADER:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + HEADER])
        whole += content[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in (WHOLE, LAST):
            yield whole
            whole = b""
