"""`fusionbench list`: what a suite may name, as plain tables; those of the docs are these."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fusionbench.cli.pages import page, pages, plugin_page
from fusionbench.core.catalogue import Plugin, PluginKind, describe, names
from fusionbench.core.errors import UserError, unknown
from fusionbench.core.installed import Installed
from fusionbench.plan.source import parse_source, shipped_suites

KINDS: dict[str, PluginKind] = {
    "datasets": "dataset",
    "strategies": "strategy",
    "encoders": "encoder",
    "measures": "measure",
}


NONE = Installed()


def listing(what: str | None, also: Installed = NONE) -> str:
    """One table as Markdown that also reads well on a wide terminal; all of them if `what` is None.

    Args:
        what: suites, strategies, datasets, encoders or measures.
        also: plug-ins of installed packages, behind the shipped ones.
    """
    if what is None:
        return "\n\n".join(f"{word}\n{listing(word, also)}" for word in ("suites", *KINDS))
    if what == "suites":
        return aligned(("suite", "what it runs"), suites())
    plugins = list(described(KINDS[what], also))
    match what:
        case "strategies":
            columns = ("strategy", "stage", "interaction", "fidelity", "paper", "what it does", "options")
            return aligned(columns, (_strategy(plugin) for plugin in plugins))
        case "datasets":
            head = ("dataset", "modalities", "task", "licence", "what it is", "options")
            return aligned(head, (_dataset(plugin) for plugin in plugins))
        case _:
            return aligned((KINDS[what], "what it does", "options"), ((p.name, does(p), _options(p)) for p in plugins))


def strategy_pages(also: Installed = NONE) -> str:
    """A page for each strategy, as Markdown."""
    return pages(described("strategy", also))


def one_page(what: str, name: str) -> str:
    """All of one plug-in as Markdown; of a suite, its file.

    Args:
        what: suites, strategies, datasets, encoders or measures.
        name: a shipped one; of plug-ins also one of the user's own, as a suite would name it.

    Raises:
        UserError: there is none of that name.
    """
    if what == "suites":
        known = shipped_suites()
        if name not in known:
            raise unknown("suite", name, known)
        return known[name].read_text(encoding="utf-8")
    plugin = describe(KINDS[what], name)
    return page(plugin) if plugin.kind == "strategy" else plugin_page(plugin)


def described(kind: PluginKind, also: Installed) -> Iterable[Plugin]:
    """Every plug-in of a kind whose file can be read."""
    for name in (*names(kind), *also.names.get(kind, ())):
        try:
            yield describe(kind, name)
        except UserError:  # One broken file does not hide the others; naming it in a suite shows what is wrong.
            continue


def suites() -> Iterable[tuple[str, str]]:
    """Every shipped suite and what it runs."""
    for name, path in shipped_suites().items():
        tree = parse_source(path.read_text(encoding="utf-8"), path.name).tree
        datasets = [item if isinstance(item, str) else item["name"] for item in tree["datasets"]]
        strategies = tree["strategies"] if isinstance(tree["strategies"], str) else len(tree["strategies"])
        yield name, f"{strategies} strategies on {', '.join(dict.fromkeys(datasets))}"


def _strategy(plugin: Plugin) -> tuple[str, ...]:
    facts = plugin.facts
    return (
        plugin.name,
        facts.get("stage", "feature"),
        facts.get("interaction", "full"),
        fidelity(plugin),
        facts.get("paper", ""),
        does(plugin),
        _options(plugin),
    )


def fidelity(plugin: Plugin) -> str:
    """Of a strategy: how near it is to its paper; empty without one, since there is nothing to be faithful to."""
    return str(plugin.facts.get("fidelity", "faithful")) if plugin.facts.get("paper") else ""


def _dataset(plugin: Plugin) -> tuple[str, ...]:
    kind = "option kind" if "kind" in plugin.options else str(plugin.facts.get("kind", "multiclass"))
    return plugin.name, modalities(plugin), kind, plugin.facts.get("licence", ""), does(plugin), _options(plugin)


def modalities(plugin: Plugin) -> str:
    """Of a dataset: names and kinds, view by view."""
    if option := plugin.facts.get("modalities_from"):
        return f"as its option {option} says"
    views = plugin.facts.get("views", {})
    return "; ".join(", ".join(f"{name} ({kind})" for name, kind in view.items()) for view in views.values())


def does(plugin: Plugin) -> str:
    """The docstring's first sentence without the name that it opens with."""
    sentence = plugin.summary.partition(". ")[0].removesuffix(".")
    return sentence.partition(": ")[2] or sentence


def _options(plugin: Plugin) -> str:
    return ", ".join(name if o.required else f"{name}={o.default}" for name, o in plugin.options.items())


def aligned(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table whose columns stand below one another."""
    cells = [head, *rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    return "\n".join([lines[0], "| " + " | ".join("-" * width for width in widths) + " |", *lines[1:]])
