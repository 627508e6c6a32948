"""A dataset's modalities and their kinds, as plans read them: from its class, or from an option of the suite.

    views = {"halves": {"left": "image", "right": "image"}}     always the same, by view
    modalities_from = "columns"                                 of the user's own data: as the option `columns` says

Such an option is a dict by modality: of its kind, or of a dict that has `kind` and whatever else the dataset needs to
know of it, such as the columns of a table that it is made of. What is a `number` or a `category` there is a column, and
all such columns are together one modality, a vector called `table`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from fusionbench.core.errors import UserError, shown, unknown
from fusionbench.core.task import ModalityKind

TABLE, CELLS = "table", ("number", "category")
_VIEWS = TypeAdapter(dict[str, dict[str, ModalityKind]])


def kinds_of(where: str, facts: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, ModalityKind]:
    """The kind of each modality, in the order in which models meet them.

    Args:
        where: the dataset's name.
        facts: the literals of its class.
        options: what a suite sets of it, or its attributes of those names.

    Raises:
        UserError: it states neither views nor such an option, or not the view that the options name.
    """
    option = facts.get("modalities_from", "")
    if option:
        return kinds_of_columns(f"dataset '{where}', option {option}", options.get(option))
    try:
        views = _VIEWS.validate_python(facts.get("views"))
    except ValidationError as error:
        example = '{"halves": {"left": "image", "right": "image"}}'
        raise UserError(f"dataset '{where}' must state its views as a literal such as {example}") from error
    view = options.get("view", next(iter(views), ""))
    if view not in views:
        raise unknown(f"view of dataset '{where}' called", view, views)
    return views[view]


def kinds_of_columns(where: str, columns: Any) -> dict[str, ModalityKind]:
    """The same of an option's value, by name: a key does not know an order, so that none may decide a result.

    >>> kinds_of_columns("columns", {"words": "tokens", "age": {"kind": "vector", "numbers": ["age"]}})
    {'age': 'vector', 'words': 'tokens'}
    >>> kinds_of_columns("columns", {"age": "number", "city": "category", "face": "image"})
    {'face': 'image', 'table': 'vector'}
    """
    if not isinstance(columns, Mapping) or not columns:
        raise UserError(
            f"{where}: give each modality its kind, as in {{left: image, right: image}}, got {shown(columns)}"
        )
    found = {name: stated.get("kind") if isinstance(stated, Mapping) else stated for name, stated in columns.items()}
    known = (*get_args(ModalityKind), *CELLS)
    for name, kind in found.items():
        if kind not in known:
            raise unknown(f"kind of modality {shown(name)} called", str(kind), known, where)
    cells = [name for name, kind in found.items() if kind in CELLS]
    if cells and TABLE in found and TABLE not in cells:
        raise UserError(f"{where}: {shown(cells[0])} is one of the columns of '{TABLE}'; rename the modality '{TABLE}'")
    others = {name: kind for name, kind in found.items() if name not in cells}
    return dict(sorted({**others, **({TABLE: "vector"} if cells else {})}.items()))
