"""wandb-workspaces: the one place that imports it, and that touches what it keeps for itself.

Private is how it turns a workspace or report into JSON without asking a server, and under which id it was saved. So is
the way around a mistake of its own: it reads filters as text, and makes `relation=synergy` within a value to
`relation==synergy`, which is no run's group.
"""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # Its models are in pydantic's older style.
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws
    from wandb_workspaces import expr
    from wandb_workspaces.utils.validators import validate_no_emoji

__all__ = ["expr", "wr", "ws"]

Condition = tuple[str, str, str | list[str]]
"""An attribute of runs as the server names it, "=" or "IN", and the value."""
VIEW, REPORT = "project-view", "runs"
"""What W&B calls a workspace and a report."""


@contextmanager
def same_ids(name: str) -> Iterator[None]:
    """Panels that are made within get the same ids every time: the library draws them at random."""
    state = random.getstate()
    random.seed(name)
    try:
        yield
    finally:
        random.setstate(state)


def only(runs: ws.Workspace | wr.Runset, conditions: Sequence[Condition]) -> None:
    """Show runs alone that meet all conditions, to the letter."""
    leaves: list[dict[str, Any]] = [
        {"key": {"section": "run", "name": name}, "op": sign, "value": value, "disabled": False}
        for name, sign, value in conditions
    ]
    for leaf in leaves[1:]:
        leaf["connector"] = "AND"
    text = runs.runset_settings.filters if isinstance(runs, ws.Workspace) else runs.filters
    runs._stashed_filters_v2 = {"filterFormat": expr.FILTER_FORMAT_V2, "filters": leaves}
    runs._stashed_filter_string = str(text)


def view_json(workspace: ws.Workspace) -> dict[str, Any]:
    """A workspace as it is sent; asks nobody."""
    view = workspace._to_model()
    return _json(VIEW, workspace.entity, workspace.project, view.display_name, "", view.spec)


def report_json(report: wr.Report) -> dict[str, Any]:
    """A report as it is sent; asks nobody as long as its run sets have no entity, for whose project it asks else."""
    model = report._to_model()
    return _json(REPORT, report.entity, report.project, model.display_name, model.description, model.spec)


def save_view(workspace: ws.Workspace, known: dict[str, str]) -> dict[str, str]:
    """Save a workspace in the place of one that was saved before.

    Args:
        workspace: with entity and project.
        known: what an earlier call gave; empty, or of one that is gone from the server: it is saved as a new one.

    Returns:
        name, id, url.
    """
    workspace._internal_name, workspace._internal_id = known.get("name", ""), known.get("id", "")
    try:
        workspace.save()
    except Exception:
        if not known:
            raise
        workspace._internal_name = workspace._internal_id = ""
        workspace.save()
    return {"name": workspace._internal_name, "id": workspace._internal_id, "url": workspace.url}


def save_report(report: wr.Report, known: dict[str, str]) -> dict[str, str]:
    """The same of a report: id, url."""
    report.id = known.get("id", "")
    try:
        report.save()
    except Exception:
        if not known:
            raise
        report.id = ""
        report.save()
    return {"id": report.id, "url": report.url}


def fit_title(text: str) -> str:
    """The text without characters that the library takes for emojis, such as + and =."""
    return "".join(character if _is_taken(character) else " " for character in text)


def _is_taken(character: str) -> bool:
    try:
        validate_no_emoji(character)
    except ValueError:
        return False
    return True


def _json(kind: str, entity: str, project: str, title: str, description: str, spec: Any) -> dict[str, Any]:
    text = spec.model_dump_json(by_alias=True, exclude_none=True)
    facts = {"entityName": entity, "projectName": project, "type": kind, "displayName": title}
    return {**facts, "description": description, "spec": json.loads(text)}
