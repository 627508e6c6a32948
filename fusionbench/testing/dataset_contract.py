"""The checks of a dataset, on its own data."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

from fusionbench.core.catalogue import Plugin, checked_options, describe, load, with_later
from fusionbench.data.base import MultimodalData
from fusionbench.testing import datasets
from fusionbench.testing.contract import Check
from fusionbench.testing.datasets import SEEDS, ready


def dataset_checks(name: str, root: Path | None, options: dict[str, Any]) -> Iterator[Check]:
    """What a dataset has to keep.

    Raises:
        UserError: an option that it does not have, or that has no default and is not given.
    """
    plugin = describe("dataset", name)
    given = with_later(
        "dataset", name, checked_options(plugin, options, lambda *part: ".".join(map(str, ("--option", *part))))
    )
    load("dataset", name)
    made = cache(partial(ready, name, root, given))
    first, other = SEEDS

    def data() -> MultimodalData:
        return made(first)

    d = datasets
    yield Check("its source says what it is, its modalities, licence and home", partial(_stated, plugin))
    yield Check("it is converted, and is what its task says", lambda: _is_there(data()))
    yield Check("converted anew, its arrays are the same", lambda: d.check_conversion(data()))
    yield Check("test rows are its own, whatever the seed", lambda: d.check_split(data(), made(other)))
    yield Check("a batch has the rows that are asked for", lambda: d.check_batches(data()))
    yield Check("an epoch meets each training row once at most", lambda: d.check_training_batches(data()))
    yield Check("a suite plans it without importing it", lambda: d.check_plan(name, data(), options))
    yield Check("a strategy trains on it", lambda: d.check_training(name, data(), options))


def _is_there(data: MultimodalData) -> None:
    assert data.fingerprint, "it has no fingerprint"


def _stated(plugin: Plugin) -> None:
    assert plugin.summary, "it has no docstring; the first sentence says what it is"
    assert plugin.facts.get("views") or plugin.facts.get("modalities_from"), "it states no views as a literal"
    for fact in ("licence", "home"):
        assert plugin.facts.get(fact), f"it states no {fact}"
