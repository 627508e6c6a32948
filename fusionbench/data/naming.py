"""What the classes and the inputs of a data set are called, where it says so: for whoever reads one sample.

A data set may have `class_names`, and a method `input_names(modality)`: of a vector the name of each number, of tokens
the subword of each id (`▁` begins a word), of a bag the feature of each id.
"""

from __future__ import annotations

from typing import Any


def class_names(data: Any) -> list[str]:
    """In the order of the classes; empty where it does not say."""
    return [str(name) for name in getattr(data, "class_names", ())]


def input_names(data: Any, modality: str) -> list[str]:
    """By number or id; empty where it does not say."""
    asked = getattr(data, "input_names", None)
    return [str(name) for name in asked(modality)] if callable(asked) else []
