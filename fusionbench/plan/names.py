"""What plans call their parts wherever these are named: in folders, tables, progress and dashboards."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fusionbench.core.canonical import short_key
from fusionbench.core.catalogue import PluginKind, changed_options, describe
from fusionbench.core.plugin_names import folder_name
from fusionbench.plan.suite import TUNED, Choice, RunSpec


def slug(kind: PluginKind, choice: Choice) -> str:
    """The choice as a folder name: `synthetic_pid+relation=synergy`; long or odd options become 6 hex digits."""
    content = {option: sha256[:12] for option, sha256 in choice.files.items()}
    changed = changed_options(describe(kind, choice.name), {**choice.options, **content})
    changed |= {"metric": choice.metric} if choice.metric else {}
    changed |= {"missing": missing_label(choice)} if choice.train_missing else {}
    plain = "".join(f"+{name}={value}" for name, value in sorted(changed.items()))
    name = folder_name(choice.name)
    if not plain:
        return name
    if len(plain) <= 60 and re.fullmatch(r"[A-Za-z0-9_+=.-]*", plain):
        return name + plain
    return f"{name}+{short_key(changed, 6)}"


def missing_label(dataset: Choice) -> str:
    """What is missing in training: `left-0.3` or `left-0.3-right-0.6`."""
    return "-".join(f"{name}-{rate:g}" for name, rate in dataset.train_missing.items())


def track_label(track: Choice) -> str:
    """The track as files and groups name it: `matched_parameters+target=100000`; one of a kind within a suite."""
    shown = {option: track.options.get(option) for option in ("solve", "target")}
    return track.name + "".join(f"+{option}={value}" for option, value in shown.items() if value is not None)


def have_one_size(a: Choice, b: Choice) -> bool:
    """Whether models are as large under one track as under the other; another search may choose other ones."""
    return a == b if TUNED in (a.name, b.name) else track_label(a) == track_label(b)


def trial_label(trial: RunSpec) -> str:
    """What a trial tries: `trial at 0.001`, or all that its track tunes, and its seed where there are several."""
    if trial.track.name != TUNED:
        return f"trial at {trial.budget.learning_rate:g}"
    parts = (
        f"{trial.budget.learning_rate:.3g}, decay {trial.budget.weight_decay:.3g}, dropout {trial.budget.dropout:.2f}"
    )
    return f"trial at {parts}{own_label(trial.track.options.get('own', {}))}, seed {trial.seed}"


def own_label(own: Mapping[str, Any]) -> str:
    """Options that were tried or chosen: `, rank=3, hidden=96`."""
    return "".join(f", {name}={f'{value:.3g}' if isinstance(value, float) else value}" for name, value in own.items())
