"""Which columns of a table are label, part and group: as the user says, else by their names and what they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fusionbench.core.errors import UserError
from fusionbench.core.task import TaskKind
from fusionbench.data.manifests.cells import word
from fusionbench.data.manifests.columns import matching
from fusionbench.data.manifests.parts import PARTS
from fusionbench.data.profiles import Profile

LABELS = ("label", "labels", "target", "targets", "class", "y", "outcome", "diagnosis")
SPLITS = ("split", "part", "partition", "set", "subset", "fold")
GROUPS = ("group", "groups", "person", "person_id", "patient", "patient_id", "subject", "subject_id", "speaker")
"""What such columns are called, in any case."""
SEPARATORS = (";", "|", ",")
MOST_CLASSES = 100
"""Whole numbers of more values are an amount."""
FEW_CLASSES = 20
"""What comes last in a table and has at most so many values may be its label."""


@dataclass(frozen=True)
class Roles:
    """What columns are for, besides modalities."""

    labels: tuple[str, ...] = ()
    kind: TaskKind = "multiclass"
    separator: str = ""
    split: str = ""
    group: str = ""
    is_guess: bool = False
    """Whether no name said what the label is."""

    @property
    def named(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(filter(None, (*self.labels, self.split, self.group)))


@dataclass(frozen=True)
class Said:
    """What the user says; empty: it is to be found out."""

    labels: tuple[str, ...] = ()
    """Columns, or patterns."""
    kind: TaskKind | None = None
    separator: str = ""
    split: str = ""
    group: str = ""


def roles_of(where: str, header: Sequence[str], profiles: Mapping[str, Profile], said: Said) -> Roles:
    """The roles.

    Args:
        where: the file.
        header: its columns.
        profiles: of some or all rows.
        said: by the user.

    Raises:
        UserError: a column that is not there.
    """
    for name in filter(None, (said.split, said.group)):
        matching(where, [name], header)
    split = said.split or next((name for name in header if _is_split(name, profiles[name])), "")
    group = said.group or next((name for name in header if _is_group(name, profiles[name])), "")
    labels = matching(where, said.labels, header) if said.labels else _by_name(header)
    others = [name for name in header if name not in (split, group)]
    guess = () if labels else _by_place(others, profiles)
    kind, separator = _kind([profiles[name] for name in labels or guess], said)
    return Roles(labels or guess, said.kind or kind, said.separator or separator, split, group, bool(guess))


def refuse_no_label(where: str, roles: Roles) -> None:
    """Raises UserError where no column looks like the label."""
    if not roles.labels:
        raise UserError(f"{where}: no column is called label, and none looks like one; name it with --label")


def _is_split(name: str, profile: Profile) -> bool:
    counts = {value: count for value, count in (profile.counts or {}).items() if value.lower() in PARTS}
    nearly_all = sum(counts.values()) >= 0.9 * profile.present > 0
    return name.lower() in SPLITS and nearly_all and len({PARTS[value.lower()] for value in counts}) > 1


def _is_group(name: str, profile: Profile) -> bool:
    return name.lower() in GROUPS and profile.different is not None and 2 < profile.different < profile.rows


def _by_name(header: Sequence[str]) -> tuple[str, ...]:
    for wanted in LABELS:
        found = tuple(name for name in header if name.lower() == wanted)
        many = tuple(name for name in header if name.lower().startswith((f"{wanted}_", f"{wanted}.", f"{wanted} ")))
        if found or len(many) > 1:
            return found[:1] or many
    return ()


def _by_place(names: Sequence[str], profiles: Mapping[str, Profile]) -> tuple[str, ...]:
    """The last column, or else the first, if it has few values; numbers of rows are none."""
    names = [name for name in names if profiles[name].taken_for not in ("id", "nothing")]
    for name in (*names[-1:], *names[:1]):
        one = profiles[name]
        if one.taken_for in ("category", "number", "labels") and 1 < (one.different or 0) <= FEW_CLASSES and one.whole:
            return (name,)
    return ()


def _kind(labels: Sequence[Profile], said: Said) -> tuple[TaskKind, str]:
    if len(labels) > 1:
        flags = all(one.numbers and one.whole and (one.low, one.high) == (0, 1) for one in labels)
        return "multilabel" if flags else "regression", ""
    if not labels:
        return "multiclass", ""
    (one,) = labels
    if one.taken_for == "labels":
        return "multilabel", ""
    if one.numbers:
        few = one.different is not None and one.different <= min(MOST_CLASSES, max(2, one.present // 10))
        return "multiclass" if one.whole and few else "regression", ""
    separator = said.separator or next((mark for mark in SEPARATORS if _separates(mark, one)), "")
    return ("multilabel", separator) if separator else ("multiclass", "")


def _separates(mark: str, one: Profile) -> bool:
    """Whether cells are made of several names that come again and again."""
    cells = list(map(word, one.first))
    several = [cell for cell in cells if mark in cell]
    names = {name.strip() for cell in cells for name in cell.split(mark)}
    return len(several) * 20 > len(cells) and len(names) <= len(set(cells)) and len(names) * 5 <= len(cells)
