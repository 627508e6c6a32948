"""A run made ready: its data and its model as training finds them, the same whenever it is done again."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from fusionbench.bench.artefacts import load_pretrained
from fusionbench.bench.build import Fixed, build, fixed_for
from fusionbench.bench.encodings import encoded_data
from fusionbench.bench.jobs import Place
from fusionbench.bench.trunks import Trunks, through_trunks
from fusionbench.bench.tuning import Chosen, chosen_by_trials
from fusionbench.data.base import MultimodalData
from fusionbench.fusion.base import FusionModule
from fusionbench.plan.suite import RunSpec
from fusionbench.records.store import Store


@dataclass(frozen=True)
class Ready:
    """What is trained, and what on."""

    fixed: Fixed
    chosen: Chosen
    """By trials; the budget that it trains under."""
    module: FusionModule
    data: MultimodalData
    pretrained: dict[str, dict[str, Any]]
    """By modality, what a record says of an encoder that was trained beforehand."""

    @property
    def options(self) -> dict[str, Any]:
        """As a record states them."""
        pretrained = {"pretrained": self.pretrained} if self.pretrained else {}
        return self.fixed.options | dict(self.chosen.facts) | pretrained


def made_ready(run: RunSpec, data: MultimodalData, place: Place, store: Store) -> Ready:
    """The model of a run, with encoders that were trained beforehand; those that were not yet are trained now.

    Args:
        run: any.
        data: as `training_data` gives them.
        place: where the work happens.
        store: has the records of its trials.

    Raises:
        Unsuitable: the strategy cannot be used here.
        UserError: a trial has no record, or an encoder's file is damaged.
    """
    fixed = fixed_for(run, data.asked)
    chosen = chosen_by_trials(run, store)
    module = build(run, chosen.applied(fixed.setting))
    trunks = Trunks() if place.stored_encodings else None
    return Ready(fixed, chosen, module, data, load_pretrained(module, run, data, place.data, trunks))


def seen(place: Place, run: RunSpec, ready: Ready) -> AbstractContextManager[MultimodalData]:
    """What the model trains on and is tested with: encodings, what frozen trunks give, or the data as they are."""
    if place.stores(run):
        return nullcontext(encoded_data(run, ready.module, ready.data))
    if place.stored_encodings and run.is_frozen:
        return through_trunks(run, ready.module, ready.data)
    return nullcontext(ready.data)
