"""From a run's spec to its data and its model: the same way for training, measuring and plain use."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from fusionbench.bench.matching import Match, by_head, by_option, default_target, matched, matched_own
from fusionbench.core.canonical import derived_seed
from fusionbench.core.catalogue import PluginKind, describe, load, with_later
from fusionbench.core.contents import refuse_other_content
from fusionbench.core.errors import UserError, unknown
from fusionbench.core.task import MetricName, TaskSpec
from fusionbench.data.base import MultimodalData
from fusionbench.data.halves import FUSION, keep_half
from fusionbench.fusion.base import FusionModule, Optimiser, Setting
from fusionbench.plan.suite import MATCHED_PARAMETERS, Choice, RunSpec
from fusionbench.plan.tracks import solves_own
from fusionbench.records.record import DataFacts


def dataset_of(run: RunSpec, root: Path | None) -> MultimodalData:
    """The run's dataset with its seed and batch size; nothing is read yet."""
    name, options = run.dataset.name, with_later("dataset", run.dataset.name, run.dataset.options)
    made: MultimodalData = load("dataset", name)(root, run.seed, run.budget.batch_size, **options)
    made.ranked_by = cast(MetricName, run.dataset.metric) or None
    made.train_missing = dict(run.dataset.train_missing)
    return made


def training_data(run: RunSpec, root: Path | None) -> MultimodalData:
    """The run's dataset, ready to train on: with the rows that are the fusion's, not augmented if no encoder learns.

    Raises:
        UserError: the data are missing or wrong, or cannot be cut into halves where encoders have one.
    """
    data = dataset_of(run, root)
    data.prepare_data()
    data.setup()
    if run.trains_on_other_half:
        keep_half(data, FUSION)
    data.augments = not run.is_frozen
    return data


def refuse_changed(runs: Iterable[RunSpec]) -> None:
    """Own plug-ins and files that options name must be those that were planned: else others train under an old key.

    Raises:
        UserError: a file was edited since, or is not there.
    """
    for run in runs:
        parts: list[tuple[PluginKind, Choice]] = [("dataset", run.dataset), ("strategy", run.strategy)]
        for kind, choice in (*parts, *(("encoder", encoder) for encoder in run.encoders.values())):
            if choice.source and describe(kind, choice.name).source != choice.source:
                raise UserError(
                    f"{kind} '{choice.name}': its file, or one that it imports, has changed since this command began; "
                    "the same command goes on with it as it is now"
                )
            for option, sha256 in choice.files.items():
                refuse_other_content(choice.options[option], sha256, f"{kind} '{choice.name}'")


class Unsuitable(Exception):
    """A strategy cannot be used here, or not in this track: the message says why, in words a user understands."""


@dataclass(frozen=True)
class Fixed:
    """What the runner fixes for a run, and how it came to the width of the head, or of the strategy itself."""

    setting: Setting
    match: Match | None = None
    """Where the track matches parameters."""

    @property
    def options(self) -> dict[str, Any]:
        """As a record states it; of a match the target, what was reached, and what could be."""
        found: dict[str, Any] = {"width": self.setting.width, "head_width": self.setting.head_width}
        if self.match is not None:
            found["target_parameters"] = self.match.target
            found["fusion_parameters"] = self.match.parameters
            found["reachable_parameters"] = list(self.match.reachable)
            if self.setting.solved:
                found["solved"] = dict(self.setting.solved)
        return found


def fixed_for(run: RunSpec, task: TaskSpec) -> Fixed:
    """What the runner fixes for a run: heads are as wide as the encodings, or they or it as the track's target asks.

    Raises:
        Unsuitable: the strategy cannot be used here, not reach the target, or has no width that the track solves for.
    """
    setting = _setting(run, task)
    reason = load("strategy", run.strategy.name).refusal(setting)
    if reason:
        raise Unsuitable(reason)
    if run.track.name != MATCHED_PARAMETERS or has_no_head(run):
        return Fixed(setting)
    found = _matched(run, setting, run.track.options["target"] or default_target(setting))
    if found.problem:
        raise Unsuitable(found.problem)
    return Fixed(found.applied(setting), found)


def setting_for(run: RunSpec, task: TaskSpec) -> Setting:
    """The setting of `fixed_for`, which says what is raised."""
    return fixed_for(run, task).setting


def _setting(run: RunSpec, task: TaskSpec) -> Setting:
    widths = [choice.options["width"] for choice in run.encoders.values()]
    width = widths[0] if widths else 1
    budget, optimiser = run.budget, Optimiser.of(run.budget)
    fixed = task, run.encoders, width, width, budget.dropout, optimiser, run.seed, budget.head_norm, budget.epochs
    return Setting(*fixed, solved=run.track.options.get("own", {}))  # Of a trial that tries options of its own.


def _matched(run: RunSpec, setting: Setting, target: int) -> Match:
    def make(other: Setting) -> FusionModule:
        return build(run, other)

    if not solves_own(run.track):
        return matched(by_head(make, setting), target)
    own = own_width(run.strategy)
    if own is None:
        text = (
            "it has no option for a width of its own: its head alone could grow, which is as wide as the encodings here"
        )
        raise Unsuitable(text)
    return matched_own(by_option(make, setting, *own), target, *own)


def own_width(strategy: Choice) -> tuple[str, int] | None:
    """The option that makes a strategy itself wider, and of what it is a multiple; None: it has none.

    Raises:
        UserError: its class names an option that it does not have.
    """
    plugin = describe("strategy", strategy.name)
    option, unit = plugin.facts.get("own_width", ""), plugin.facts.get("own_unit", 1)
    if not option:
        return None
    for name in {option, unit} - {1}:
        if isinstance(name, str) and name not in plugin.options:
            raise unknown(
                "option called", name, plugin.options, f"strategy '{strategy.name}': its own_width or own_unit"
            )
    options = with_later("strategy", strategy.name, strategy.options)
    return option, int(options[unit] if isinstance(unit, str) else unit)


def has_no_head(run: RunSpec) -> bool:
    """Whether there is nothing to match: it looks at no input (`chance`), or is solved for as it is."""
    facts = describe("strategy", run.strategy.name).facts
    return facts.get("uses") == "none" or bool(facts.get("fitted"))


def build(run: RunSpec, setting: Setting) -> FusionModule:
    """The untrained model of a run; its initial weights depend on the seed alone."""
    options = {**with_later("strategy", run.strategy.name, run.strategy.options), **setting.solved}
    with seeded(run.seed, "fusion"):
        module: FusionModule = load("strategy", run.strategy.name)(setting, **options)
    return module


@contextmanager
def seeded(seed: int, purpose: str) -> Iterator[None]:
    """Every global generator seeded for one purpose; the state before comes back."""
    python, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002  (user plug-ins may draw from it)
    number = derived_seed(seed, purpose)
    with torch.random.fork_rng():
        torch.manual_seed(number)
        random.seed(number)
        np.random.seed(number % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy_state)  # noqa: NPY002


def data_facts(run: RunSpec, data: MultimodalData) -> DataFacts:
    """What a record says of the data that a run saw; after `setup`."""
    assert data.parts is not None
    split = data.whole or data.parts
    return DataFacts(run.dataset.name, data.fingerprint, split.sha256, data.parts.counts)
