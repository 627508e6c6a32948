"""A run as W&B's own files, written without a network: <root>/wandb/offline-run-<time>-<id>.

A run is written whole; one that was cut off, or is of an older state, gives way.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fusionbench.publish.mirror import Mirror
from fusionbench.publish.places import Mode, Target
from fusionbench.records.store import WANDB, Store

HEEDED = frozenset(
    f"WANDB_{name}"
    for name in (
        *("API_KEY", "IDENTITY_TOKEN_FILE", "CREDENTIALS_FILE", "USERNAME", "USER_EMAIL", "ENTITY"),
        *("BASE_URL", "APP_URL", "INSECURE_DISABLE_SSL", "HTTP_TIMEOUT", "FILE_PUSHER_TIMEOUT"),
        *("DIR", "CACHE_DIR", "CONFIG_DIR", "DATA_DIR", "ARTIFACT_DIR", "TAGS", "ERROR_REPORTING"),
    )
)
"""Variables that say whose account it is, which server, which folders and tags; all others are another run's."""
STAGING = "staging"
"""Below W&B's files: copies of tables, until they are sent."""


def files_root(store: Store) -> Path:
    """The folder above W&B's own files: $WANDB_DIR if it is set, else the suite's results."""
    return Path(os.environ.get("WANDB_DIR") or store.root)


@contextmanager
def own_words() -> Iterator[None]:
    """Only what says whose account, where, with which tags: else a sweep or run around us would be what we send."""
    hidden = {name: os.environ.pop(name) for name in tuple(os.environ) if _is_anothers(name)}
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # Its own telemetry complains on the terminal.
    try:
        yield
    finally:
        os.environ.update(hidden)


def folders(root: Path, kind: str = "offline-run") -> dict[str, Path]:
    """W&B's folders of one kind, "offline-run" or "run", by the run's id."""
    found = sorted((root / WANDB).glob(f"{kind}-*-*"))
    return {path.name.removeprefix(f"{kind}-").partition("-")[2]: path for path in found}


def write(root: Path, content: Mirror, target: Target) -> Path:
    """Write a run in the place of what is there of it; its folder."""
    import wandb

    clear(root, content.id)
    with _staging(root, content):
        run = wandb.init(
            project=target.project,
            entity=target.entity or None,
            id=content.id,
            group=content.group,
            job_type=content.job_type,
            name=content.name,
            tags=tags_of(content),
            config=content.config,
            reinit="create_new",
            settings=settings(root, content.host, "offline"),
        )
        for epoch, row in enumerate(content.curves, 1):
            # Committed at once: a row that waits for the next would come after the summary, and change it.
            run.log(row, step=epoch, commit=True)
        _add_tables(run, content)
        run.summary.update(content.summary)
        run.finish(exit_code=int(content.is_failure))
    return folders(root)[content.id]


def tags_of(content: Mirror) -> tuple[str, ...]:
    """Its own and those of $WANDB_TAGS, each once."""
    tags = [tag.strip() for tag in os.environ.get("WANDB_TAGS", "").split(",")]
    return tuple(dict.fromkeys((*content.tags, *filter(None, tags))))


def settings(root: Path, host: str, mode: Mode) -> Any:
    """Nothing on the terminal, and nothing about the machine but what the record says."""
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
    )


def clear(root: Path, run_id: str) -> None:
    """Remove what W&B keeps of a run here: of a push that was cut off, of a live run, of an older state."""
    for kind in ("offline-run", "run"):
        for folder in (root / WANDB).glob(f"{kind}-*-{run_id}"):
            shutil.rmtree(folder)
    staging = root / WANDB / STAGING
    shutil.rmtree(staging / run_id, ignore_errors=True)
    with suppress(OSError):
        staging.rmdir()  # The last one's.


def _is_anothers(name: str) -> bool:
    return name.startswith(("WANDB", "_WANDB")) and name not in HEEDED


def _add_tables(run: Any, content: Mirror) -> None:
    import wandb

    if content.tables:
        run.log(
            {key: wandb.Table(columns=[*table.columns], data=[*table.rows]) for key, table in content.tables.items()}
        )
    if content.bundle:
        artifact = wandb.Artifact(content.bundle.name, content.bundle.kind)
        for name in content.bundle.files:
            # In its place: W&B would else keep a second copy of all results in the user's home.
            artifact.add_file(str(content.bundle.root / name), name, policy="immutable", skip_cache=True)
        run.log_artifact(artifact)


@contextmanager
def _staging(root: Path, content: Mirror) -> Iterator[None]:
    """What W&B copies of tables lies beside the run, not in the user's home, unless the user has said where."""
    if not content.tables or "WANDB_DATA_DIR" in os.environ:
        yield
        return
    os.environ["WANDB_DATA_DIR"] = str(root / WANDB / STAGING / content.id)
    try:
        yield
    finally:
        del os.environ["WANDB_DATA_DIR"]
