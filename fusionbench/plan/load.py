"""Suite file to Suite: every name looked up, every option checked, every default filled in, before anything trains."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from fusionbench.core.canonical import canonical_json, short_key
from fusionbench.core.catalogue import Plugin, PluginKind, changed_options, checked_options, describe, names
from fusionbench.core.errors import UserError, unknown
from fusionbench.plan.source import Source, TreePath, read_source, with_settings
from fusionbench.plan.suite import TRACKS, Budget, Choice, Row, Suite

STRICT = ConfigDict(extra="forbid", strict=True)
NAME = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$"
MEASURES = ({"name": "size"},)


@checked_dataclass(config=STRICT, kw_only=True)
class _FileChoice:
    name: str
    options: dict[str, Any] = Field(default_factory=dict)


@checked_dataclass(config=STRICT, kw_only=True)
class _FileBudget:
    epochs: int = Field(Budget.epochs, ge=1)
    batch_size: int = Field(Budget.batch_size, ge=1)
    learning_rate: float = Field(Budget.learning_rate, gt=0, allow_inf_nan=False)
    weight_decay: float = Field(Budget.weight_decay, ge=0, allow_inf_nan=False)
    dropout: float = Field(Budget.dropout, ge=0, lt=1)
    precision: str = Field(Budget.precision, pattern="^(32-true|bf16-mixed)$")
    patience: int = Field(Budget.patience, ge=0)


@checked_dataclass(config=STRICT, kw_only=True)
class _File:
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)
    datasets: list[_FileChoice] = Field(min_length=1)
    strategies: list[_FileChoice] = Field(min_length=1)
    seeds: list[int] = Field(min_length=1)
    tracks: list[_FileChoice] = Field(min_length=1)
    measures: list[_FileChoice]
    budget: _FileBudget = Field(default_factory=_FileBudget)
    encoders: dict[str, _FileChoice] = Field(default_factory=dict)


def load_suite(suite: str, settings: Sequence[str] = ()) -> Suite:
    """The suite of that file or shipped name, with `--set` settings laid over it.

    Raises:
        UserError: one line that names the mistake, its place in the file and the way out.
    """
    return suite_of(with_settings(read_source(suite), list(settings)))


def suite_of(source: Source) -> Suite:
    """The suite that a source describes; raises UserError as `load_suite` does."""
    file = _validated(source)
    resolve = _Resolver(source)
    datasets = resolve.choices("dataset", file.datasets, ("datasets",))
    strategies = list(resolve.strategies(file.strategies))
    encoders = {name: resolve.choice("encoder", choice, ("encoders", name)) for name, choice in file.encoders.items()}
    _known_encoder_keys(source, encoders, datasets)
    for index, track in enumerate(file.tracks):
        if track.name not in TRACKS:
            raise unknown("track", track.name, TRACKS, source.place(("tracks", index)))
    tracks = tuple(Choice(track.name, track.options) for track in file.tracks)
    rows = tuple(
        row for dataset in datasets for track in tracks for row in _rows(source, dataset, strategies, encoders, track)
    )
    measures = resolve.choices("measure", file.measures, ("measures",))
    budget = Budget(**{name: getattr(file.budget, name) for name in vars(Budget())})
    return Suite(file.name, datasets, rows, tuple(file.seeds), tracks, budget, measures)


@dataclass
class _Resolver:
    """Looks names up in the catalogue; every error carries its place in the file."""

    source: Source

    def choices(self, kind: PluginKind, given: list[_FileChoice], at: TreePath) -> tuple[Choice, ...]:
        """Each name once with the same options, all defaults filled in."""
        found = [self.choice(kind, choice, (*at, index)) for index, choice in enumerate(given)]
        for index, choice in enumerate(found):
            if choice in found[:index]:
                raise UserError(
                    f"{self.source.place((*at, index))}: '{choice.name}' is named twice with the same options"
                )
        return tuple(found)

    def choice(self, kind: PluginKind, given: _FileChoice, at: TreePath) -> Choice:
        """One name with its options."""
        plugin = self.plugin(kind, given.name, at)
        return _filled(plugin, checked_options(plugin, given.options, self.source.place((*at, "options"))))

    def plugin(self, kind: PluginKind, name: str, at: TreePath) -> Plugin:
        """The plug-in of that name."""
        if not re.match(NAME, name):
            raise UserError(
                f"{self.source.place(at)}: '{name}' is no name: use a shipped one or package.module, no path"
            )
        try:
            return describe(kind, name)
        except UserError as error:
            raise UserError(f"{self.source.place(at)}: {error}") from error

    def strategies(self, given: list[_FileChoice]) -> Iterator[tuple[Plugin, dict[str, Any], TreePath]]:
        """Strategies before their options are filled in: `unimodal` still stands for one row per modality."""
        for index, choice in enumerate(given):
            yield self.plugin("strategy", choice.name, ("strategies", index)), choice.options, ("strategies", index)


def modality_kinds(dataset: Choice) -> dict[str, str]:
    """A dataset's modalities and their kinds, as its literal `views` says."""
    plugin = describe("dataset", dataset.name)
    views = plugin.facts["views"]
    view = dataset.options.get("view", next(iter(views)))
    if view not in views:
        raise unknown(f"view of dataset '{dataset.name}' called", view, views)
    return dict(views[view])


def _rows(
    source: Source,
    dataset: Choice,
    strategies: list[tuple[Plugin, dict[str, Any], TreePath]],
    encoders: dict[str, Choice],
    track: Choice,
) -> Iterator[Row]:
    kinds = modality_kinds(dataset)
    chosen = {name: _encoder_for(dataset, name, kind, encoders) for name, kind in kinds.items()}
    widths = {name: choice.options["width"] for name, choice in chosen.items()}
    if len(set(widths.values())) > 1:
        stated = ", ".join(f"{name}: {chosen[name].name} width {width}" for name, width in widths.items())
        raise UserError(
            f"{source.place(('encoders',))}: the encoders of {dataset.name} must share one width; got {stated}"
        )
    seen: list[Choice] = []
    for plugin, options, at in strategies:
        expand = plugin.facts.get("uses") == "one" and "modality" not in options
        for extra in [{"modality": name} for name in kinds] if expand else [{}]:
            filled = checked_options(plugin, {**options, **extra}, source.place((*at, "options")))
            strategy = _filled(plugin, filled)
            if strategy in seen:
                raise UserError(f"{source.place(at)}: '{strategy.name}' is named twice with the same options")
            seen.append(strategy)
            yield Row(dataset, strategy, _used(plugin, strategy, chosen, source.place(at)), track)


def _used(plugin: Plugin, strategy: Choice, encoders: dict[str, Choice], place: str) -> dict[str, Choice]:
    """The encoders that a strategy builds: those of all modalities, of the one it names, or none."""
    uses = plugin.facts.get("uses", "all")
    if uses == "one":
        modality = strategy.options["modality"]
        if modality not in encoders:
            raise unknown("modality", modality, encoders, place)
        return {modality: encoders[modality]}
    return {} if uses == "none" else encoders


def _encoder_for(dataset: Choice, modality: str, kind: str, given: dict[str, Choice]) -> Choice:
    """By modality name, then by kind, then the dataset's default by name, then by kind."""
    defaults = describe("dataset", dataset.name).facts["default_encoders"]
    for key in (modality, kind):
        if key in given:
            return given[key]
    for key in (modality, kind):
        if key in defaults:
            default = {"name": defaults[key]} if isinstance(defaults[key], str) else defaults[key]
            plugin = describe("encoder", default["name"])
            return _filled(
                plugin, checked_options(plugin, default.get("options", {}), f"default encoder of {dataset.name}")
            )
    raise UserError(f"dataset '{dataset.name}' has no encoder for its modality '{modality}'; name one under encoders")


def _known_encoder_keys(source: Source, encoders: dict[str, Choice], datasets: Sequence[Choice]) -> None:
    kinds = [modality_kinds(dataset) for dataset in datasets]
    known = {word for found in kinds for pair in found.items() for word in pair}
    for name in encoders:
        if name not in known:
            raise unknown("modality or kind in these datasets called", name, known, source.place(("encoders", name)))


def _filled(plugin: Plugin, options: dict[str, Any]) -> Choice:
    return Choice(plugin.name, options, "" if plugin.shipped else plugin.source)


def _validated(source: Source) -> _File:
    try:
        return TypeAdapter(_File).validate_json(canonical_json(_spelled_out(source)))
    except TypeError as error:
        raise UserError(f"{source.name}: {error}; write dates and the like in quotes") from error
    except ValidationError as error:
        lines = [_line(source, problem) for problem in error.errors()]
        raise UserError("\n".join(lines)) from error


def _spelled_out(source: Source) -> dict[str, Any]:
    """The tree with its short forms written out: a bare name is a choice without options, a count is a list of seeds."""
    tree = {"tracks": [TRACKS[0]], "measures": list(MEASURES), "seeds": 6, **source.tree}
    if tree.get("strategies") == "all":
        tree["strategies"] = list(names("strategy"))
    seeds = tree["seeds"]
    if isinstance(seeds, int) and not isinstance(seeds, bool) and 1 <= seeds <= 10_000:
        tree["seeds"] = list(range(seeds))
    elif not (
        isinstance(seeds, list) and all(type(s) is int and s >= 0 for s in seeds) and len(set(seeds)) == len(seeds)
    ):
        raise UserError(
            f"{source.place(('seeds',))}: give a count from 1 on or a list of different seeds, got {seeds!r}"
        )
    for part in ("datasets", "strategies", "tracks", "measures"):
        if isinstance(tree.get(part), list):
            tree[part] = [_choice(item) for item in tree[part]]
    if isinstance(tree.get("encoders"), dict):
        tree["encoders"] = {name: _choice(item) for name, item in tree["encoders"].items()}
    return tree


def _different_counts(seeds: Any) -> bool:
    return isinstance(seeds, list) and all(type(s) is int and s >= 0 for s in seeds) and len(set(seeds)) == len(seeds)


def _choice(item: Any) -> Any:
    return {"name": item} if isinstance(item, str) else item


def _line(source: Source, problem: Any) -> str:
    path = tuple(problem["loc"])
    if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        owner: Any = _FileChoice
        owner = {1: _File}.get(len(path), _FileBudget if path[0] == "budget" else _FileChoice)
        return str(unknown("key", str(path[-1]), owner.__dataclass_fields__, source.place(path)))
    message = problem["msg"][0].lower() + problem["msg"][1:]
    if problem["type"] in ("missing", "missing_argument"):
        return f"{source.place(path)}: is missing"
    if problem["type"] == "string_pattern_mismatch" and path == ("name",):
        message = "a suite's name is lower-case letters, digits, - and _, no path"
    return f"{source.place(path)}: {message}, got {problem['input']!r}"


def slug(kind: PluginKind, choice: Choice) -> str:
    """The choice as a folder name: `synthetic_pid+relation=synergy`; long or odd options become 6 hex digits."""
    changed = changed_options(describe(kind, choice.name), choice.options)
    plain = "".join(f"+{name}={value}" for name, value in sorted(changed.items()))
    if not plain:
        return choice.name
    if len(plain) <= 60 and re.fullmatch(r"[A-Za-z0-9_+=.-]*", plain):
        return choice.name + plain
    return f"{choice.name}+{short_key(changed, 6)}"
