"""Strategies between layers, where an encoder's one layer is a frozen trunk: they begin with what is stored of it."""

from __future__ import annotations

import pytest
from small_suites import Bench
from test_stored_trunks import frozen, own_data


def test_a_strategy_between_layers_needs_no_live_trunk_and_scores_as_with_one(bench: Bench) -> None:
    found, rows = [], []
    for name, words in (("stored", ()), ("live", ("--no-stored-encodings",))):
        mine = own_data(bench, f"data_{name}")
        (mine.folder / "seen.txt").unlink(missing_ok=True)
        suite = frozen(mine, strategies=["concat", "channel_attention"], seeds=1, measures=[])
        assert mine.run(suite, *words, results=name) == 0
        found.append(mine.records(name))
        rows.append(sum(int(line.split()[1]) for line in (mine.folder / "seen.txt").read_text().splitlines()))
    stored, live = found
    assert set(stored) == set(live)
    for key, record in stored.items():
        assert record["status"] == "done"
        assert record["scores"]["test/nll"] == pytest.approx(live[key]["scores"]["test/nll"], abs=1e-5)
        assert record["curves"]["train/loss"] == pytest.approx(live[key]["curves"]["train/loss"], abs=1e-5)
    assert rows[0] == 2 * (
        640 + 2 * 64
    )  # Of two modalities all rows once, and 64 twice to tell how much room they take.
    assert rows[1] > 3 * rows[0]
