"""What plans call their parts wherever these are named: in folders, tables, progress and dashboards."""

from __future__ import annotations

import re

from fusionbench.core.canonical import short_key
from fusionbench.core.catalogue import PluginKind, changed_options, describe
from fusionbench.plan.suite import Choice


def slug(kind: PluginKind, choice: Choice) -> str:
    """The choice as a folder name: `synthetic_pid+relation=synergy`; long or odd options become 6 hex digits."""
    content = {option: sha256[:12] for option, sha256 in choice.files.items()}
    changed = changed_options(describe(kind, choice.name), {**choice.options, **content})
    plain = "".join(f"+{name}={value}" for name, value in sorted(changed.items()))
    if not plain:
        return choice.name
    if len(plain) <= 60 and re.fullmatch(r"[A-Za-z0-9_+=.-]*", plain):
        return choice.name + plain
    return f"{choice.name}+{short_key(changed, 6)}"


def track_label(track: Choice) -> str:
    """The track as files and groups name it: `matched_parameters+target=100000`; one of a kind within a suite."""
    shown = {option: track.options.get(option) for option in ("solve", "target")}
    return track.name + "".join(f"+{option}={value}" for option, value in shown.items() if value is not None)
