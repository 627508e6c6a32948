"""Converted data on a node's local disk: copied once, whatever else the data folder holds is reached by links."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from fusionbench.core.errors import UserError
from fusionbench.core.locks import locked
from fusionbench.data.store import MANIFEST, PREPARED, existing, read_manifest

PATIENCE_S = 3600.0
"""How long one job waits for another that copies the same."""


def staged(root: Path, folder: Path, fingerprints: Iterable[str]) -> Path:
    """A data folder below `folder` in which the converted data of these fingerprints are local copies.

    Jobs of one node share it. A copy is made anew where the one there is of other data.

    Args:
        root: the data folder that all nodes see.
        folder: on the local disk.
        fingerprints: of the data sets to copy.

    Raises:
        UserError: the folder cannot be written, or has no room.
    """
    name = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:12]
    local = folder / f"fusionbench-{os.getuid()}-{name}"
    try:
        (local / PREPARED).mkdir(parents=True, exist_ok=True)
        with locked(local / ".lock", PATIENCE_S):
            _stage(root, local, frozenset(fingerprints))
    except (OSError, TimeoutError) as error:
        free = shutil.disk_usage(existing(folder)).free / 2**30
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"--stage {folder}: {reason} ({free:.1f} GiB free on this node); name another folder, or leave it out"
        ) from error
    return local


def _stage(root: Path, local: Path, fingerprints: frozenset[str]) -> None:
    for path in root.iterdir():
        if path.name != PREPARED:
            _link(local / path.name, path)
    for manifest in sorted((root / PREPARED).glob(f"*/{MANIFEST}")):
        there = local / PREPARED / manifest.parent.name
        if _is_of(manifest.parent, fingerprints):
            _copy(manifest.parent, there)
        elif not (there / MANIFEST).is_file():
            _link(there, manifest.parent)


def _is_of(folder: Path, fingerprints: frozenset[str]) -> bool:
    try:
        return read_manifest(folder)["fingerprint"] in fingerprints
    except UserError:  # A damaged one is told where it is read.
        return False


def _link(link: Path, target: Path) -> None:
    if not link.is_symlink() or link.readlink() != target.absolute():
        shutil.rmtree(link) if link.is_dir() and not link.is_symlink() else link.unlink(missing_ok=True)
        link.symlink_to(target.absolute())


def _copy(source: Path, target: Path) -> None:
    """Whole or not there: the manifest comes last, and is what says that a folder is whole."""
    manifest = source / MANIFEST
    if (target / MANIFEST).is_file() and (target / MANIFEST).read_bytes() == manifest.read_bytes():
        return
    target.unlink() if target.is_symlink() else shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    size = sum(path.stat().st_size for path in source.iterdir())
    if size > shutil.disk_usage(target).free:
        raise OSError(f"{source.name} has {size / 2**30:.1f} GiB")
    for path in source.iterdir():
        if path != manifest:
            shutil.copyfile(path, target / path.name)
    shutil.copyfile(manifest, target / MANIFEST)
