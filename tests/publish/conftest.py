"""Published records, and a W&B that knows nothing of this machine's account."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from published_suite import Published, published


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Published:
    """A fresh folder with a suite and its records, as the working directory; no key, no settings."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return published(tmp_path)
