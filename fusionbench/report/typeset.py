r"""Words as LaTeX prints them: every special character escaped, and lines that may break where names are long."""

from __future__ import annotations

import re

ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "`": r"\textasciigrave{}",
    "±": r"$\pm$",
    "●": r"$\bullet$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "†": r"\dag{}",
    "‡": r"\ddag{}",
    "§": r"\S{}",
    "¶": r"\P{}",
    "\u00d7": r"$\times$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "\u2212": r"$-$",
    "…": r"\ldots{}",
    "\u2013": "--",
    "\u2014": "---",
    "\u2018": "`",
    "\u2019": "'",
    "\u201c": "``",
    "\u201d": "''",
    "«": "``",
    "»": "''",
    "\u00a0": "~",
    "\u202f": r"\,",
}
PLAIN = str.maketrans("ÐÞðþĄąĐđĘęĦħĮįĸĿŀŉŊŋŦŧŲųſ", "DTdtAaDdEeHhIikLlnNnTtUus")
"""Letters that LaTeX's own fonts lack, and those that stand for them."""
LAST_LETTER = "\u017f"
"""Up to here (Latin letters with accents) every LaTeX of today reads UTF-8."""
CODE = re.compile(r"`([^`]*)`")
BREAKS = re.compile(r"(?<=\w)(\\_|[+=/])(?=\w)")


def escaped(text: str) -> str:
    r"""The text as LaTeX prints it: `a_b` becomes `a\_b`; letters outside the Latin alphabet become `?`."""
    spaced = text.replace(" %", "\u202f%").translate(PLAIN)
    return "".join(ESCAPES.get(sign, sign if sign <= LAST_LETTER and sign.isprintable() else "?") for sign in spaced)


def breakable(text: str) -> str:
    r"""Escaped, and a line may end within a long name: `unimodal+modality=left`."""
    return BREAKS.sub(r"\1\\allowbreak{}", escaped(text))


def sentence(words: str) -> str:
    """On one line; what stands between backquotes is a command or a name."""
    parts = CODE.split(" ".join(words.split()))
    return "".join(
        rf"\texttt{{{breakable(part)}}}" if index % 2 else breakable(part) for index, part in enumerate(parts)
    )
