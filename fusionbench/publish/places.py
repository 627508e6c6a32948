"""Where runs are mirrored to, and what was sent there before: a file beside each record, so that nothing goes twice.

<results>/<suite>/<dataset>/<strategy>/<key>.wandb  {place: SHA-256 of what was sent there}

A place is an account on a server, an entity and a project; or files, for an entity and a project.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fusionbench.core.canonical import short_key
from fusionbench.core.files import write_over

Mode = Literal["offline", "online"]


@dataclass(frozen=True)
class Target:
    """What the user asked for."""

    mode: Mode
    project: str
    entity: str = ""
    """A user or team; empty: the account's own."""

    @property
    def files(self) -> str:
        """The place that files are meant for."""
        return f"files:{self.entity}/{self.project}"

    def place(self, account: str) -> str:
        """The place on a server."""
        return f"{account} {self.entity}/{self.project}"


def account(server: str, secret: str) -> str:
    """A server and who is known to it, without anybody being able to tell the secret from it.

    Args:
        server: its address.
        secret: the API key, or the file of the identity token; 12 hex digits of its hash are kept.
    """
    return f"{server} {short_key([server, secret])}"


def sent_before(marker: Path) -> dict[str, str]:
    """By place, the hash of what was sent there; empty if nothing was, or if nobody can say."""
    try:
        found = json.loads(marker.read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return {}
    places = found.get("sent") if isinstance(found, dict) else None
    return {str(place): str(digest) for place, digest in places.items()} if isinstance(places, dict) else {}


def note_sent(marker: Path, place: str, digest: str) -> None:
    """Remember that exactly this is there now."""
    facts = {"sent": {**sent_before(marker), place: digest}}
    write_over(marker, (json.dumps(facts, sort_keys=True, indent=1) + "\n").encode())
