"""The weights of a run, where a suite keeps them: beside its record, for measures that are asked for later.

<key>.weights.safetensors    the tensors; no code is run by reading it
<key>.weights.json           SHA-256 of it, and the test scores that its model had

They are in no git, and never an edit of the record. What lies there is not trusted: the hash has to be that of the
file, and whoever loads it looks at names, shapes and types.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from fusionbench.core.errors import UserError
from fusionbench.core.files import write_beside
from fusionbench.plan.suite import RunSpec
from fusionbench.records.reading import facts_at
from fusionbench.records.record import RESULTS_VERSION, SCHEMA, InvalidRecord
from fusionbench.records.store import TENSORS, Store

FACTS = ".weights.json"
PIECE = 2**22


def publish_weights(store: Store, run: RunSpec, content: bytes, scores: Mapping[str, float]) -> None:
    """Write the weights of a run, before its record."""
    facts = {
        "schema": SCHEMA,
        "results_version": RESULTS_VERSION,
        "key": run.key,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "scores": dict(scores),
    }
    write_beside(store.path(run, TENSORS), content)
    text = json.dumps(facts, sort_keys=True, indent=1, allow_nan=False) + "\n"
    write_beside(store.path(run, FACTS), text.encode())


def has_weights(store: Store, run: RunSpec) -> bool:
    """Whether some lie there, good or bad."""
    return store.path(run, TENSORS).exists() or store.path(run, FACTS).exists()


def checked_weights(store: Store, run: RunSpec) -> Path | None:
    """Where the weights of a run lie; None if there are none.

    Raises:
        UserError: one of the two files is missing, they do not belong together, or are of another version.
    """
    if not has_weights(store, run):
        return None
    path, beside = store.path(run, TENSORS), store.path(run, FACTS)
    way = f"remove {path.name} and {beside.name}, and the run is trained again"
    for one in (path, beside):
        if not one.exists():
            raise UserError(f"{one}: is missing; {way}")
    try:
        facts = facts_at(beside, run.key)
    except InvalidRecord as error:
        raise UserError(f"{beside}: {error}; {way}") from error
    if facts.get("results_version") != RESULTS_VERSION:
        version = facts.get("results_version")
        raise UserError(f"{beside}: of results version {version}, this fusionbench makes {RESULTS_VERSION}; {way}")
    if _sha256_of(path) != facts.get("sha256"):
        raise UserError(f"{path}: damaged, its SHA-256 is not the one that {beside.name} states; {way}")
    return path


def _sha256_of(path: Path) -> str:
    total = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                total.update(piece)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    return total.hexdigest()
