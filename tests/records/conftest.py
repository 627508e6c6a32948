"""Records without training."""

from __future__ import annotations

from pathlib import Path

import pytest

from fusionbench.records.record import Record, from_text


@pytest.fixture
def record() -> Record:
    """The golden record: a done run of `unimodal` on digits."""
    return from_text(Path(__file__).with_name("golden_record.json").read_bytes())
