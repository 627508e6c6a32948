"""Runs to W&B, made from nothing but what lies under the results folder; what fails here loses nothing.

Every run is written as W&B's own files first, then these are sent, several at a time, and removed once the server has
them. So a push that is cut off, without a key or a network leaves whole files; the same call goes on with them.

<results>/<suite>/<dataset>/<strategy>/<key>.wandb  where what was sent of a record
<results>/<suite>/wandb/                            W&B's own files; $WANDB_DIR/wandb in its place if that is set
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fusionbench.core.errors import UserError
from fusionbench.core.locks import locked
from fusionbench.plan.suite import RunSpec, Suite
from fusionbench.publish.mirror import Mirror, mirror
from fusionbench.publish.offline import clear, files_root, folders, own_words, write
from fusionbench.publish.places import Target, account, note_sent, sent_before
from fusionbench.publish.uploads import upload
from fusionbench.records.store import WANDB, Store

WAIT_S = 60
"""For another push on the same results folder."""
BATCH = 64
"""Runs in one call of W&B; a push that is killed sends so many again at most."""
RUN_S, BUNDLE_S = 60.0, 600.0
"""Without a word from W&B after which it is ended: for runs, and where a folder of results is among them."""
ANSWER_S = 10
"""For the server to say whose the key is, unless $WANDB_HTTP_TIMEOUT says otherwise."""

Told = Callable[[int, int], None]
"""So many of so many runs are there."""
Contents = Mapping[Path, Mirror]
"""What is to be there, by the file that says what was sent of it."""


@dataclass(frozen=True)
class Pushed:
    """What one push came to, in runs."""

    sent: int
    already: int
    """Sent before, just as they are."""
    missing: int = 0
    """Without a record."""


def push(suite: Suite, store: Store, runs: Sequence[RunSpec], target: Target, told: Told = lambda *_: None) -> Pushed:
    """Send of these runs' records, whatever their status, what was not sent yet.

    Raises:
        UserError: as `send`.
    """
    contents = record_runs(suite, store, runs)
    pushed = send(store, contents, target, told) if contents else Pushed(0, 0)
    return Pushed(pushed.sent, pushed.already, len(runs) - len(contents))


def record_runs(suite: Suite, store: Store, runs: Sequence[RunSpec]) -> dict[Path, Mirror]:
    """What the records of these runs come to."""
    records = [record for run in runs if (record := store.read(run)) is not None]
    return {store.path(record.run, f".{WANDB}"): mirror(suite, store, record) for record in records}


def send(store: Store, contents: Contents, target: Target, told: Told = lambda *_: None) -> Pushed:
    """Send what was not sent yet.

    Raises:
        UserError: no key, no network, the server refuses, or another push holds the folder; says how many runs were
            sent, and where the others are kept. The records are as they were.
    """
    there = folders(files_root(store))
    if target.mode == "offline" and all(_is_written(path, one, target, there) for path, one in contents.items()):
        return Pushed(0, len(contents))  # Without W&B, whose import takes a second.
    with alone(store), set_up(store, target):
        return (_written if target.mode == "offline" else sent_to_server)(store, contents, target, told)


@contextmanager
def set_up(store: Store, target: Target) -> Iterator[None]:
    """W&B ready; what it raises is an error for the user."""
    with own_words():
        import wandb

        files_root(store).mkdir(parents=True, exist_ok=True)  # W&B would take the temporary folder instead.
        wandb.setup(wandb.Settings(mode=target.mode, silent=True))
        try:
            yield
        except UserError:
            raise
        # wandb has no one class for what it raises, and whatever it is, the records are safe.
        except Exception as error:
            raise UserError(f"W&B: {one_line(error)}") from error
        finally:
            wandb.teardown()


def one_line(error: Exception) -> str:
    """What W&B says of it, or the kind of error where it says nothing."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


@contextmanager
def alone(store: Store) -> Iterator[None]:
    """One push at a time in a results folder.

    Raises:
        UserError: another holds it, or it cannot be written.
    """
    folder = store.root / WANDB
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / "push.lock", WAIT_S):
            yield
    except TimeoutError as error:
        raise UserError(f"W&B: another push has been at work in {folder} for {WAIT_S} s") from error
    except OSError as error:
        raise UserError(f"W&B: {error.strerror}: {error.filename or folder}") from error


def _is_written(marker: Path, content: Mirror, target: Target, there: Collection[str]) -> bool:
    """Whether exactly this lies there as files, or is on a server: what is online need not be written too."""
    places, anywhere = sent_before(marker), target.place("")
    if any(digest == content.digest and place.endswith(anywhere) for place, digest in places.items()):
        return True
    return _is_kept(marker, content, target, there)


def _is_kept(marker: Path, content: Mirror, target: Target, there: Collection[str]) -> bool:
    """Whether exactly this lies there as files."""
    return sent_before(marker).get(target.files) == content.digest and content.id in there


def _written(store: Store, contents: Contents, target: Target, told: Told) -> Pushed:
    """What is not there yet, as files."""
    there = folders(files_root(store))
    todo = {path: one for path, one in contents.items() if not _is_written(path, one, target, there)}
    for number, _ in enumerate(_as_files(store, todo, target), 1):
        told(number, len(todo))
    return Pushed(len(todo), len(contents) - len(todo))


def _as_files(store: Store, todo: Contents, target: Target) -> Iterator[Path]:
    """The folder of each run, written now or before."""
    root = files_root(store)
    there = folders(root)
    for path, content in todo.items():
        if _is_kept(path, content, target, there):
            yield there[content.id]
            continue
        folder = write(root, content, target)
        note_sent(path, target.files, content.digest)
        yield folder


def sent_to_server(store: Store, contents: Contents, target: Target, told: Told = lambda *_: None) -> Pushed:
    """What is not there yet, to the server: as files first, which stay where the server does not take them.

    W&B is set up, and no other push holds the folder.

    Raises:
        UserError: as `send`.
    """
    import wandb

    has_key = bool(wandb.login(prompt=False, verify=False))
    place = target.place(account_here()) if has_key else ""
    todo = {path: one for path, one in contents.items() if sent_before(path).get(place) != one.digest}
    kept = dict(zip(_as_files(store, todo, target), todo.items(), strict=True))
    count, why = 0, _refusal(has_key=has_key) if todo else ""
    for batch in () if why else _batches(list(kept)):
        done = upload(batch, BUNDLE_S if any(kept[folder][1].bundle for folder in batch) else RUN_S)
        for folder in done.whole:
            path, content = kept[folder]
            note_sent(path, place, content.digest)
            clear(files_root(store), content.id)  # The server has it: a copy here would only be older one day.
        count, why = count + len(done.whole), why or done.why
        told(count, len(todo))
        if not done.whole:
            break  # The others would fare no better.
    if why:
        left = f"{len(todo) - count} kept as files in {files_root(store) / WANDB}"
        raise UserError(f"W&B: {why} ({count} of {len(todo)} runs sent, {left})")
    return Pushed(count, len(contents) - len(todo))


def account_here() -> str:
    """The account whose key W&B has found, being set up."""
    import wandb

    known = wandb.setup().settings
    return account(known.base_url, known.api_key or known.identity_token_file or "")


def _refusal(*, has_key: bool) -> str:
    """Why nothing can be sent; empty if the server answers and knows the key."""
    import wandb

    if not has_key:
        return "no API key; set WANDB_API_KEY or call `wandb login`"
    patience_s, began = int(os.environ.get("WANDB_HTTP_TIMEOUT", ANSWER_S)), time.monotonic()
    try:
        wandb.Api(timeout=patience_s)  # Asks whose the key is.
    except Exception as error:  # noqa: BLE001  (wandb has no one class for what it raises)
        server = wandb.setup().settings.base_url
        is_silent = time.monotonic() - began >= patience_s
        return f"no answer from {server} in {patience_s} s" if is_silent else one_line(error)
    return ""


def _batches(found: Sequence[Path]) -> Iterator[Sequence[Path]]:
    return (found[start : start + BATCH] for start in range(0, len(found), BATCH))
