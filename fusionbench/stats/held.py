"""What a measure's file holds, whichever measure it is: its numbers and its lists of numbers, by where they stand.

A list of mappings, such as the bins of a histogram, is read as lists: of every name, one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from fusionbench.stats.measured import number

Path = tuple[str, ...]
"""Names, from the file's top down."""
Values = tuple[float | None, ...]
FACTS = ("key", "measure", "metric", "of_repeat", "options", "schema", "source")
"""At a file's top: what it says of itself."""
DEEPEST, LONGEST, LISTS = 8, 500, 300
"""Steps down, entries of a list, and lists of a file: what is beyond is no curve that anybody reads."""
PLACE = "place"
"""Along this go lists that no other list is the axis of: their first entry is at 1."""


@dataclass(frozen=True)
class Held:
    """All numbers of a file."""

    numbers: Mapping[Path, float]
    lists: Mapping[Path, Values]
    """None where an entry is no number."""


@dataclass(frozen=True)
class Axis:
    """What lists go along."""

    name: str
    values: tuple[float, ...]


def held(file: Mapping[str, Any]) -> Held:
    """Of one file; what is no number is left out, and so are names that cannot be printed.

    >>> held({"rows": 9, "bins": [{"count": 2}, {"count": 3}], "key": "k"}).lists
    {('bins', 'count'): (2.0, 3.0)}
    """
    numbers: dict[Path, float] = {}
    lists: dict[Path, Values] = {}
    for path, found in _leaves({name: value for name, value in file.items() if name not in FACTS}, ()):
        if not isinstance(found, tuple):
            numbers[path] = found
        elif len(lists) < LISTS:
            lists[path] = found
    return Held(numbers, lists)


def axes(files: Sequence[Held]) -> dict[Path, Axis]:
    """What each list goes along: the nearest list that rises, is as long, and is the same in every file.

    Lists that are themselves such an axis have none, and are not among these.

    Args:
        files: of one measure, of all models.
    """
    lists = {path: values for one in files for path, values in one.lists.items()}
    same = {path: values for path, values in lists.items() if _rises(values) and _is_shared(path, values, files)}
    found: dict[Path, Axis] = {}
    used = set()
    for path, values in lists.items():
        near = (
            other
            for depth in range(len(path) - 1, -1, -1)
            for other in same
            if other != path and other[:-1] == path[:depth] and len(same[other]) == len(values)
        )
        axis = None if path in same else next(near, None)
        if axis is not None:
            used.add(axis)
            found[path] = Axis(axis[-1], tuple(value for value in same[axis] if value is not None))
        else:
            found[path] = Axis(PLACE, tuple(float(at) for at in range(1, len(values) + 1)))
    return {path: axis for path, axis in found.items() if path not in used}


def _leaves(tree: Any, path: Path) -> Iterator[tuple[Path, float | Values]]:
    if len(path) > DEEPEST:
        return
    if isinstance(tree, Mapping):
        for name, below in tree.items():
            if isinstance(name, str) and name.isprintable():
                yield from _leaves(below, (*path, name))
    elif isinstance(tree, list) and 0 < len(tree) <= LONGEST:
        if all(isinstance(one, Mapping) for one in tree):
            for name in dict.fromkeys(name for one in tree for name in one if isinstance(name, str)):
                yield from _leaves([one.get(name) for one in tree], (*path, name))
        elif (values := tuple(number(one) for one in tree)).count(None) < len(values):
            yield path, values
    elif (value := number(tree)) is not None:
        yield path, value


def _rises(values: Values) -> bool:
    known = [value for value in values if value is not None]
    return len(known) == len(values) > 1 and all(one < other for one, other in pairwise(known))


def _is_shared(path: Path, values: Values, files: Sequence[Held]) -> bool:
    return all(one.lists.get(path) == values for one in files)
