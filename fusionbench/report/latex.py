r"""A table for a paper: LaTeX with booktabs rules, scores as plain `$a \pm b$`, every special character escaped."""

from __future__ import annotations

import re

from fusionbench.plan.names import track_label
from fusionbench.report.captions import caption
from fusionbench.report.layout import Column, columns
from fusionbench.report.notes import note
from fusionbench.report.opening import opening
from fusionbench.report.tables import Table, TableRow

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
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "±": r"$\pm$",
    "●": r"$\bullet$",
    "…": r"\ldots{}",
    "\u2013": "--",
}
LAST_LETTER = "\u017f"
"""Up to here (Latin letters with accents) every LaTeX of today reads UTF-8."""
CODE = re.compile(r"`([^`]*)`")


def latex(table: Table) -> str:
    r"""The table as one `table*` environment, as wide as the text; needs booktabs, graphicx, and T1 fonts.

    The columns are those of table.md; what went wrong in a row stands in the caption, since a column of it would make
    all others small. One row a line, one sentence of the caption a line.
    """
    shown = [column for column in columns(table) if column.form != "words"]
    name = f"{table.name}, suite {table.suite}, track {track_label(table.track)}."
    notes = [f"`{row.strategy}`: {note(row)}." for row in table.rows if note(row)]
    lines = [
        r"% \usepackage[T1]{fontenc}, \usepackage{booktabs,graphicx,textcomp}",
        r"\begin{table*}",
        r"\centering",
        r"\resizebox{\textwidth}{!}{%",
        rf"\begin{{tabular}}{{{''.join('l' if column.left else 'r' for column in shown)}}}",
        r"\toprule",
        _line([escaped(column.heading) for column in shown]),
        r"\midrule",
        *(_line([_cell(column, row) for column in shown]) for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}%",
        "}",
        r"\caption{%",
        *(_sentence(words) for words in (name, *opening(table), *caption(table), *notes)),
        "}",
        rf"\label{{tab:{_label(table)}}}",
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    r"""The text as LaTeX prints it: `a_b` becomes `a\_b`; letters outside the Latin alphabet become `?`."""
    return "".join(ESCAPES.get(sign, sign if sign <= LAST_LETTER and sign.isprintable() else "?") for sign in text)


def _cell(column: Column, row: TableRow) -> str:
    text = column.cell(row)
    if column.form == "code":
        return rf"\texttt{{{escaped(text)}}}"
    if column.left:
        return escaped(text)
    return _number(text, column.ranks and row.best)


def _number(text: str, bold: bool) -> str:
    r"""`0.91 ± 0.02` as `$0.91 \pm 0.02$`, `12.3 k` as `12.3\,k`, nothing as a dash."""
    if text == "-":
        return "--"
    if "±" in text:
        inner = text.replace("±", r"\pm")
        return rf"$\mathbf{{{inner}}}$" if bold else f"${inner}$"
    plain = escaped(text).replace(" ", r"\,")
    return rf"\textbf{{{plain}}}" if bold else plain


def _sentence(words: str) -> str:
    """What stands between backticks in the caption is a command or a name."""
    parts = CODE.split(" ".join(words.split()))
    return "".join(rf"\texttt{{{escaped(part)}}}" if index % 2 else escaped(part) for index, part in enumerate(parts))


def _label(table: Table) -> str:
    """Letters, digits and hyphens: a label with other signs is an error in some classes."""
    words = f"{table.suite}-{table.name}-{track_label(table.track)}"
    return re.sub("[^A-Za-z0-9]+", "-", words).strip("-")


def _line(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"
