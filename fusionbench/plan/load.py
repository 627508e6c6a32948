"""Suite file to Suite: every name looked up, every option checked, every default filled in, before anything trains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fusionbench.core.catalogue import Plugin, PluginKind, checked_options, describe
from fusionbench.core.contents import named_content
from fusionbench.core.errors import UserError, shown, unknown
from fusionbench.core.plugin_names import FORMS, is_name, is_shipped
from fusionbench.plan.budget import Budget, Pretraining
from fusionbench.plan.dataset_choice import asked_of, modality_kinds
from fusionbench.plan.families import checked_families
from fusionbench.plan.measures import check_measures
from fusionbench.plan.names import slug, track_label
from fusionbench.plan.schema import validated
from fusionbench.plan.source import Source, TreePath, named_suites, read_source, with_settings
from fusionbench.plan.suite import TUNED, Choice, Row, Suite, on_half
from fusionbench.plan.suite_file import FileChoice, FileDataset, FileEncoder, FileTraining, SuiteFile
from fusionbench.plan.titles import checked_titles
from fusionbench.plan.tracks import filled_track
from fusionbench.plan.tuned import own_space


def load_suite(suite: str, settings: Sequence[str] = ()) -> Suite:
    """The suite of that file or shipped name, with `--set` settings laid over it.

    Raises:
        UserError: one or two lines that name the mistake, its place in the file and the way out.
    """
    return suite_of(with_settings(read_source(suite), list(settings)))


def suite_of(source: Source) -> Suite:
    """The suite that a source describes; raises UserError as `load_suite` does."""
    file = validated(source)
    resolve = _Resolver(source, file)
    datasets = resolve.choices("dataset", file.datasets, ("datasets",))
    encoders = {name: resolve.encoder(given, ("encoders", name)) for name, given in file.encoders.items()}
    resolve.check_encoder_keys(encoders, datasets)
    budget = resolve.budget(file.budget, ("budget",))
    tracks = resolve.tracks(file.tracks, budget, file.seeds)
    rows = tuple(
        row
        for dataset in datasets
        for track in tracks
        for row in resolve.rows(dataset, file.strategies, encoders, track)
    )
    measures = resolve.choices("measure", file.measures, ("measures",))
    check_measures(measures, datasets, lambda number: source.place(("measures", number)))
    given = zip(tracks, file.tracks, strict=True)
    fewer = tuple((track, tuple(one.seeds)) for track, one in given if one.seeds is not None)
    others = tuple(named_suites(source, file.compare_with, file.name))
    families = checked_families(source, file.families, rows)
    titles = tuple(checked_titles(source, datasets, file.datasets))
    seeds = tuple(file.seeds)
    keep, limit = file.keep or "", file.budget.time_limit
    parts = seeds, tracks, budget, measures, fewer, others, families, titles, keep, limit
    return Suite(file.name, datasets, rows, *parts)


def has_own_labels(dataset: Choice, modality: str) -> bool:
    """Whether a modality has labels that are not the task's, as the dataset's literal `auxiliary_classes` says."""
    return modality in describe("dataset", dataset.name).facts.get("auxiliary_classes", {})


@dataclass(frozen=True)
class _Resolver:
    """Looks names up in the catalogue; every error carries its place in the file."""

    source: Source
    file: SuiteFile

    def choices(self, kind: PluginKind, given: Sequence[FileChoice], at: TreePath) -> tuple[Choice, ...]:
        """Each name with its options, no two alike."""
        found = [self.choice(kind, choice, (*at, index)) for index, choice in enumerate(given)]
        self.check_once(found, at)
        return tuple(found)

    def choice(self, kind: PluginKind, given: FileChoice, at: TreePath) -> Choice:
        """One name with its options, all defaults filled in; of a dataset what ranks, if it is not its own."""
        found = self.filled(self.plugin(kind, given.name, at), given.options, at)
        if isinstance(given, FileDataset):
            return asked_of(found, given, lambda *part: self.source.place((*at, *part)))
        return found

    def encoder(self, given: FileEncoder, at: TreePath) -> Choice:
        """The same, with the budget of pretraining where there is one; which rows, `pretrained` says."""
        choice = self.choice("encoder", given, at)
        if given.pretrain and choice.is_frozen:
            place = self.source.place((*at, "pretrain"))
            raise UserError(f"{place}: encoder '{choice.name}' has nothing to train; leave pretrain out")
        if given.pretrain is None:
            return replace(choice, pretrain=None)
        return replace(choice, pretrain=Pretraining(**vars(self.budget(given.pretrain, (*at, "pretrain")))))

    def budget(self, given: FileTraining, at: TreePath) -> Budget:
        """The budget; one whose momentum nobody would use is refused."""
        if given.momentum and given.optimiser != "sgd":
            place = self.source.place((*at, "momentum"))
            raise UserError(f"{place}: {given.optimiser} has none; say optimiser: sgd too, or leave momentum out")
        return Budget(**{name: getattr(given, name) for name in vars(Budget())})

    def plugin(self, kind: PluginKind, name: str, at: TreePath) -> Plugin:
        """The plug-in of that name."""
        place = self.source.place(at)
        if not is_name(name):
            raise UserError(f"{place}: {shown(name)} is no name; give {FORMS}")
        try:
            return describe(kind, name)
        except UserError as error:
            raise UserError(f"{place}: {error}") from error

    def filled(self, plugin: Plugin, options: Mapping[str, Any], at: TreePath) -> Choice:
        """The plug-in with all its options."""
        return _choice(plugin, options, lambda *part: self.source.place((*at, "options", *part)))

    def check_once(self, found: Sequence[Choice], at: TreePath) -> None:
        """Refuse a choice that stands there twice: its records would have one name."""
        for index, choice in enumerate(found):
            if choice in found[:index]:
                place = self.source.place((*at, index))
                raise UserError(f"{place}: '{choice.name}' is named twice with the same options")

    def tracks(self, given: Sequence[FileChoice], budget: Budget, seeds: Sequence[int]) -> tuple[Choice, ...]:
        """The tracks with all their options; two of one label would share their files."""
        found: list[Choice] = []
        for index, track in enumerate(given):
            at: TreePath = ("tracks", index)
            found.append(
                filled_track(
                    track.name, track.options, budget, seeds, lambda *part, at=at: self.source.place((*at, *part))
                )
            )
            if track_label(found[-1]) in map(track_label, found[:-1]):
                raise UserError(f"{self.source.place(at)}: '{track_label(found[-1])}' is named twice")
        return tuple(found)

    def check_encoder_keys(self, encoders: Mapping[str, Choice], datasets: Sequence[Choice]) -> None:
        """Refuse an encoder for a modality or kind that no dataset has."""
        known = {word for dataset in datasets for pair in modality_kinds(dataset).items() for word in pair}
        for name in encoders:
            if name not in known:
                what = "modality or kind in these datasets called"
                raise unknown(what, name, known, self.source.place(("encoders", name)))

    def rows(
        self, dataset: Choice, strategies: Sequence[FileChoice], given: Mapping[str, Choice], track: Choice
    ) -> Iterator[Row]:
        """A row per strategy; one that names a modality by an option and is not told which is a row per modality."""
        encoders = self.encoders(dataset, given)
        seen: list[Choice] = []
        for index, choice in enumerate(strategies):
            at: TreePath = ("strategies", index)
            plugin = self.plugin("strategy", choice.name, at)
            by = plugin.facts.get("per_modality", "")
            for extra in [{by: name} for name in encoders] if by and by not in choice.options else [{}]:
                strategy = self.filled(plugin, {**choice.options, **extra}, at)
                if strategy in seen:
                    place = self.source.place(at)
                    raise UserError(f"{place}: '{strategy.name}' is named twice with the same options")
                place = self.source.place(at)
                _refuse_shared_row(place, strategy, seen)
                seen.append(strategy)
                used = _used(plugin, strategy, encoders, place)
                space = own_space(plugin, choice.options, place) if track.name == TUNED else {}
                yield Row(dataset, strategy, used, track, on_half(encoders) and not on_half(used), space)

    def encoders(self, dataset: Choice, given: Mapping[str, Choice]) -> dict[str, Choice]:
        """Each modality's encoder: by its name, then by its kind, then the dataset's default by name, then by kind."""
        chosen = {}
        for name, kind in modality_kinds(dataset).items():
            key = next((key for key in (name, kind) if key in given), "")
            place = self.source.place(("encoders", key) if key else ("datasets",))
            choice = given[key] if key else _default_encoder(dataset, name, kind, place)
            reads = describe("encoder", choice.name).facts.get("kinds", (kind,))
            if kind not in reads:
                what = f"'{name}' of {dataset.name} is of kind {kind}"
                raise UserError(f"{place}: encoder '{choice.name}' reads {' or '.join(reads)}; {what}")
            if "width" not in choice.options:
                raise UserError(f"{place}: encoder '{choice.name}' needs a keyword-only option `width: int`")
            chosen[name] = self.pretrained(choice, key, has_own_labels(dataset, name))
        if len({choice.options["width"] for choice in chosen.values()}) > 1:
            stated = ", ".join(
                f"{name}: {choice.name} width {choice.options['width']}" for name, choice in chosen.items()
            )
            place = self.source.place(("encoders",))
            raise UserError(f"{place}: the encoders of {dataset.name} must share one width; got {stated}")
        return chosen

    def pretrained(self, choice: Choice, key: str, own: bool) -> Choice:
        """With the rows that pretraining is on: as stated, or all for labels of its own and half for the task's."""
        stated = self.file.encoders[key].pretrain if key else None
        if not (choice.pretrain and stated):
            return choice
        rows = stated.rows or ("all" if own else "half")
        return replace(choice, pretrain=replace(choice.pretrain, rows=rows))


def _refuse_shared_row(place: str, strategy: Choice, seen: Sequence[Choice]) -> None:
    """Files of the user's own that lie in two folders may be called alike; a table names a row once."""
    row = slug("strategy", strategy)
    for other in seen:
        if not is_shipped(strategy.name) and slug("strategy", other) == row:
            raise UserError(f"{place}: '{strategy.name}' and '{other.name}' would both be the row '{row}'; rename one")


def _used(plugin: Plugin, strategy: Choice, encoders: dict[str, Choice], place: str) -> dict[str, Choice]:
    """The encoders that a strategy builds: those of all modalities, of the one it names, or none."""
    uses = plugin.facts.get("uses", "all")
    if uses == "one":
        if (modality := strategy.options["modality"]) not in encoders:
            raise unknown("modality", modality, encoders, place)
        return {modality: encoders[modality]}
    return {} if uses == "none" else encoders


def _default_encoder(dataset: Choice, modality: str, kind: str, place: str) -> Choice:
    facts = describe("dataset", dataset.name).facts
    known = (kind,) if facts.get("modalities_from") else (modality, kind)  # A user's column `audio` may hold features.
    default = next((facts["default_encoders"][key] for key in known if key in facts.get("default_encoders", {})), None)
    if default is None:
        has = f"dataset '{dataset.name}' has no encoder for its modality '{modality}'"
        raise UserError(f"{place}: {has}; name one under encoders")
    name, options = (default, {}) if isinstance(default, str) else (default["name"], default.get("options", {}))
    where = (f"{place}: default encoder of {dataset.name}",)
    return _choice(describe("encoder", name), options, lambda *part: ".".join(map(str, where + part)))


def _choice(plugin: Plugin, options: Mapping[str, Any], place: Any) -> Choice:
    own = "" if plugin.shipped else plugin.source
    filled, files = checked_options(plugin, options, place), {}
    for name in plugin.files:
        if filled.get(name):
            try:
                filled[name], files[name] = named_content(filled[name])
            except UserError as error:
                raise UserError(f"{place(name)}: {plugin.kind} '{plugin.name}': {error}") from error
    return Choice(plugin.name, filled, own, version=plugin.version, files=files)
