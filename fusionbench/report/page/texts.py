"""Words on the page: every sign of a name or a reason escaped, numbers read back from cells, JSON that no tag ends."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from fusionbench.core.output import printable
from fusionbench.report.numbers import PREFIXES

CODE = re.compile(r"`([^`]*)`")
NUMBER = re.compile(rf"([+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?: ([{''.join(PREFIXES)}])(?!\w))?")
ENDS = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})
"""What could end a script's text, as JSON spells it too."""


def shown(text: str) -> str:
    """Plain text as HTML, on one line and without control characters."""
    return escape(printable(text))


def inline(text: str) -> str:
    """A sentence as HTML; what stands between backquotes is code.

    >>> inline("`late` < 3")
    '<code>late</code> &lt; 3'
    """
    parts = CODE.split(printable(text))
    return "".join(f"<code>{escape(part)}</code>" if at % 2 else escape(part) for at, part in enumerate(parts))


def paragraphs(sentences: Iterable[str]) -> str:
    """A paragraph each."""
    return "".join(f"<p>{inline(words)}</p>\n" for words in sentences)


def number_of(text: str) -> float | None:
    """The number that a cell begins with, by which a column is sorted; None where there is none.

    >>> number_of("0.912 ± 0.013"), number_of("12.3 k"), number_of("+0.01 ± 0.02 *"), number_of("5/6"), number_of("-")
    (0.912, 12300.0, 0.01, 5.0, None)
    """
    found = NUMBER.match(text)
    if found is None:
        return None
    return float(f"{found[1]}{_power(found[2])}") if "e" not in found[1] else float(found[1])


def json_text(value: Any) -> str:
    """JSON for the inside of a script: numbers that are not finite become words, as no browser reads them."""
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except ValueError:  # A record's environment may hold anything.
        text = json.dumps(_finite(value), allow_nan=False, separators=(",", ":"))
    return text.translate(ENDS)


def _power(prefix: str | None) -> str:
    return f"e{3 * PREFIXES.index(prefix)}" if prefix else ""


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
