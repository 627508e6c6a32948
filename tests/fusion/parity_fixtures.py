"""Numbers that came from running authors' own files: tests/fusion/parity/<strategy>.npz, or <strategy>-<case>.npz.

Each file holds inputs, weights and outputs as arrays, and under "meta" a JSON object that says where they are from:

    repository   "owner/name"            commit   40 hex digits        path      of the file that was run
    licence      of that file            made     what was run on what, in a sentence

The authors' file itself is not here. `save` writes one, `parity` reads one; both hold it to 20 kB.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).parent / "parity"
MOST_BYTES = 20_000
FACTS = ("repository", "commit", "path", "licence", "made")


@dataclass(frozen=True)
class Parity:
    """One file's content."""

    facts: dict[str, str]
    arrays: dict[str, Tensor]

    def __getitem__(self, name: str) -> Tensor:
        return self.arrays[name]

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The arrays whose names begin with `prefix.`, without it: a state_dict, say."""
        start = f"{prefix}."
        return {name.removeprefix(start): value for name, value in self.arrays.items() if name.startswith(start)}


def parity(name: str) -> Parity:
    """The fixture of that name.

    Raises:
        AssertionError: it is larger than 20 kB, or does not say where its numbers are from.
    """
    path = FOLDER / f"{name}.npz"
    assert path.stat().st_size <= MOST_BYTES, f"{path.name} has more than {MOST_BYTES} bytes"
    with np.load(path, allow_pickle=False) as found:
        facts = json.loads(str(found["meta"]))
        arrays = {key: torch.from_numpy(found[key]) for key in found.files if key != "meta"}
    _check(facts)
    return Parity(facts, arrays)


def save(name: str, facts: dict[str, str], arrays: dict[str, Any]) -> Path:
    """Write a fixture; float64 becomes float32."""
    _check(facts)
    plain = {key: np.asarray(value.detach() if isinstance(value, Tensor) else value) for key, value in arrays.items()}
    small = {key: value.astype(np.float32) if value.dtype == np.float64 else value for key, value in plain.items()}
    path = FOLDER / f"{name}.npz"
    np.savez_compressed(path, allow_pickle=False, meta=np.array(json.dumps(facts)), **small)
    assert path.stat().st_size <= MOST_BYTES, f"{path.name} has more than {MOST_BYTES} bytes: take smaller widths"
    return path


def _check(facts: dict[str, str]) -> None:
    assert set(facts) == set(FACTS), f"its meta has to hold {FACTS}"
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", facts["repository"])
    assert re.fullmatch(r"[0-9a-f]{40}", facts["commit"])
    assert all(len(facts[name]) > 2 for name in FACTS)
