"""Scores, strategies, data sets and tracks as papers write them; files, keys and CSVs keep the names of suites."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any

from fusionbench.core.catalogue import Plugin, PluginKind, changed_options, describe
from fusionbench.core.errors import UserError
from fusionbench.core.plugin_names import in_words
from fusionbench.core.scores import SCORES, bare, lower_is_better, score_of
from fusionbench.plan.suite import Choice, Suite
from fusionbench.report.numbers import count


def title(name: str) -> str:
    """A score as a reader writes it: `GAP@20` for `test/gap20`."""
    return score_of(name).title if bare(name) in SCORES else bare(name).replace("_", " ") or "score"


def directed(name: str) -> str:
    """The same, with a word on its direction where that is not the usual one: `RMSE (lower is better)`."""
    return f"{title(name)} (lower is better)" if lower_is_better(name) else title(name)


def signed(name: str) -> str:
    """The same for differences, which are + where a row is better: `RMSE (+ is better)`."""
    return f"{title(name)} (+ is better)" if lower_is_better(name) else title(name)


def extreme(name: str) -> str:
    """Which mean is the best."""
    return "lowest" if lower_is_better(name) else "highest"


def strategy_title(choice: Choice) -> str:
    """A strategy as papers write it, with what differs from its defaults: `GMU`, `LMF (rank 8)`, `Unimodal (left)`."""
    return _titled("strategy", choice)


def dataset_title(suite: Suite, dataset: Choice) -> str:
    """A data set's title: the suite's own, else its display name with the options that can be said in a word.

    Of two data sets of a suite that come to the same words, the second is told apart by a number.
    """
    titles = [suite.title_of(one) or _titled("dataset", one) for one in suite.datasets]
    at = suite.datasets.index(dataset)
    before = titles[:at].count(titles[at])
    return f"{titles[at]} no. {before + 1}" if before else titles[at]


def track_title(track: Choice) -> str:
    """A track in words: `same encoders`, `matched parameters (1.6 M)`."""
    words = [f"{option} widths" for option in (track.options.get("solve"),) if option]
    target = track.options.get("target")
    words += [count(target).removesuffix(" ")] if isinstance(target, int | float) else []
    return plain(track.name) + (f" ({', '.join(words)})" if words else "")


def display_name(plugin: Plugin) -> str:
    """A plug-in as papers write it, whatever its options: its fact `display`, else its name in words."""
    return str(plugin.facts.get("display") or "") or _capital(in_words(plugin.name))


def plain(name: str) -> str:
    """The name of an option or a track in words: `head width`."""
    return name.replace("_", " ").strip()


def told_apart(titles: Sequence[str]) -> list[str]:
    """The same titles, a number after one that was there before."""
    return [f"{one} no. {titles[:at].count(one) + 1}" if one in titles[:at] else one for at, one in enumerate(titles)]


def _titled(kind: PluginKind, choice: Choice) -> str:
    try:
        plugin = describe(kind, choice.name)
    except UserError:  # A user's own module that is gone: its options are all that is known.
        return _with(
            _capital(in_words(choice.name)), [f"{name} {_value(value)}" for name, value in choice.options.items()]
        )
    ranked = [f"by {title(choice.metric)}"] if choice.metric else []
    lacking = [f"{rate:.0%} of {name} missing in training" for name, rate in choice.train_missing.items()]
    return _with(display_name(plugin), [*_words(plugin, choice), *lacking, *ranked])


def _words(plugin: Plugin, choice: Choice) -> Iterator[str]:
    """The options that differ from the defaults."""
    named = (plugin.facts.get("per_modality"), "modality", "view", "relation")
    changed = changed_options(plugin, choice.options)
    for name, value in sorted(changed.items(), key=lambda pair: (pair[0] not in named, pair[0])):
        if name in plugin.files:
            yield PurePath(str(value)).name.partition("#")[0]
        elif isinstance(value, bool):
            yield plain(name) if value else f"no {plain(name)}"
        elif isinstance(value, str) and name in named:
            yield value.replace("_", " ")
        elif plugin.kind != "dataset" or isinstance(value, str | int | float):
            yield f"{plain(name)} {_value(value)}"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else json.dumps(value)


def _with(words: str, more: Sequence[str]) -> str:
    return f"{words} ({', '.join(more)})" if more else words


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
