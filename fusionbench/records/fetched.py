"""A tree of packed tables, or one of its files, from a URL: by the standard library, within limits, and checked.

A tree is read by its `index.json`, which states size and SHA-256 of every file. Nothing is read that is larger than it
says, and nothing is kept that is not what it says.
"""

from __future__ import annotations

import hashlib
import json
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fusionbench.core.errors import UserError
from fusionbench.records.packed import END
from fusionbench.records.tree import INDEX, checked_index

SCHEMES = ("http", "https", "file")
LARGEST_FILE, LARGEST_TREE, LARGEST_INDEX = 256 * 2**20, 2**30, 4 * 2**20
"""Bytes. A table of seventy strategies at six seeds has about 10 MB."""
WAIT_S = 60.0


def is_url(source: str) -> bool:
    """Whether a place is named by a URL.

    >>> [is_url(text) for text in ("https://a.org/b", "results", "file:///tmp/a", "ftp://a.org", "C:/results")]
    [True, False, True, True, False]
    """
    return "://" in source


def fetch_tree(url: str, folder: Path) -> None:
    """Fetch a packed file, or a whole tree, into an empty folder.

    Raises:
        UserError: another kind of URL, no answer, more than the limits, or not what the index says; nothing to mend.
    """
    scheme = urlsplit(url).scheme
    if scheme not in SCHEMES:
        raise UserError(f"{url}: a URL of {scheme}; give one of {', '.join(SCHEMES)}, or a folder")
    if urlsplit(url).path.endswith(END):
        (folder / f"table{END}").write_bytes(_fetched(url, LARGEST_FILE))
        return
    base = url.removesuffix(INDEX).rstrip("/")
    files = _index(f"{base}/{INDEX}")
    if (total := sum(one["bytes"] for one in files)) > LARGEST_TREE:
        raise UserError(f"{base}: {total / 2**20:,.0f} MB in all, over the limit of {LARGEST_TREE / 2**20:,.0f} MB")
    for one in files:
        path = folder / one["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_as_stated(f"{base}/{one['path']}", one))


def _index(url: str) -> list[dict[str, Any]]:
    content = _fetched(url, LARGEST_INDEX)
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{url}: no index of packed records ({' '.join(str(error).split())[:120]})") from error
    return checked_index(found, url)


def _as_stated(url: str, stated: dict[str, Any]) -> bytes:
    if stated["bytes"] > LARGEST_FILE:
        raise UserError(f"{url}: {stated['bytes'] / 2**20:,.0f} MB, over the limit of {LARGEST_FILE / 2**20:,.0f} MB")
    content = _fetched(url, stated["bytes"])
    if hashlib.sha256(content).hexdigest() != stated["sha256"]:
        raise UserError(f"{url}: not what {INDEX} says (SHA-256); it may be changing just now: try again")
    return content


def _fetched(url: str, limit: int) -> bytes:
    """The bytes behind a URL of a known kind, at most so many."""
    try:
        with urllib.request.urlopen(url, timeout=WAIT_S) as answer:  # noqa: S310  (the schemes were looked at)
            found = answer.read(limit + 1)
    except (HTTPException, OSError, ValueError) as error:  # URLError is an OSError, too.
        reason = getattr(error, "reason", None) or error
        code = f"{error.code} " if isinstance(error, urllib.error.HTTPError) else ""
        raise UserError(f"{url}: cannot be read: {code}{' '.join(str(reason).split())[:160]}") from error
    if len(found) > limit:
        raise UserError(f"{url}: more than the limit of {limit / 2**20:,.1f} MB here; nothing was read")
    return bytes(found)
