"""The option `columns` of a manifest, understood: which columns of the file each modality is made of, and how.

photo: image                                          the column `photo`, paths of pictures
face: {kind: image, column: "path to face", size: 96} another column, and options
age: number                                           with all other numbers and categories the modality `table`
city: category
pixels: {kind: vector, numbers: ["px_*"]}             several columns, by a pattern: a modality of their own
tests: {kind: vector, numbers: [hb, "t?"], categories: [ward]}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from fusionbench.core.errors import UserError, shown, unknown
from fusionbench.core.modalities import CELLS, TABLE, kinds_of_columns
from fusionbench.core.task import ModalityKind

OPTIONS: Mapping[str, Mapping[str, int | float]] = {
    "image": {"size": 64, "channels": 3},
    "audio": {"seconds": 3.0, "rate": 16_000, "bands": 64},
    "tokens": {"length": 256},
    "text": {},
    "sequence": {"length": 0},
    "vector": {},
}
"""By kind that a manifest has, what may be set of it, and what it is otherwise."""
CHOICES = {"channels": (1, 3)}
PARTS = ("numbers", "categories")


@dataclass(frozen=True)
class Column:
    """One modality."""

    name: str
    kind: ModalityKind
    column: str = ""
    """Of the file; empty: it is a table."""
    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    """Of a table, columns of the file, by name or pattern."""
    options: Mapping[str, int | float] = field(default_factory=dict)

    @property
    def is_of_files(self) -> bool:
        """Whether its cells name files, or hold lists of numbers."""
        return not self.is_table and self.kind in ("image", "audio", "sequence", "vector")

    @property
    def is_table(self) -> bool:
        """Whether it is made of numbers and categories."""
        return not self.column

    def named_in(self, where: str, header: Sequence[str]) -> Column:
        """The same with patterns replaced by what they stand for.

        Raises:
            UserError: a column that the file does not have.
        """
        if not self.is_table:
            return replace(self, column=matching(where, [self.column], header)[0])
        numbers, categories = matching(where, self.numbers, header), matching(where, self.categories, header)
        both = [name for name in numbers if name in categories]
        if both:
            raise UserError(
                f"{where}: column {shown(both[0])} is a number and a category of '{self.name}'; make it one"
            )
        return replace(self, numbers=numbers, categories=categories)


def matching(where: str, patterns: Sequence[str], header: Sequence[str]) -> tuple[str, ...]:
    """The columns of those names, or that match (`*` any letters, `?` one), in the order of the header, each once.

    Raises:
        UserError: a name or pattern without any.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        fits = [pattern] if pattern in header else [name for name in header if fnmatchcase(name, pattern)]
        if not fits:
            raise unknown("column", pattern, header, where)
        found |= dict.fromkeys(fits)
    return tuple(sorted(found, key=list(header).index))


def columns_of(where: str, given: Mapping[str, Any]) -> tuple[Column, ...]:
    """The modalities, by name.

    Args:
        where: the data set's name.
        given: its option `columns`.

    Raises:
        UserError: a kind or an option that there is not.
    """
    kinds = kinds_of_columns(f"{where}: option columns", given)
    cells = {name: one for name, one in given.items() if (one["kind"] if isinstance(one, Mapping) else one) in CELLS}
    return tuple(
        _table(where, cells) if name == TABLE and cells else _column(where, name, kind, given[name])
        for name, kind in kinds.items()
    )


def _table(where: str, cells: Mapping[str, Any]) -> Column:
    """All columns that are a number or a category by themselves."""
    named: dict[str, list[str]] = {"number": [], "category": []}
    for name, one in cells.items():
        stated = one if isinstance(one, Mapping) else {"kind": one}
        _refuse_others(where, name, stated, ("kind", "column"))
        named[stated["kind"]].append(str(stated.get("column", name)))
    return Column(TABLE, "vector", "", tuple(named["number"]), tuple(named["category"]))


def _column(where: str, name: str, kind: ModalityKind, given: Any) -> Column:
    stated = dict(given) if isinstance(given, Mapping) else {}
    if kind not in OPTIONS:
        known = ", ".join((*OPTIONS, *CELLS))
        raise UserError(f"{where}: option columns.{name}: a table in a file has no {kind}; known: {known}")
    is_table = any(part in stated for part in PARTS)
    if is_table and kind != "vector":
        raise UserError(f"{where}: option columns.{name}: numbers and categories make a vector, not {kind}")
    _refuse_others(
        where, name, stated, ("kind", *PARTS) if is_table else ("kind", "column", *OPTIONS[kind], *_also(kind))
    )
    if is_table:
        numbers, categories = (_names(where, f"{name}.{part}", stated.get(part, [])) for part in PARTS)
        if not numbers and not categories:
            raise UserError(f"{where}: option columns.{name}: neither numbers nor categories; name some")
        return Column(name, kind, "", numbers, categories)
    options = {
        option: _number(where, f"{name}.{option}", stated, option, usual) for option, usual in OPTIONS[kind].items()
    }
    return Column(name, kind, str(stated.get("column", name)), options=options)


def _also(kind: str) -> tuple[str, ...]:
    return PARTS if kind == "vector" else ()


def _refuse_others(where: str, name: str, stated: Mapping[str, Any], known: Sequence[str]) -> None:
    for option in stated:
        if option not in known:
            raise unknown("option called", option, known, f"{where}: option columns.{name}")


def _names(where: str, place: str, given: Any) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, Sequence) or not all(isinstance(one, str) for one in given):
        raise UserError(f"{where}: option columns.{place}: give a list of columns, got {shown(given)}")
    return tuple(given)


def _number(where: str, place: str, stated: Mapping[str, Any], option: str, usual: int | float) -> int | float:
    value = stated.get(option, usual)
    least = 0 if usual == 0 else 1
    if isinstance(usual, float) and isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        wanted = "a number above 0" if isinstance(usual, float) else f"a whole number from {least} on"
        raise UserError(f"{where}: option columns.{place}: give {wanted}, got {shown(value)}")
    if value not in CHOICES.get(option, (value,)):
        raise UserError(f"{where}: option columns.{place}: give 1 (grey) or 3 (red, green and blue), got {value}")
    return value
