"""W&B: mirrors records, made from nothing but what lies under the results folder; what fails here loses nothing.

<results>/<suite>/<dataset>/<strategy>/<key>.wandb  what was sent of a record: its hash, the mode, the project
<results>/<suite>/wandb/                            W&B's own files; in mode "offline" one folder per run.
                                                    $WANDB_DIR/wandb in its place if that variable is set

A run's id is suite and key, and a run is sent whole: one that was cut off is sent again and replaces its first part.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from fusionbench.core.errors import UserError
from fusionbench.core.files import write_over
from fusionbench.core.locks import locked
from fusionbench.plan.suite import RunSpec, Suite
from fusionbench.publish.mirror import Mirror, mirror
from fusionbench.records.store import WANDB, Store

Mode = Literal["offline", "online"]
WAIT_S = 60
"""For another push on the same results folder."""
HEEDED = frozenset(
    f"WANDB_{name}"
    for name in (
        *("API_KEY", "IDENTITY_TOKEN_FILE", "CREDENTIALS_FILE", "USERNAME", "USER_EMAIL", "ENTITY"),
        *("BASE_URL", "APP_URL", "INSECURE_DISABLE_SSL", "HTTP_TIMEOUT", "FILE_PUSHER_TIMEOUT"),
        *("DIR", "CACHE_DIR", "CONFIG_DIR", "DATA_DIR", "ARTIFACT_DIR", "TAGS", "ERROR_REPORTING"),
    )
)
"""Variables that say whose account it is, which server, which folders and tags; all others are another run's."""
INIT_S, FINISH_S = 20, 60
"""For the server to take a run up, and to have all of it."""


@dataclass(frozen=True)
class Target:
    """Where runs are mirrored to."""

    mode: Mode
    project: str

    def has(self, marker: dict[str, Any], content: Mirror) -> bool:
        """Whether exactly this was sent there; what is online need not be written offline too."""
        same = marker.get("sha256") == content.digest and marker.get("project") == self.project
        return same and marker.get("mode") in (self.mode, "online")


@dataclass(frozen=True)
class Pushed:
    """What one push came to, in runs."""

    sent: int
    already: int
    """Sent before, just as they are."""
    missing: int
    """Without a record."""


def files_root(store: Store) -> Path:
    """The folder above W&B's own files: $WANDB_DIR if it is set, else the suite's results."""
    return Path(os.environ.get("WANDB_DIR") or store.root)


def push(suite: Suite, store: Store, runs: Sequence[RunSpec], target: Target) -> Pushed:
    """Send of these runs' records, whatever their status, what was not sent yet.

    Raises:
        UserError: no key, no network, the server refuses, or another push holds the folder; says how many runs were
            sent. The records are as they were.
    """
    records = [record for run in runs if (record := store.read(run)) is not None]
    if not records:
        return Pushed(0, 0, len(runs))
    with _alone(store.root / WANDB):
        mirrors = {store.path(record.run, f".{WANDB}"): mirror(suite, store, record) for record in records}
        todo = {path: content for path, content in mirrors.items() if not target.has(_marker(path), content)}
        sent = 0
        try:
            for path in _sending(store, todo, target):
                write_over(path, _text(todo[path], target))
                sent += 1
        # wandb has no one class for what it raises, and whatever it is, the records are safe.
        except Exception as error:
            why = str(error).strip().partition("\n")[0] or type(error).__name__
            raise UserError(f"W&B: {why} ({sent} of {len(todo)} runs sent)") from error
    return Pushed(sent, len(mirrors) - sent, len(runs) - len(records))


def _sending(store: Store, todo: dict[Path, Mirror], target: Target) -> Iterator[Path]:
    """Each marker's path once its run is sent."""
    if todo:
        with _own_words():
            yield from _all_sent(store, todo, target)


def _all_sent(store: Store, todo: dict[Path, Mirror], target: Target) -> Iterator[Path]:
    import wandb

    files_root(store).mkdir(parents=True, exist_ok=True)  # W&B would take the temporary folder instead.
    wandb.setup(wandb.Settings(mode=target.mode, silent=True))
    try:
        if target.mode == "online" and not wandb.login(prompt=False, verify=False):
            raise UserError("no API key; set WANDB_API_KEY or call `wandb login`")
        for path, content in todo.items():
            _send(files_root(store), content, target)
            yield path
    finally:
        wandb.teardown()


@contextmanager
def _own_words() -> Iterator[None]:
    """Only what says whose account, where, with which tags: else a sweep or run around us would be what we send."""
    hidden = {name: os.environ.pop(name) for name in tuple(os.environ) if _is_anothers(name)}
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # Its own telemetry complains on the terminal.
    try:
        yield
    finally:
        os.environ.update(hidden)


def _is_anothers(name: str) -> bool:
    return name.startswith(("WANDB", "_WANDB")) and name not in HEEDED


def _send(root: Path, content: Mirror, target: Target) -> None:
    import wandb

    mine = "offline-run" if target.mode == "offline" else "run"
    _clear(root, content, mine)  # Of a push that was cut off, or of an older state of the record.
    tags = [tag.strip() for tag in os.environ.get("WANDB_TAGS", "").split(",")]
    run = wandb.init(
        project=target.project,
        id=content.id,
        group=content.group,
        job_type=content.job_type,
        name=content.name,
        tags=tuple(dict.fromkeys((*content.tags, *filter(None, tags)))),
        config=content.config,
        reinit="create_new",
        settings=_settings(root, content.host, target.mode),
    )
    for epoch, row in enumerate(content.curves, 1):
        # Committed at once: a row that waits for the next would come after the summary, and change it.
        run.log(row, step=epoch, commit=True)
    run.summary.update(content.summary)
    run.finish(exit_code=int(content.is_failure))
    if target.mode == "online":
        _check(Path(run.settings.log_internal))
        # The server has it: a copy here would only be older one day.
        _clear(root, content, "run")
        _clear(root, content, "offline-run")


def _check(log: Path) -> None:
    """An upload that the server refused ends like any other: only W&B's own log says so."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    for line in lines:
        before, fatal, why = str(json.loads(line).get("msg")).partition("fatal error: ")
        if fatal:
            raise ConnectionError(why or before)


def _settings(root: Path, host: str, mode: Mode) -> Any:
    """Nothing on the terminal, nothing about the machine but what the record says, no wait without end."""
    import wandb

    return wandb.Settings(
        mode=mode,
        root_dir=str(root),
        host=host,
        silent=True,
        console="off",
        symlink=False,
        save_code=False,
        sagemaker_disable=True,
        disable_code=True,
        disable_git=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
        init_timeout=INIT_S,
        finish_timeout=FINISH_S,
        finish_timeout_raises=True,
    )


def _clear(root: Path, content: Mirror, kind: str) -> None:
    for folder in (root / WANDB).glob(f"{kind}-*-{content.id}"):
        shutil.rmtree(folder)


def _marker(path: Path) -> dict[str, Any]:
    """What was sent; empty if nothing was, or if nobody can say."""
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(content: Mirror, target: Target) -> bytes:
    facts = {
        "id": content.id,
        "mode": target.mode,
        "project": target.project,
        "sha256": content.digest,
        "sent": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
    return (json.dumps(facts, sort_keys=True, indent=1) + "\n").encode()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One push at a time in a results folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / "push.lock", WAIT_S):
            yield
    except TimeoutError as error:
        raise UserError(f"W&B: another push has been at work in {folder} for {WAIT_S} s") from error
    except OSError as error:
        raise UserError(f"W&B: {error.strerror}: {error.filename or folder}") from error
