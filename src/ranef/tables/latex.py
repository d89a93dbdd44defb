r"""LaTeX fragments with booktabs rules, to be pasted into a paper.

The fragment needs ``\usepackage{booktabs}`` and nothing else. Numbers are set in mathematics mode,
so that minus signs are minus signs and ``3.26e-06`` becomes a power of ten.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ranef.tables.document import Block, Column, Document, Fact, Facts, Paragraph, Table
from ranef.tables.text import single_line

_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        '"': "''",  # the straight quote exists in T1 fonts only
        "`": r"\`{}",
    }
    | {character: "\\" + character for character in "&%$#_{}"}
)
# Text, compiled at first use: importing ranef should not wait for it.
_NUMBER = r"(?P<below><\s*)?(?P<number>-?\d+(?:\.\d*)?)(?:e(?P<exponent>[+-]\d+))?"
# A number with stars, or one or two in brackets, perhaps as a p-value.
_ANY = r"(?:<\s*)?-?\d+(?:\.\d*)?(?:e[+-]\d+)?"
_CELL = (
    rf"(?P<open>[(\[]?)(?P<p>p [<=] )?(?P<one>{_ANY})(?:, (?P<two>{_ANY}))?(?P<close>[)\]]?)"
    r"(?P<stars>\**)"
)


def render_latex(document: Document) -> str:
    r"""Render a document as a LaTeX fragment that needs the booktabs package.

    Parameters
    ----------
    document : Document

    Returns
    -------
    str
        Without a final newline.
    """
    lines = [r"% needs \usepackage{booktabs}"]
    if document.title:
        lines += [rf"\noindent\textbf{{{escape_latex(document.title)}}}", ""]
    for block in document.blocks:
        lines.extend(_block(block))
        lines.append("")
    return "\n".join(lines).rstrip()


def escape_latex(text: str) -> str:
    r"""Return the text so that LaTeX shows it literally.

    Examples
    --------
    >>> print(escape_latex("50% of a_b"))
    50\% of a\_b
    """
    return single_line(text).translate(_ESCAPES)


def latex_number(text: str) -> str:
    r"""Return a formatted number in mathematics mode; anything else is escaped.

    Numbers may stand in brackets, as two ends of an interval, or with stars.

    Examples
    --------
    >>> print(latex_number("-0.602"), latex_number("< 2e-16"), latex_number("NaN"))
    $-0.602$ $<2\times10^{-16}$ NaN
    >>> print(latex_number("-0.602**"), latex_number("[-1.2, 0.3]"), latex_number("(p = 0.02)"))
    $-0.602^{**}$ [$-1.2$, $0.3$] ($p=0.02$)
    """
    match = re.fullmatch(_CELL, text)
    if match is None:
        return escape_latex(text)
    stars = f"^{{{match['stars']}}}" if match["stars"] else ""
    relation = match["p"].replace(" ", "") if match["p"] else ""
    inside = f"${relation}{_mathematics(match['one'], stars)}$"
    if match["two"]:
        inside += f", ${_mathematics(match['two'])}$"
    return match["open"] + inside + match["close"]


def _mathematics(number: str, stars: str = "") -> str:
    """Return a number, and stars above it, as they are written in mathematics mode."""
    match = re.fullmatch(_NUMBER, number)
    assert match is not None
    below = "<" if match["below"] else ""
    exponent = match["exponent"]
    # TeX allows one superscript: the exponent gets a base for its own
    power = rf"\times10^{{{int(exponent)}}}" + ("{}" if stars else "") if exponent else ""
    return f"{below}{match['number']}{power}{stars}"


def _block(block: Block) -> Iterator[str]:
    match block:
        case Facts(items):
            yield r"\noindent " + " \\\\\n".join(map(_fact, items))
        case Paragraph(text):
            yield r"\noindent " + escape_latex(text)
        case Table():
            yield from _table(block)


def _fact(fact: Fact) -> str:
    value = escape_latex(fact.value)
    return f"{escape_latex(fact.name)}: " + (rf"\texttt{{{value}}}" if fact.is_code else value)


def _table(table: Table) -> Iterator[str]:
    yield r"\medskip"
    if table.title:
        yield rf"\noindent\textbf{{{escape_latex(table.title)}}}\\[\smallskipamount]"
    alignment = "".join("r" if column.kind == "number" else "l" for column in table.columns)
    yield rf"\noindent\begin{{tabular}}{{{alignment}}}"
    yield r"\toprule"
    yield _row(escape_latex(column.header) for column in table.columns)
    yield r"\midrule"
    for row in table.rows:
        yield _row(_cell(c, cell) for c, cell in zip(table.columns, row, strict=True))
    yield r"\bottomrule"
    yield r"\end{tabular}"
    for note in table.notes:
        yield ""
        yield r"\noindent " + escape_latex(note)


def _row(cells: Iterator[str]) -> str:
    row = " & ".join(cells)
    # A row that starts with a bracket or a star would be read as an option of the \\\\ before it.
    return ("{}" if row.startswith(("[", "*")) else "") + row + r" \\"


def _cell(column: Column, cell: str) -> str:
    return latex_number(cell) if column.kind == "number" else escape_latex(cell)
