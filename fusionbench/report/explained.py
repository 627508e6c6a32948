"""One test row explained, in words and numbers: what each modality adds to the answer, and its strongest inputs.

Subwords are joined to words: what is attributed to a word is the sum over its pieces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionbench.core.output import printable

BEGINS = ("\u2581", "\u0120")
"""What stands before a piece that begins a word: sentencepiece's sign, and that of byte pairs."""
GOES_ON = "##"
"""What stands before one that does not: WordPiece's."""
AS_PICTURES = ("image", "audio", "sequence")
SHOWN = 5
"""Of the strongest inputs, on a terminal."""


@dataclass(frozen=True)
class Input:
    """A word, or a number by its name, and what it adds."""

    name: str
    added: float


@dataclass(frozen=True)
class Part:
    """One modality."""

    name: str
    kind: str
    total: float
    present: bool
    inputs: tuple[Input, ...]
    """In their order: words, features or entries; none of what is a picture."""
    values: NDArray[Any]
    """What the model met, (C, H, W) or (T, F); only of what is a picture."""
    added: NDArray[Any]
    """What each of these adds."""

    def strongest(self, count: int) -> list[Input]:
        """Of the inputs, the strongest first; those that add nothing are left out."""
        return sorted((one for one in self.inputs if one.added), key=lambda one: -abs(one.added))[:count]


@dataclass(frozen=True)
class Explanation:
    """What a model says of one row, and why."""

    title: str
    facts: Mapping[str, Any]
    """As the job gives them."""
    parts: tuple[Part, ...]

    @property
    def target(self) -> str:
        """The class, or number, whose logit is explained."""
        return self.class_name(self.facts["target"])

    def class_name(self, number: float) -> str:
        """As the data set has it."""
        return printable(str(self.facts["classes"][int(number)]))

    def said(self, answer: Sequence[float]) -> str:
        """An answer: the first class and its probability; of a regression the number that is explained."""
        if self.facts["task"] == "regression":
            return f"{answer[self.facts['target']]:.4g}"
        first = int(np.argmax(answer))
        return f"{self.class_name(first)} ({answer[first]:.2f})"

    @property
    def truth(self) -> str:
        """What is right."""
        if self.facts["task"] == "regression":
            return f"{self.facts['truth'][self.facts['target']]:.4g}"
        return ", ".join(self.class_name(number) for number in self.facts["truth"]) or "none"


def explanation(title: str, facts: Mapping[str, Any]) -> Explanation:
    """Of what a job gives."""
    return Explanation(title, facts, tuple(_part(one) for one in facts["parts"]))


def words_of(pieces: Sequence[str], added: Sequence[float]) -> list[Input]:
    """Subwords joined to words; pieces without any sign of joining stay as they are.

    >>> words_of(["\u2581un", "like", "ly", "\u2581so"], [1.0, 2.0, 3.0, 4.0])
    [Input(name='unlikely', added=6.0), Input(name='so', added=4.0)]
    >>> words_of(["film", "##s", "now"], [1.0, 2.0, 3.0])
    [Input(name='films', added=3.0), Input(name='now', added=3.0)]
    """
    begins = tuple(sign for sign in BEGINS if any(piece.startswith(sign) for piece in pieces))
    continues = any(piece.startswith(GOES_ON) for piece in pieces)
    words: list[Input] = []
    for piece, value in zip(pieces, added, strict=True):
        goes_on = piece.startswith(GOES_ON) if continues else bool(begins) and not piece.startswith(begins)
        bare = piece.removeprefix(GOES_ON) if continues else piece.lstrip("".join(begins)) if begins else piece
        if goes_on and words:
            words[-1] = Input(words[-1].name + printable(bare), words[-1].added + float(value))
        else:
            words.append(Input(printable(bare), float(value)))
    return words


def lines(found: Explanation) -> Iterator[str]:
    """For a terminal."""
    facts = found.facts
    yield f"{found.title}: answers {found.said(facts['answer'])}, right is {found.truth}"
    yield (
        f"logit of {found.target}: {facts['logit']:.4g}, {facts['baseline']:.4g} of an input that says nothing; what "
        f"is attributed adds up to the difference within {100 * facts['gap']:.2f} % ({facts['steps']} steps)"
    )
    for part in found.parts:
        weight = (
            f", the strategy's own weight {facts['weights'][part.name]:.3f}" if part.name in facts["weights"] else ""
        )
        without = facts["without"].get(part.name)
        said = f"; without it: {found.said(without)}" if without else ""
        yield f"  {part.name}: adds {part.total:+.4g}{weight}{said if part.present else '; it is missing here'}"
        strongest = [f"{one.name or '?'} {one.added:+.3g}" for one in part.strongest(SHOWN)]
        if strongest:
            yield f"    {', '.join(strongest)}"


def _part(facts: Mapping[str, Any]) -> Part:
    added, kind = np.asarray(facts["added"], dtype=float), str(facts["kind"])
    values = np.asarray(facts.get("values", added), dtype=float)
    inputs: list[Input] = []
    if kind == "bag":
        inputs = [Input(printable(word), float(one)) for word, one in zip(facts["words"], added, strict=True)]
    elif "words" in facts:
        inputs = words_of(facts["words"], added.tolist())
    elif kind not in AS_PICTURES:
        inputs = [
            Input(f"{name} = {value:.3g}", float(one))
            for name, value, one in zip(_names(facts, added), values.ravel(), added.ravel(), strict=True)
        ]
    return Part(str(facts["name"]), kind, float(facts["total"]), bool(facts["present"]), tuple(inputs), values, added)


def _names(facts: Mapping[str, Any], added: NDArray[Any]) -> list[str]:
    names = list(facts.get("names", ()))
    return [
        printable(names[number]) if number < len(names) and names[number] else f"number {number}"
        for number in range(added.size)
    ]
