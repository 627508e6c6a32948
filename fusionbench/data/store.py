"""Arrays converted once: a folder of .npy files with a manifest, written whole or not at all, mapped by every run.

    <root>/prepared/<dataset>-<12 hex of its options>/  *.npy  manifest.json

The fingerprint in the manifest is the SHA-256 of the contents (names, types, shapes, bytes), so it is the same for a
download and a local folder, and on every machine.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionbench.core.canonical import short_key
from fusionbench.core.errors import UserError
from fusionbench.core.files import REFUSED, flush, is_hidden, move_folder, open_to_others, write_over
from fusionbench.core.locks import locked

Array = NDArray[Any]
MANIFEST, PREPARED = "manifest.json", "prepared"
PATIENCE_S = 6 * 3600
"""How long one runner waits for another that converts the same data."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, None)
"""No room left; numpy raises an OSError without a number when only part of an array could be written."""
CLOSED = (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST)
"""A file or folder that cannot be read or written, or a file where a folder should be."""
BROKEN = (OSError, ValueError, EOFError, SyntaxError, TokenError, OverflowError, RecursionError, MemoryError, TypeError)
"""What numpy raises for a file that is cut short or has a damaged header."""


def data_root(root: Path | str | None = None) -> Path:
    """The data folder: the one given, else $FUSIONBENCH_DATA, else ~/.cache/fusionbench.

    Raises:
        UserError: it lies in a home folder, and there is none.
    """
    given = root or os.environ.get("FUSIONBENCH_DATA") or "~/.cache/fusionbench"
    try:
        return Path(given).expanduser()
    except RuntimeError as error:
        raise UserError(f"{given}: no home folder is known here; name the data folder with --data") from error


def prepared(
    root: Path, name: str, identity: Any, origin: Any, convert: Callable[[Path], None], kind: str = PREPARED
) -> Path:
    """The folder of converted arrays; converts when it is not there or was made from other files.

    Args:
        root: the data folder.
        name: the dataset's.
        identity: what decides the arrays (options): JSON, hashed into the folder's name.
        origin: what they are made from (names, sizes and times of files): a change converts anew. None: keep.
        convert: writes .npy files into the folder it is given.
        kind: the folder below the data folder that they stand in.

    Raises:
        UserError: the folder cannot be written, the disk is full, or convert says so.
    """
    folder = prepared_folder(root, name, identity, kind)
    try:
        if _is_current(folder, origin):
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(f"{folder}.lock", PATIENCE_S):
            if not _is_current(folder, origin):
                _write(folder, name, origin, convert)
    except TimeoutError as error:
        raise UserError(f"{folder}: another process has been converting for hours: {error}") from error
    except OSError as error:
        raise _told(error, root, folder, name) from error
    return folder


def _told(error: OSError, root: Path, folder: Path, name: str) -> Exception:
    """A fault of the disk in the user's words; any other fault as it is."""
    place, reason = error.filename or folder, error.strerror or str(error)
    if error.errno in FULL:
        free = shutil.disk_usage(existing(root)).free // 2**20
        way = f"({free} MiB free); make room or name another data folder with --data"
        return UserError(f"{place}: {reason} while converting {name} {way}")
    if error.errno in CLOSED:
        return UserError(f"{place}: {reason} while converting {name}; make it accessible or name another with --data")
    return error


def prepared_folder(root: Path, name: str, identity: Any, kind: str = PREPARED) -> Path:
    """Where the converted arrays are, or will be."""
    return root / kind / f"{name}-{short_key(identity)}"


def is_prepared(root: Path, name: str, identity: Any, origin: Any) -> bool:
    """Whether `prepared` would find them as they should be, and convert nothing."""
    return _is_current(prepared_folder(root, name, identity), origin)


def remove(folder: Path) -> None:
    """Take a prepared folder away; what is open stays readable to those who have it open."""
    with suppress(OSError), locked(f"{folder}.lock", PATIENCE_S):
        (folder / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a prepared folder: fingerprint, origin, arrays.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        manifest = dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
        return manifest | {"fingerprint": str(manifest["fingerprint"]), "arrays": dict(manifest["arrays"])}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{folder / MANIFEST}: damaged ({error}); remove the folder, it is made again") from error


def not_finite(folder: Path) -> dict[str, list[int]]:
    """By name of an array of a prepared folder, which of its rows hold NaN or infinity: found when it was converted."""
    manifest = read_manifest(folder)
    if "not_finite" not in manifest:  # Converted by an older version: looked for once, and written down if we may.
        manifest["not_finite"] = rows_not_finite(open_arrays(folder))
        with suppress(OSError):
            write_over(folder / MANIFEST, _as_text(manifest).encode())
    return dict(manifest["not_finite"])


def open_arrays(folder: Path) -> dict[str, Array]:
    """The arrays of a prepared folder, memory-mapped and read-only, by file name without .npy.

    Raises:
        UserError: one is missing, or is not of the type and shape that the manifest states.
    """
    arrays: dict[str, Array] = {}
    for name, facts in read_manifest(folder)["arrays"].items():
        try:
            array = mapped(folder / f"{name}.npy")
        except BROKEN as error:
            raise UserError(f"{folder / name}.npy: damaged ({error}); remove the folder, it is made again") from error
        if [str(array.dtype), list(array.shape)] != facts:
            raise UserError(f"{folder / name}.npy: not as written; remove the folder {folder}, it is made again")
        arrays[name] = array
    return arrays


def fingerprint_of(arrays: dict[str, Array]) -> str:
    """SHA-256 over the arrays by name: type, shape and bytes (in C order)."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        total.update(json.dumps([name, str(array.dtype), list(array.shape)]).encode())
        for _, part in _pieces(array) if array.ndim else ((0, array),):
            total.update(np.ascontiguousarray(part).tobytes())
    return total.hexdigest()


def rows_not_finite(arrays: dict[str, Array]) -> dict[str, list[int]]:
    """By name of an array, which of its rows hold NaN or infinity; arrays without such a row are left out."""
    found = {}
    for name, array in arrays.items():
        if array.ndim and array.dtype.kind == "f":
            wrong = [
                start + np.flatnonzero(~np.isfinite(part).reshape(len(part), -1).all(1))
                for start, part in _pieces(array)
            ]
            found[name] = [int(row) for rows in wrong for row in rows]
    return {name: rows for name, rows in found.items() if rows}


def mapped(path: Path) -> Array:
    """The array of a file .npy without reading it; read whole where a file system cannot map files.

    Raises:
        one of BROKEN: it is no such file, is damaged, or cannot be read.
    """
    try:
        return np.lib.format.open_memmap(path, mode="r")  # np.load would open whatever begins like an archive.
    except OSError as error:
        if error.errno not in (*REFUSED, errno.ENODEV):
            raise
        with path.open("rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)


def _pieces(array: Array) -> Iterator[tuple[int, Array]]:
    """Rows in pieces of some megabytes, each with the number of its first row."""
    step = max(1, 2**24 // max(1, array[:1].nbytes))
    return ((start, array[start : start + step]) for start in range(0, len(array), step))


def _is_current(folder: Path, origin: Any) -> bool:
    if not (folder / MANIFEST).exists():
        return False
    return origin is None or read_manifest(folder).get("origin") == json.loads(json.dumps(origin))


def _write(folder: Path, name: str, origin: Any, convert: Callable[[Path], None]) -> None:
    for left in folder.parent.glob(f".{folder.name}.*"):  # Of a conversion that was killed; we hold the lock.
        shutil.rmtree(left, ignore_errors=True)
    part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    old = part.with_name(f"{part.name}.old")
    try:
        convert(part)
        paths = sorted(path for path in part.glob("*.npy") if not is_hidden(path.name))
        arrays = {path.stem: mapped(path) for path in paths}
        facts = {key: [str(array.dtype), list(array.shape)] for key, array in arrays.items()}
        manifest = {
            "name": name,
            "fingerprint": fingerprint_of(arrays),
            "origin": origin,
            "arrays": facts,
            "not_finite": rows_not_finite(arrays),
        }
        (part / MANIFEST).write_text(_as_text(manifest), encoding="utf-8")
        for path in part.iterdir():
            flush(path)
        open_to_others(part)  # mkdtemp makes it private; other users may share the data folder.
        if folder.exists():
            (folder / MANIFEST).unlink(missing_ok=True)  # From here on a kill leaves nothing that looks whole.
            with suppress(OSError):
                folder.rename(old)
            shutil.rmtree(folder, ignore_errors=True)
        move_folder(part, folder, MANIFEST)
        flush(folder.parent)
    finally:
        for left in (part, old):
            shutil.rmtree(left, ignore_errors=True)


def _as_text(manifest: dict[str, Any]) -> str:
    return json.dumps(manifest, indent=1, sort_keys=True) + "\n"


def existing(path: Path) -> Path:
    """The folder itself, or the nearest above it that is there."""
    return next(parent for parent in (path, *path.absolute().parents) if parent.exists())
