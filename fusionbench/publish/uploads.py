"""Offline runs to a server, several at once: W&B's own `wandb sync`, watched.

A run is there when W&B has put `.wandb.synced` beside its file and has named no error of it: an upload that the server
refuses halfway is "synced" too.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

AT_ONCE = 8
"""Runs."""
GRACE_S = 5.0
_ERROR = re.compile(r"ERROR (?:\[[^\]]*?(?P<id>[^/\]]+)\] )?(?P<why>.+)")


@dataclass(frozen=True)
class Uploaded:
    """What came of one call."""

    whole: frozenset[Path]
    """Folders of the runs that the server has now."""
    why: str
    """Why the others are not there, in one line; empty if all are."""


def upload(found: Sequence[Path], patience_s: float) -> Uploaded:
    """Send runs, the account's key being known to W&B.

    Args:
        found: folders of offline runs, not too many for one command line.
        patience_s: how long W&B, which tells of every part that it sends, may be silent.
    """
    for folder in found:
        for mark in folder.glob("*.synced"):
            mark.unlink()
    refused, why = set[str](), ""
    for line in _said(found, patience_s):
        if match := _ERROR.search(line):
            why = why or match["why"]
            refused.add(match["id"] or "")
    whole = {folder for folder in found if next(folder.glob("*.synced"), None) is not None}
    whole = {folder for folder in whole if not any(one and folder.name.endswith(f"-{one}") for one in refused)}
    return Uploaded(frozenset(whole), (why or "it sent nothing, and said no word") if len(whole) < len(found) else "")


def _said(found: Sequence[Path], patience_s: float) -> Iterator[str]:
    """The lines of W&B; one of ours where it went silent and was ended."""
    with tempfile.TemporaryDirectory() as own, _syncing(found, Path(own)) as process:
        lines: Queue[str | None] = Queue()
        Thread(target=_read, args=(process, lines), daemon=True).start()
        while True:
            try:
                line = lines.get(timeout=patience_s)
            except Empty:
                yield f"ERROR nothing went through in {patience_s:g} s"
                return
            if line is None:
                return
            yield line


@contextmanager
def _syncing(found: Sequence[Path], own: Path) -> Iterator[subprocess.Popen[str]]:
    """The command; its own logs go to a folder that is thrown away."""
    command = [
        sys.executable,
        "-P",
        "-m",
        "wandb",
        "sync",
        "-n",
        str(AT_ONCE),
        *(str(path.resolve()) for path in found),
    ]
    process = subprocess.Popen(  # noqa: S603  (our own interpreter, on folders that we have written)
        command,
        env={**os.environ, "WANDB_DIR": str(own)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _read(process: subprocess.Popen[str], lines: Queue[str | None]) -> None:
    assert process.stdout is not None
    with process.stdout as output:
        for line in output:
            lines.put(line.strip())
    lines.put(None)
