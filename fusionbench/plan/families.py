"""Families of a suite: few rows that are chosen before anything is run, since only these are tested pair by pair.

With sixty rows there are 1,770 pairs; a correction for all of them leaves nothing to find. So a suite names at most
MOST rows, and a report tests these. Strategies that are one model but for gradients (class fact `copy_of`) count once.
What a suite names in a family and does not plan is left out, so that `--set strategies=[...]` shortens any suite.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fusionbench.core.catalogue import describe, names
from fusionbench.core.errors import UserError, unknown
from fusionbench.plan.family import Family
from fusionbench.plan.names import slug
from fusionbench.plan.source import Source
from fusionbench.plan.suite import Choice, Row
from fusionbench.plan.suite_file import FileFamily

MOST = 12
"""Rows of a family, on each data set."""


def checked_families(source: Source, given: Sequence[FileFamily], rows: Sequence[Row]) -> tuple[Family, ...]:
    """The families that a suite file names.

    Raises:
        UserError: two of one name, a row that no table has, that does not fuse or that stands in two families, or too
            many rows.
    """
    found: list[Family] = []
    for index, family in enumerate(given):
        place = source.place(("families", index, "name"))
        if family.name in [other.name for other in found]:
            raise UserError(f"{place}: '{family.name}' is named twice")
        found.append(Family(family.name, tuple(family.rows)))
        for number, member in enumerate(family.rows):
            _check_member(source.place(("families", index, "rows", number)), member, number, found, rows)
        _check_size(source.place(("families", index, "rows")), found[-1], rows)
    return tuple(found)


def _check_member(place: str, member: str, number: int, families: Sequence[Family], rows: Sequence[Row]) -> None:
    own = {slug("strategy", row.strategy): row.strategy for row in rows}
    meant = {row: choice for row, choice in own.items() if member in (row, choice.name)}
    plugin, _, options = member.partition("+")
    if not meant and (plugin not in names("strategy") or (options and plugin in {c.name for c in own.values()})):
        raise unknown("row in these tables called", member, {*own, *(choice.name for choice in own.values())}, place)
    for choice in meant.values():
        if describe("strategy", choice.name).facts.get("uses", "all") != "all":
            raise UserError(
                f"{place}: '{member}' looks at one modality or none; only fusion strategies are tested pair by pair, "
                "and all rows against the best single modality"
            )
    earlier = Family("", families[-1].members[:number])
    for other in (*families[:-1], earlier):
        if any(other.has(choice.name, row) for row, choice in meant.items()):
            where = f"family '{other.name}'" if other.name else "this family"
            raise UserError(f"{place}: '{member}' is in {where} already; a row is tested in one family, once")


def _check_size(place: str, family: Family, rows: Sequence[Row]) -> None:
    planned = max(_counts(family, rows), default=0)
    if planned > MOST:
        raise UserError(
            f"{place}: {planned} rows, near-copies counted once; a family has at most {MOST}, since every pair "
            "more makes all differences harder to see: name those whose order is asked for"
        )


def _counts(family: Family, rows: Sequence[Row]) -> Iterator[int]:
    """How many rows it has in each table."""
    tables: dict[tuple[str, str], dict[str, Choice]] = {}
    for row in rows:
        name = slug("strategy", row.strategy)
        if family.has(row.strategy.name, name):
            table = (slug("dataset", row.dataset), str(row.track))
            tables.setdefault(table, {})[name] = row.strategy
    for members in tables.values():
        facts = {name: describe("strategy", choice.name).facts for name, choice in members.items()}
        yield len({facts[name].get("copy_of") or name for name in members})
