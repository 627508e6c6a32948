"""`fusionbench list`: what a suite may name, as plain tables; the README's tables are these."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fusionbench.cli.pages import pages
from fusionbench.core.catalogue import Plugin, PluginKind, describe, names
from fusionbench.core.errors import UserError
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
    """One table as Markdown that also reads well on a terminal; all of them if `what` is None.

    Args:
        what: suites, strategies, datasets, encoders or measures.
        also: plug-ins of installed packages, behind the shipped ones.
    """
    if what is None:
        return "\n\n".join(f"{word}\n{listing(word, also)}" for word in ("suites", *KINDS))
    if what == "suites":
        return aligned(("suite", "what it runs"), _suites())
    plugins = list(_described(KINDS[what], also))
    match what:
        case "strategies":
            columns = ("strategy", "stage", "interaction", "fidelity", "paper", "what it does", "options")
            return aligned(columns, (_strategy(plugin) for plugin in plugins))
        case "datasets":
            head = ("dataset", "modalities", "task", "licence", "what it is", "options")
            return aligned(head, (_dataset(plugin) for plugin in plugins))
        case _:
            return aligned((KINDS[what], "what it does", "options"), ((p.name, _does(p), _options(p)) for p in plugins))


def strategy_pages(also: Installed = NONE) -> str:
    """A page for each strategy, as Markdown."""
    return pages(_described("strategy", also))


def _described(kind: PluginKind, also: Installed) -> Iterable[Plugin]:
    for name in (*names(kind), *also.names.get(kind, ())):
        try:
            yield describe(kind, name)
        except UserError:  # One broken file does not hide the others; naming it in a suite shows what is wrong.
            continue


def _suites() -> Iterable[tuple[str, str]]:
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
        facts.get("fidelity", "faithful") if facts.get("paper") else "",  # Faithful to what, without a paper?
        facts.get("paper", ""),
        _does(plugin),
        _options(plugin),
    )


def _dataset(plugin: Plugin) -> tuple[str, ...]:
    views = plugin.facts.get("views", {})
    modalities = "; ".join(", ".join(f"{name} ({kind})" for name, kind in view.items()) for view in views.values())
    if option := plugin.facts.get("modalities_from"):
        modalities = f"as its option {option} says"
    kind = "option kind" if "kind" in plugin.options else str(plugin.facts.get("kind", "multiclass"))
    return plugin.name, modalities, kind, plugin.facts.get("licence", ""), _does(plugin), _options(plugin)


def _does(plugin: Plugin) -> str:
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
