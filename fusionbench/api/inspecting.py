"""`fusionbench inspect`: what a table of one's own holds, in words."""

from __future__ import annotations

from collections.abc import Iterator

from fusionbench.core.output import printable
from fusionbench.data.equal_contents import Equal
from fusionbench.data.inspection import Faults, Inspection
from fusionbench.data.manifests.parts import NAMES as PARTS
from fusionbench.data.profiles import Profile
from fusionbench.data.roles import Roles

MOST_CLASSES = 12
"""So many are shown; of more, the commonest and the rarest."""


def described(found: Inspection) -> str:
    """All that was found, for a terminal of 100 columns or more."""
    table = found.table
    lines = [f"{table.path}: {len(found.places):,} rows, {len(found.profiles)} columns", ""]
    cells = [_row(found, name) for name in found.profiles]
    cells = [("column", "taken for", "missing", "what is in it"), *cells]
    widths = [max(len(row[place]) for row in cells) for place in range(3)]
    for name, taken, missing, what in cells:
        lines.append(f" {name:{widths[0]}}  {taken:{widths[1]}}  {missing:>{widths[2]}}  {what}".rstrip())
    lines += ["", *_labels(found), *_parts(found), *_equal(found), *_wrong(found)]
    return "\n".join(printable(line) if line.strip() and not line.startswith(" ") else line for line in lines)


def _row(found: Inspection, name: str) -> tuple[str, str, str, str]:
    profile, roles = found.profiles[name], found.roles
    what = _what(profile)
    broken = found.files.get(name)
    if broken is not None:
        what += f"; {broken.count:,} cannot be read" if broken.count else "; all can be read"
    return printable(name) or "(no name)", taken_for(found, name), f"{profile.missing:,}", what + _guessed(roles, name)


def _guessed(roles: Roles, name: str) -> str:
    return "; a guess, --label names another" if roles.is_guess and name in roles.labels else ""


def taken_for(found: Inspection, name: str) -> str:
    """What a column is: the kind of a modality, label, split, group, or left out."""
    roles, taken = found.roles, str(found.profiles[name].taken_for)
    for role, names in (("label", roles.labels), ("split", (roles.split,)), ("group", (roles.group,))):
        if name in names:
            return role
    if taken == "npy":
        return found.kinds.get(name, "sequence")
    return {"id": "left out", "nothing": "left out", "labels": "left out"}.get(taken, taken)


def _what(profile: Profile) -> str:
    taken, different = profile.taken_for, profile.different
    if taken == "nothing":
        return "nothing in any row"
    if taken in ("vector", "sequence", "labels"):
        return f"lists, the first of {len(profile.first[0])}"
    if taken == "number":
        mean = profile.total / profile.present
        return f"{profile.low:g} to {profile.high:g}, mean {mean:.4g}"
    count = "very many different ones" if different is None else f"{different:,} different"
    if taken == "category":
        return f"{count}: {_shares(profile)}"
    if taken == "id":
        return "another one in every row"
    kind = "texts" if taken == "tokens" else "paths"
    return f"{kind} of {profile.letters // profile.present:,} characters, at most {profile.longest:,}; {count}"


def _shares(profile: Profile, most: int = 4) -> str:
    assert profile.counts is not None
    common = profile.counts.most_common(most)
    return ", ".join(f"{printable(name)[:30]} {count / profile.present:.0%}" for name, count in common)


# --- labels, parts, faults -------------------------------------------------------------------------------------------


def _labels(found: Inspection) -> Iterator[str]:
    roles = found.roles
    if not roles.labels:
        yield "No label: no column is called so, and none looks like one; --label names it."
        return
    missing = sum(found.profiles[name].missing for name in roles.labels)
    if missing and not (roles.kind == "multilabel" and len(roles.labels) == 1):
        yield f"No label in {missing:,} rows: fill them in, or leave the rows out."
    yield f"Task: {roles.kind}, by {', '.join(roles.labels[:5])}{' ...' if len(roles.labels) > 5 else ''}."
    if roles.kind == "multiclass":
        yield from _balance(found)


def _balance(found: Inspection) -> Iterator[str]:
    counts = found.profiles[found.roles.labels[0]].counts
    if counts is None:
        yield "More classes than can be counted, most of them new: is this column the label?"
        return
    rows, several = sum(counts.values()), counts.most_common()
    shown = several if len(several) <= MOST_CLASSES else [*several[: MOST_CLASSES - 2], *several[-2:]]
    told = ", ".join(f"{printable(name)[:30]} {count:,} ({count / rows:.1%})" for name, count in shown)
    yield f"{len(several):,} classes: {told}{'' if len(shown) == len(several) else ' (the commonest and the rarest)'}"
    if len(several) == 1:
        yield "All rows are of one class: there is nothing to tell apart."
    few = [name for name, count in several if count < 3]
    if few:
        yield f"{len(few):,} classes have fewer than 3 rows, one for each part, such as {printable(few[0])[:30]!r}."


def _parts(found: Inspection) -> Iterator[str]:
    if not len(found.parts):
        return
    counts = {part: int((found.parts == number).sum()) for number, part in enumerate(PARTS)}
    yield "Parts: " + ", ".join(f"{part} {count:,}" for part, count in counts.items()) + "."
    unknown = len(found.parts) - sum(counts.values())
    if unknown:
        yield f"{unknown:,} rows are of no part: column '{found.roles.split}' holds something else there."
    if found.classes is not None and found.roles.kind == "multiclass":
        known = {name for part, name in found.classes if part == 0}
        unseen = sorted({name for part, name in found.classes if part > 0 and name not in known})
        if unseen:
            yield f"{len(unseen):,} classes that train lacks, such as {printable(unseen[0])[:30]!r}."


def _equal(found: Inspection) -> Iterator[str]:
    for name, several in found.shared.items():
        what = f"the same '{name}'" if name else "all modalities the same"
        yield from (_told(found, what, one) for one in several)
    count, pair = found.same
    if pair is not None and not len(found.parts):
        one, other = (found.places[row] for row in pair)
        way = "" if found.roles.group else "; a `group` column keeps them in one part"
        yield f"Equal contents: {count:,} rows equal one before them, such as {_place(found)} {one} and {other}{way}."


def _told(found: Inspection, what: str, equal: Equal) -> str:
    low, high = (PARTS[part] for part in equal.parts)
    one, other = (found.places[row] for row in equal.example)
    example = f"such as {_place(found)} {other} and {one}"
    return f"Equal contents: {equal.rows:,} rows of {high} have {what} as some of {low}, {example}."


def _place(found: Inspection) -> str:
    return "rows" if found.table.form == "parquet" else "lines"


def _wrong(found: Inspection) -> Iterator[str]:
    if found.empty:
        yield f"{found.empty:,} rows have no modality at all: leave them out."
    yield from _faults("rows cannot be read", found.unreadable)
    for name, broken in found.files.items():
        yield from _faults(f"files of '{name}' cannot be read", broken)


def _faults(what: str, faults: Faults) -> Iterator[str]:
    if faults.count:
        yield f"{faults.count:,} {what}:"
        yield from (f"  {printable(line)}" for line in faults.first)
        if faults.count > len(faults.first):
            yield f"  and {faults.count - len(faults.first):,} more"
