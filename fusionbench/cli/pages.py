"""A page for each strategy, made of its docstring and its class facts: `list strategies --long`, docs/strategies.md."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from fusionbench.core.catalogue import Plugin
from fusionbench.core.options import Option
from fusionbench.report import families
from fusionbench.report.titles import display_name

FAMILIES = families.HEADINGS
"""A strategy's fact `family`, and its heading; in the order of the pages."""
HEAD = """\
# Strategies

One page for each, made from its file by `python docs/readme.py`; `fusionbench list strategies --long` prints the same.

Letters: B samples of a batch, M modalities, T steps, D width of the encodings, H hidden units, C classes, W hidden
units of the MLP head, as wide as the encodings or as a track of matched parameters asks. An MLP is a linear layer to W
units, ReLU, dropout, and a linear layer to the classes. Formulas of counts are Python, and tests evaluate them; in
those of strategies between layers, S is how many layers of each encoder take part, K how many channels each of these
has, and P how many of the T steps have a place in an order; E is the number of parameters of an encoder. Of a
regression, C is how many numbers are predicted and y are these, standardised, trained by the mean of squared errors
where it says CE; a page says so where a strategy cannot.

- **Interaction**: what the label may depend on. *none* adds up what each modality says and stays at chance on XOR;
  *limited* gets at most three of XOR's four cells; *full* learns it. Tests train every strategy on that.
- **Fidelity**: *faithful* is the paper's formula on the paper's inputs, tested against an independent implementation;
  *adapted* is the same mechanism at another place; *inspired* is the idea alone.
"""
FACTS = (("stage", "feature"), ("flow", "parallel"), ("representation", "joint"), ("interaction", "full"))
"""What stands in the table of each page, and what a class inherits where its source does not say."""
PART = re.compile(
    r"^(Parameters|FLOPs|Source|Use): (.*(?:\n(?!Parameters: |FLOPs: |Source: |Use: |\n).*)*)", re.MULTILINE
)


def pages(plugins: Iterable[Plugin]) -> str:
    """All pages as Markdown, family by family, with a list of them before."""
    found = sorted(plugins, key=lambda plugin: (list(FAMILIES).index(family(plugin)), plugin.name))
    by_family = {name: [p for p in found if family(p) == name] for name in FAMILIES}
    contents = [
        f"- {heading}: " + ", ".join(f"[{plugin.name}](#{plugin.name})" for plugin in by_family[name])
        for name, heading in FAMILIES.items()
        if by_family[name]
    ]
    parts = [HEAD, "\n".join(contents) + "\n"]
    for name, heading in FAMILIES.items():
        parts += [f"## {heading}\n"] * bool(by_family[name]) + [page(plugin) for plugin in by_family[name]]
    return "\n".join(parts)


def family(plugin: Plugin) -> str:
    """Its fact; a user's own strategy that states none is taken by its stage."""
    return families.family(plugin.facts)


def page(plugin: Plugin) -> str:
    """One strategy: what it does, facts, formula with shapes, counts, source, departures, when to use it."""
    parts = {found[1]: " ".join(found[2].split()) for found in PART.finditer(plugin.doc)}
    body = PART.sub("", plugin.doc).partition("\n\n")[2].strip("\n")
    facts = plugin.facts
    paper = str(facts.get("paper", ""))
    lines = [f"### {plugin.name}", "", sentence(plugin), "", *_facts(plugin), "", *_prose(body.split("\n")), ""]
    stated = [
        ("Options", _options(plugin.options)),
        ("Tuned by the track `tuned`", _tunable(facts.get("tunable", {}))),
        ("Parameters", _code(parts.get("Parameters"))),
        ("FLOPs a sample", _code(parts.get("FLOPs"))),
        ("Source", _escaped(_closed(parts.get("Source", ""))) + (f" [{paper}]" if paper else "")),
        ("Departures", _closed(str(facts.get("departure", "")))),
        ("In a family", _copy(str(facts.get("copy_of", "")))),
        ("Over several devices", _closed(str(facts.get("batch_level", "")))),
        ("Numbers", f"It cannot predict them: {needed}." if (needed := facts.get("needs_classes", "")) else ""),
        ("When to use it", _closed(parts.get("Use", ""))),
    ]
    lines += [f"- **{name}**: {text}" for name, text in stated if text]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + "\n"


def plugin_page(plugin: Plugin) -> str:
    """One dataset, encoder or measure: its docstring and its options."""
    body = plugin.doc.partition("\n\n")[2].strip("\n")
    shown = [f"### {plugin.name}", "", sentence(plugin), "", *_prose(body.split("\n")), ""]
    stated = [
        ("Options", _options(plugin.options)),
        ("Licence", str(plugin.facts.get("licence", ""))),
        ("Papers", str(plugin.facts.get("paper", ""))),
    ]
    shown += [f"- **{name}**: {text}" for name, text in stated if text]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(shown)).rstrip("\n") + "\n"


def _copy(original: str) -> str:
    return f"counted once with `{original}`: one model but for gradients." if original else ""


def sentence(plugin: Plugin) -> str:
    """The first paragraph without the name that it opens with, as a sentence."""
    text = plugin.summary.partition(": ")[2] or plugin.summary
    return _closed(text[:1].upper() + text[1:])


def _facts(plugin: Plugin) -> Iterator[str]:
    facts: Mapping[str, object] = plugin.facts
    fidelity = str(facts.get("fidelity", "faithful")) if facts.get("paper") else "no paper"
    cells = [("family", family(plugin)), *((name, facts.get(name, usual)) for name, usual in FACTS)]
    cells += [("fidelity", fidelity), ("in papers' tables", display_name(plugin))]
    yield "| " + " | ".join(str(name) for name, _ in cells) + " |"
    yield "|" + " :-- |" * len(cells)
    yield "| " + " | ".join(str(value) for _, value in cells) + " |"


def _prose(lines: Sequence[str]) -> Iterator[str]:
    """As Markdown: the indented formulas are code there already, and what is outside of them is escaped."""
    for line in lines:
        yield line if line.startswith("    ") else _escaped(line)


def _escaped(text: str) -> str:
    """Markdown's own characters as themselves, but in what stands between backquotes, where they are that already."""
    parts = text.split("`")
    return "`".join(part if index % 2 else re.sub(r"([*_<>|])", r"\\\1", part) for index, part in enumerate(parts))


def _options(options: Mapping[str, Option]) -> str:
    stated = (f"`{name}`" if option.required else f"`{name}={option.default}`" for name, option in options.items())
    return ", ".join(stated)


def _tunable(stated: Mapping[str, Sequence[Any]]) -> str:
    """`rank` 1 to 16 (log); of options with values, these."""
    return "; ".join(
        f"`{name}` " + (", ".join(map(str, part)) if isinstance(part, list) else _range(*part))
        for name, part in stated.items()
    )


def _range(low: float, high: float, scale: str = "") -> str:
    return f"{low} to {high}{f' ({scale})' if scale else ''}"


def _code(text: str | None) -> str:
    return f"`{text}`" if text else ""


def _closed(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if not text or text.endswith(".") else f"{text}."
