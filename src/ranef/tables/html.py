"""HTML for notebooks and reports: one self-contained piece without scripts or outside files.

Colours are those of the surrounding page, and lines are half-transparent, so that light and
dark notebooks both look right. The style rules only reach inside ``div.ranef``. Where a site
strips them, the tables remain plain tables.
"""

from __future__ import annotations

from collections.abc import Iterator

from ranef.tables.document import Block, Column, Document, Fact, Facts, Paragraph, Table
from ranef.tables.text import single_line

# Not html.escape: its module brings the table of all named entities, which nobody needs here.
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})
_STYLE = (
    "<style>"
    "div.ranef{font-size:.9em;line-height:1.4}"
    "div.ranef p{margin:.3em 0}"
    "div.ranef code{background:none;color:inherit;padding:0}"
    "div.ranef table{border-collapse:collapse;margin:.7em 0 .3em;width:auto;"
    "font-variant-numeric:tabular-nums;font-size:inherit;border:0;"
    "border-top:1.5px solid;border-bottom:1.5px solid}"
    "div.ranef caption{caption-side:top;text-align:left;font-weight:600;padding:.2em 0;"
    "white-space:nowrap;color:inherit}"
    "div.ranef tr,div.ranef th,div.ranef td{background:none;color:inherit;border:0}"
    "div.ranef thead th,div.ranef thead td{font-weight:600;"
    "border-bottom:1px solid rgba(128,128,128,.6)}"
    "div.ranef th,div.ranef td{padding:.15em .6em;text-align:left;white-space:nowrap;"
    "vertical-align:baseline}"
    "div.ranef tbody th{font-weight:400}"
    "div.ranef th.n,div.ranef td.n{text-align:right}"
    "</style>"
)


def render_html(document: Document) -> str:
    """Render a document as an HTML fragment.

    Parameters
    ----------
    document : Document

    Returns
    -------
    str
        One ``<div>``, with everything that came from the user's data escaped.
    """
    lines = ['<div class="ranef">', _STYLE]
    if document.title:
        lines.append(f"<p><strong>{_text(document.title)}</strong></p>")
    for block in document.blocks:
        lines.extend(_block(block))
    lines.append("</div>")
    return "\n".join(lines)


def _text(text: str) -> str:
    return single_line(text).translate(_ENTITIES)


def _block(block: Block) -> Iterator[str]:
    match block:
        case Facts(items):
            yield f"<p>{'<br>'.join(map(_fact, items))}</p>"
        case Paragraph(text):
            yield f"<p>{_text(text)}</p>"
        case Table():
            yield from _table(block)


def _fact(fact: Fact) -> str:
    value = _text(fact.value)
    return f"{_text(fact.name)}: " + (f"<code>{value}</code>" if fact.is_code else value)


def _table(table: Table) -> Iterator[str]:
    yield "<table>"
    if table.title:
        yield f"<caption>{_text(table.title)}</caption>"
    heads = "".join(_head(column) for column in table.columns)
    yield f"<thead><tr>{heads}</tr></thead>"
    yield "<tbody>"
    for row in table.rows:
        cells = (_cell(c, cell) for c, cell in zip(table.columns, row, strict=True))
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</tbody>"
    yield "</table>"
    for note in table.notes:
        yield f"<p>{_text(note)}</p>"


def _head(column: Column) -> str:
    if not column.header:
        return "<td></td>"  # a header cell without text would be announced as one
    numeric = ' class="n"' if column.kind == "number" else ""
    return f'<th scope="col"{numeric}>{_text(column.header)}</th>'


def _cell(column: Column, cell: str) -> str:
    match column.kind:
        case "label":
            return f'<th scope="row">{_text(cell)}</th>'
        case "number":
            return f'<td class="n">{_text(cell)}</td>'
        case "text":
            return f"<td>{_text(cell)}</td>"
