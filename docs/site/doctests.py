"""Examples in docstrings, `>>> ...` and what follows up to a blank line, as code on the site."""

from __future__ import annotations

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^(>>> .*(?:\n(?!\s*$).*)*)", re.MULTILINE)


class Doctests(griffe.Extension):
    """Google's style has them in a section of their own; ours stand where they are of use."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Put fences around them."""
        if obj.docstring is not None:
            value = re.sub(r"  # doctest: \S+$", "", obj.docstring.value, flags=re.MULTILINE)
            obj.docstring.value = EXAMPLE.sub(r"```pycon\n\1\n```", value)
