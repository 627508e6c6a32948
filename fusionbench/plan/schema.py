"""Suite text to a checked suite file: short forms written out, and what is said about a value that does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from fusionbench.core.canonical import canonical_json
from fusionbench.core.catalogue import names
from fusionbench.core.durations import seconds_of
from fusionbench.core.errors import UserError, shown, unknown
from fusionbench.core.options import complaint
from fusionbench.plan.source import Source
from fusionbench.plan.suite_file import (
    DEFAULTS,
    LARGEST_SEED,
    MOST_SEEDS,
    FileBudget,
    FileChoice,
    FileDataset,
    FileEncoder,
    FileFamily,
    FilePretraining,
    FileTrack,
    SuiteFile,
)

_OWNERS = {
    "budget": FileBudget,
    "pretrain": FilePretraining,
    "datasets": FileDataset,
    "encoders": FileEncoder,
    "tracks": FileTrack,
    "families": FileFamily,
}
"""Whose keys stand below these words."""


def validated(source: Source) -> SuiteFile:
    """The file that a source holds.

    Raises:
        UserError: the first two mistakes, a line each: unknown keys, wrong types, values out of range.
    """
    try:
        return TypeAdapter(SuiteFile).validate_json(canonical_json(_spelled_out(source)))
    except ValidationError as error:
        lines = [_line(source, problem) for problem in error.errors()]
        more = f" (and {len(lines) - 2} more)" if len(lines) > 2 else ""
        raise UserError("\n".join(lines[:2]) + more) from error


def _spelled_out(source: Source) -> dict[str, Any]:
    """The tree with its short forms written out: a name is a choice without options, a count is a list of seeds."""
    tree = {**DEFAULTS, **source.tree}
    if tree.get("strategies") == "all":
        tree["strategies"] = list(names("strategy"))
    tree["seeds"] = _seeds(tree["seeds"], source.place(("seeds",)))
    if isinstance(tree.get("budget"), dict):
        tree["budget"] = _budget(tree["budget"], source.place(("budget", "time_limit")))
    for part in ("datasets", "strategies", "tracks", "measures"):
        if isinstance(tree.get(part), list):
            tree[part] = [_choice(item) for item in tree[part]]
    if isinstance(tree.get("tracks"), list):
        tracks = enumerate(tree["tracks"])
        tree["tracks"] = [_track(item, tree["seeds"], source.place(("tracks", i, "seeds"))) for i, item in tracks]
    if isinstance(tree.get("encoders"), dict):
        tree["encoders"] = {name: _encoder(item, tree.get("budget")) for name, item in tree["encoders"].items()}
    return tree


def _budget(given: dict[str, Any], place: str) -> dict[str, Any]:
    """A limit in words is one in seconds."""
    limit = given.get("time_limit")
    return {**given, "time_limit": seconds_of(limit, place)} if isinstance(limit, str) else given


def _encoder(item: Any, budget: Any) -> Any:
    """Pretraining has the suite's budget, but for what it sets itself; `true` sets nothing, `false` is none.

    The time limit is that of runs.
    """
    item = _choice(item)
    first = item.get("pretrain") if isinstance(item, dict) else None
    if first is False:
        return {**item, "pretrain": None}
    if first is True or isinstance(first, dict):
        shared = {k: v for k, v in budget.items() if k != "time_limit"} if isinstance(budget, dict) else {}
        return {**item, "pretrain": {**shared, **(first if isinstance(first, dict) else {})}}
    return item


def _track(item: Any, seeds: list[int], place: str) -> Any:
    """A count of seeds is a list of the suite's first ones; what a track has and the suite has not is a mistake."""
    if not isinstance(item, dict) or "seeds" not in item:
        return item
    given = item["seeds"]
    if type(given) is int and given >= 1:
        return {**item, "seeds": seeds[:given]}
    fits = isinstance(given, list) and given and all(type(seed) is int and seed in seeds for seed in given)
    if not fits or len(set(given)) < len(given):
        raise UserError(
            f"{place}: give a count from 1 on, or a list of some of the suite's seeds "
            f"({', '.join(map(str, seeds[:12]))}{', ...' if len(seeds) > 12 else ''}), got {shown(given)}"
        )
    return {**item, "seeds": [seed for seed in seeds if seed in given]}


def _seeds(given: Any, place: str) -> list[int]:
    if type(given) is int and 1 <= given <= MOST_SEEDS:
        return list(range(given))
    fits = isinstance(given, list) and given and all(type(seed) is int and 0 <= seed <= LARGEST_SEED for seed in given)
    if not fits or len(set(given)) < len(given):
        raise UserError(
            f"{place}: give a count from 1 to {MOST_SEEDS}, or a list of different whole numbers from 0 to "
            f"{LARGEST_SEED}, got {shown(given)}"
        )
    return list(given)


def _choice(item: Any) -> Any:
    return {"name": item} if isinstance(item, str) else item


def _line(source: Source, problem: Mapping[str, Any]) -> str:
    path = problem["loc"]
    place = source.place(path)
    last = path[-1] if path else ""  # None where a dict holds what is no text; a file was looked at before.
    if problem["type"] == "unexpected_keyword_argument":
        owner = SuiteFile if len(path) == 1 else _OWNERS.get(str(path[-2]), _OWNERS.get(str(path[0]), FileChoice))
        return str(unknown("key", str(last), TypeAdapter(owner).json_schema()["properties"], place))
    if problem["type"] in ("missing", "missing_argument"):
        return f"{place}: is missing"
    if problem["type"] in ("string_pattern_mismatch", "string_too_long"):
        given = shown(problem["input"])
        if last == "title":
            return f"{place}: a title is up to 60 characters on one line, got {given}"
        what = "suite" if len(path) == 1 else "family"
        return f"{place}: a {what}'s name is up to 64 lower-case letters, digits, - and _, no path, got {given}"
    if last in ("budget", "pretrain") and problem["type"] == "dataclass_type":
        return f"{place}: give a mapping such as {{epochs: 20}}, got {shown(problem['input'])}"
    return f"{place}: {complaint(problem)}"
