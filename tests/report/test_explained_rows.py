"""An explained row in words and as a picture, of explanations that are made up: every kind of input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fusionbench.report.explained import Explanation, explanation, lines, words_of
from fusionbench.report.explained_picture import explained_picture
from fusionbench.report.figures import saved

DRAW = np.random.default_rng(0)
KINDS: dict[str, dict[str, Any]] = {
    "image": {"added": DRAW.normal(size=(3, 8, 8)), "values": DRAW.normal(size=(3, 8, 8))},
    "audio": {"added": DRAW.normal(size=(12, 5)), "values": DRAW.normal(size=(12, 5))},
    "tokens": {"added": DRAW.normal(size=3), "words": ["\u2581un", "likely", "\u2581$tale$"]},
    "bag": {"added": np.array([0.5, -2.0]), "words": ["very good", "bad"]},
    "vector": {"added": np.array([0.1, 0.0, -0.3]), "values": np.array([1.0, 2.0, 3.0]), "names": ["age", ""]},
}


def made(task: str = "multiclass", **changes: Any) -> Explanation:
    parts = [
        {"name": f"a_{kind}", "kind": kind, "total": float(facts["added"].sum()), "present": True, **facts}
        for kind, facts in KINDS.items()
    ]
    facts = {
        "task": task,
        "classes": ["cat", "dog"],
        "target": 1,
        "truth": [1.0],
        "answer": [0.25, 0.75],
        "without": {"a_image": [0.9, 0.1], "a_bag": None},
        "weights": {"a_image": 0.75, "a_bag": 0.25},
        "logit": 1.5,
        "baseline": 0.5,
        "steps": 64,
        "gap": 0.001,
        "parts": parts,
    }
    return explanation("digits / gated, seed 0", {**facts, **changes})


def test_what_is_printed_says_the_answer_each_modality_and_its_strongest_inputs() -> None:
    said = list(lines(made()))
    assert said[0] == "digits / gated, seed 0: answers dog (0.75), right is dog"
    assert "logit of dog: 1.5, 0.5 of an input that says nothing" in said[1]
    assert any("a_image: adds" in line and "own weight 0.750; without it: cat (0.90)" in line for line in said)
    assert "    bad -2, very good +0.5" in said
    assert "    number 2 = 3 -0.3, age = 1 +0.1" in said


def test_words_are_joined_and_what_is_joined_adds_up() -> None:
    found = words_of(["\u2581the", "\u2581un", "like", "ly"], [0.5, 1.0, 2.0, -1.0])
    assert [(one.name, one.added) for one in found] == [("the", 0.5), ("unlikely", 2.0)]
    assert [one.name for one in words_of(["#7", "#9"], [0.0, 1.0])] == ["#7", "#9"]


@pytest.mark.parametrize("task", ["multiclass", "multilabel", "regression"])
def test_the_picture_is_drawn_whatever_the_inputs_are(task: str) -> None:
    picture = explained_picture(made(task, truth=[1.0, 2.0] if task == "regression" else [1.0]))
    assert saved(picture, "png").startswith(b"\x89PNG")
    assert len(picture.axes) == 3 + 2 + 2 + 3  # the first row; two heat maps with their inputs; words, bag and vector
    texts = [text.get_text() for axes in picture.axes for text in axes.texts]
    assert "unlikely" in texts
    assert "$tale$" in texts


def test_a_long_text_is_cut_and_says_so() -> None:
    words = [f"\u2581word{number}" for number in range(4000)]
    part = {"name": "text", "kind": "tokens", "total": 1.0, "present": True, "added": np.ones(4000), "words": words}
    picture = explained_picture(made(parts=[part], weights={}, without={}))
    texts = [text.get_text() for axes in picture.axes for text in axes.texts]
    assert any(text.startswith("... ") and text.endswith(" more") for text in texts)
