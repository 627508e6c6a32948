"""The JSON Schema of suite files: what editors complete and check by.

Fields, types and ranges are pydantic's, of suite_file.py and of the tracks; what they mean stands in the docstrings
there; names and options of strategies, data sets, encoders and measures are the catalogue's. It refuses nothing that a
suite may hold. What depends on more than one place (an encoder that does not read a modality's kind) fusionbench alone
finds out.

Source: JSON Schema, draft 2020-12, https://json-schema.org/draft/2020-12.
"""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter

from fusionbench.core.catalogue import Plugin, PluginKind, describe, names
from fusionbench.core.scores import SCORES
from fusionbench.plan.budget import Budget, Pretraining
from fusionbench.plan.suite_file import (
    DEFAULTS,
    FileBudget,
    FileDataset,
    FileEncoder,
    FileFamily,
    FileMeasure,
    FilePretraining,
    FileStrategy,
    FileTrack,
    SuiteFile,
)
from fusionbench.plan.tracks import TRACKS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FILE = "suite.schema.json"
"""Its name beside the shipped suites, and in the line that editors read."""
LINE = f"# yaml-language-server: $schema={FILE}"
"""A suite's first line."""
OWN = {"pattern": "[./:]"}
"""A name of the user's own: a module or a file."""
KINDS: Mapping[str, PluginKind] = {
    FileDataset.__name__: "dataset",
    FileStrategy.__name__: "strategy",
    FileEncoder.__name__: "encoder",
    FileMeasure.__name__: "measure",
}
CHOICES: Mapping[str, type] = {
    "datasets": FileDataset,
    "strategies": FileStrategy,
    "tracks": FileTrack,
    "measures": FileMeasure,
    "encoders": FileEncoder,
}
"""Fields that hold names, or names and options."""
_PARTS: tuple[type, ...] = (
    FileDataset,
    FileStrategy,
    FileMeasure,
    FileBudget,
    FilePretraining,
    FileEncoder,
    FileTrack,
    FileFamily,
)
_MEANINGS: Mapping[type, type] = {FileBudget: Budget, FilePretraining: Pretraining}
"""Whose fields are documented at another class too."""

Schema = dict[str, Any]


def suite_schema() -> Schema:
    """The schema of a suite file as it is written, short forms and all."""
    found = TypeAdapter(SuiteFile).json_schema(ref_template="#/$defs/{model}")
    parts: Schema = found["$defs"]
    _describe(found, _field_texts(SuiteFile))
    for owner in _PARTS:
        _describe(parts[owner.__name__], _field_texts(_MEANINGS.get(owner, owner)) | _field_texts(owner))
    for part, kind in KINDS.items():
        _name(parts[part], names(kind), [_options_of(describe(kind, name)) for name in names(kind)])
    _name(parts[FileTrack.__name__], tuple(TRACKS), [_track(name, owner) for name, owner in TRACKS.items()], own=False)
    parts[FileDataset.__name__]["properties"]["metric"]["anyOf"][0] = {"enum": list(SCORES)}
    for field, owner in CHOICES.items():
        given = found["properties"][field]
        given = given["anyOf"][1] if field == "strategies" else given
        short = given.get("items", given.get("additionalProperties"))["anyOf"]
        short[0] = {"$ref": f"#/$defs/{owner.__name__}/properties/name"}
    for field, default in DEFAULTS.items():
        found["required"].remove(field)
        found["properties"][field]["default"] = default
    return {"$schema": DIALECT, **_without_titles(found)}


def schema_text() -> str:
    """The schema as text: what the command line prints, and what lies beside the shipped suites."""
    return json.dumps(suite_schema(), indent=1) + "\n"


def _name(part: Schema, known: tuple[str, ...], options: list[Schema], *, own: bool = True) -> None:
    """Names that are known, or of the user's own, in the place of any word; then each has its own options."""
    shipped: Schema = {"enum": list(known)}
    allowed: Schema = {"anyOf": [shipped, {"type": "string", **OWN}]} if own else shipped
    part["properties"]["name"] = {"description": part["properties"]["name"]["description"], **allowed}
    part["allOf"] = [
        {
            "if": {"properties": {"name": {"const": name}}, "required": ["name"]},
            "then": {"properties": {"options": found}},
        }
        for name, found in zip(known, options, strict=True)
    ]


def _options_of(plugin: Plugin) -> Schema:
    """The options of a plug-in, and what it does."""
    found = {}
    for name, option in plugin.options.items():
        default = {} if option.required else {"default": option.default}
        found[name] = {**TypeAdapter(option.annotation).json_schema(), **default}
    return {"type": "object", "description": plugin.summary, "properties": found, "additionalProperties": False}


def _track(name: str, owner: type) -> Schema:
    """The options of a track."""
    found = TypeAdapter(owner).json_schema()
    _describe(found, _field_texts(owner))
    return {**found, "description": inspect.getdoc(owner) or name}


def _describe(part: Schema, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        if name in part.get("properties", {}):
            part["properties"][name]["description"] = text


def _field_texts(owner: type) -> dict[str, str]:
    """What the docstrings below the fields of a class, and of those it derives from, say."""
    bases = (base for base in reversed(owner.__mro__) if base is not object)
    return {name: text for base in bases for name, text in _texts_below(base)}


def _texts_below(owner: type) -> Iterator[tuple[str, str]]:
    (made,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    assert isinstance(made, ast.ClassDef)
    for field, text in zip(made.body, made.body[1:], strict=False):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                yield name, " ".join(said.split())


def _without_titles(part: Any) -> Any:
    """Without the titles that pydantic makes of names: editors show them in the place of what a field is called."""
    if isinstance(part, list):
        return [_without_titles(one) for one in part]
    if not isinstance(part, dict):
        return part
    return {name: _without_titles(one) for name, one in part.items() if name != "title" or isinstance(one, dict)}
