"""The score that frozen encoders allow where the label is the XOR of what they were trained to tell.

    ceiling = a b + (1 - a) (1 - b)      a, b: how often each encoder tells its own bit

It is right where both bits are, or neither. Being unsure of a bit does not help: with chances p and q of the bits the
best answer to their XOR is right with 1/2 + 2 |p - 1/2| |q - 1/2|, whose mean over independent, honest p and q, with
a = 1/2 + E|p - 1/2|, is the same number. A row above it read something off the encodings that the encoder's own
classifier had not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

from fusionbench.core.catalogue import describe
from fusionbench.core.errors import UserError
from fusionbench.plan.suite import Choice
from fusionbench.report.collect import Outcome

CHANCE = 0.5
"""What a bit is told by nothing."""


@dataclass(frozen=True)
class Ceiling:
    """Means over the seeds that have encoders."""

    value: float
    own: Mapping[str, float]
    """By modality, its encoder's accuracy on its own labels, on validation."""

    def part(self, score: float) -> float:
        """How far a score is on the way from chance, 0, to the ceiling, 1."""
        return (score - CHANCE) / (self.value - CHANCE)


def ceiling(dataset: Choice, outcomes: Iterable[Outcome]) -> Ceiling | None:
    """Of a table's runs; None unless the label is an XOR and both encoders were trained on its bits beforehand.

    A dataset says so by a literal `xor_of = {relation: (modality, modality)}`.
    """
    try:
        modalities = describe("dataset", dataset.name).facts.get("xor_of", {}).get(dataset.options.get("relation"))
    except UserError:  # A user's own module that is gone.
        return None
    if not modalities:
        return None
    by_seed = {o.run.seed: own for o in outcomes if (own := _accuracies(o, modalities))}
    if not by_seed:
        return None
    found = [own for _, own in sorted(by_seed.items())]
    value = fmean(a * b + (1 - a) * (1 - b) for a, b in (own.values() for own in found))
    return Ceiling(value, {name: fmean(own[name] for own in found) for name in modalities}) if value > CHANCE else None


def _accuracies(outcome: Outcome, modalities: Iterable[str]) -> dict[str, float]:
    """Of both encoders of a done run; empty unless both are known."""
    facts = outcome.record.options.get("pretrained", {}) if outcome.record and outcome.scores else {}
    scores = {name: facts[name]["scores"] for name in modalities if name in facts}
    found = {name: own["validation/accuracy"] for name, own in scores.items() if "validation/accuracy" in own}
    return {} if len(found) < 2 else found
