"""Renderers align, escape, and show the same cells."""

import re
import xml.etree.ElementTree as ET

import pytest

from ranef.tables.document import (
    Column,
    Document,
    Fact,
    Facts,
    Paragraph,
    Table,
    labels,
    numbers,
)
from ranef.tables.html import render_html
from ranef.tables.latex import escape_latex, latex_number, render_latex
from ranef.tables.markdown import escape_markdown, render_markdown
from ranef.tables.text import display_width, render_text

NASTY = r"""<b>&"a|b" `c` 50% $x_1$ #~^{\y} [T.B] *z*"""


def document(name=NASTY, value="-1.5"):
    """Make a document with a name in every place."""
    table = Table(
        name, (labels(name, [name]), Column(name, (name,), "text"), numbers(name, [value])), (name,)
    )
    return Document(name, (Facts((Fact("Formula", name, is_code=True),)), Paragraph(name), table))


def body(html):
    """Parse an HTML fragment without its style rules."""
    return ET.fromstring(re.sub(r"<style>.*?</style>", "", html).replace("<br>", "<br/>"))


def test_html_is_well_formed_and_says_everything():
    """Whatever a name contains, a reader sees just that."""
    root = body(render_html(document()))
    texts = [text for text in root.itertext() if text.strip() and text != "Formula: "]
    assert texts.pop(-2) == "-1.5"
    assert set(texts) == {NASTY} and len(texts) == 10
    assert root.find(".//td[@class='n']").text == "-1.5"


def test_html_rows_and_columns_are_announced():
    """Headers carry their scope for screen readers, and an empty corner is no header."""
    table = Table("t", (labels("", ["a"]), numbers("n", ["1"])))
    root = body(render_html(Document("", (table,))))
    assert [element.get("scope") for element in root.iter("th")] == ["col", "row"]


def test_html_needs_nothing_from_outside():
    """No scripts, no files, no addresses."""
    html = render_html(document("x"))
    assert not re.search(r"<script|<link|@import|url\(|https?:", html)


def unescape_markdown(cell):
    """Undo backslashes and the one entity, as a Markdown reader does."""
    return re.sub(r"\\(.)", r"\1", cell).replace("&amp;", "&")


def test_markdown_cells_stay_in_their_columns():
    """A pipe inside a name does not start a column."""
    lines = [line for line in render_markdown(document()).split("\n") if line.startswith("| ")]
    assert len(lines) == 3
    header, _, row = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    assert [unescape_markdown(cell.strip()) for cell in header] == [NASTY] * 3
    assert [unescape_markdown(cell.strip()) for cell in row] == [NASTY, NASTY, "-1.5"]


def test_markdown_code_spans_hold_backticks():
    """A formula with backquoted names stays one code span."""
    facts = Facts((Fact("Formula", "y ~ `a b` + (1 | g)", is_code=True),))
    assert render_markdown(Document("", (facts,))) == "Formula: `` y ~ `a b` + (1 | g) ``"


def test_markdown_rules_tell_the_alignment():
    """Numbers are flush right."""
    text = render_markdown(Document("", (Table("", (labels("", ["a"]), numbers("n", ["10"]))),)))
    assert text.split("\n") == ["|     |   n |", "| :-- | --: |", "| a   |  10 |"]


@pytest.mark.parametrize("character", list("&%$#_{}~^\\<>|"))
def test_latex_escapes_every_special_character(character):
    """No special character reaches LaTeX as itself."""
    assert escape_latex(character) != character
    assert escape_markdown("plain") == escape_latex("plain") == "plain"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("12", "$12$"),
        ("-0.602", "$-0.602$"),
        ("3.26e-06", r"$3.26\times10^{-6}$"),
        ("1e+05", r"$1\times10^{5}$"),
        ("<2e-16", r"$<2\times10^{-16}$"),
        ("-0.602**", "$-0.602^{**}$"),
        ("3.26e-06*", r"$3.26\times10^{-6}{}^{*}$"),
        ("(1.546)", "($1.546$)"),
        ("(8.0e-13)", r"($8.0\times10^{-13}$)"),
        ("[-1.25, 0.30]", "[$-1.25$, $0.30$]"),
        ("(p < 0.001)", "($p<0.001$)"),
        ("(p = 0.020)", "($p=0.020$)"),
        ("(none)", "(none)"),
        ("*", "*"),
        ("NaN", "NaN"),
        ("-Inf", "-Inf"),
    ],
)
def test_latex_numbers_are_mathematics(text, expected):
    """Minus signs and powers of ten are set as such."""
    assert latex_number(text) == expected


def test_latex_rows_that_look_like_options():
    """A row that starts with a bracket is not taken for an argument of the line break before."""
    table = Table("", (labels("", ["a", "[b]", "*"]), numbers("n", ["1", "2", "3"])))
    lines = render_latex(Document("", (table,))).split("\n")
    assert r"{}[b] & $2$ \\" in lines and r"{}* & $3$ \\" in lines


def test_latex_braces_and_environments_balance():
    """The fragment can be pasted anywhere."""
    latex = render_latex(document())
    plain = re.sub(r"\\[\\{}]", "", latex)
    assert plain.count("{") == plain.count("}")
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 1


@pytest.mark.parametrize(
    ("text", "width"), [("abc", 3), ("", 0), ("批次", 4), ("e\u0301", 1), ("ß", 1)]
)
def test_display_width(text, width):
    """Widths are those of a terminal."""
    assert display_width(text) == width


def test_wide_characters_stay_aligned():
    """A table with Chinese labels has straight columns."""
    table = Table("", (labels("", ["批次", "a"]), numbers("n", ["1", "10"])))
    lines = render_text(Document("", (table,))).split("\n")
    assert [display_width(line) for line in lines] == [7, 7, 7]


def test_line_breaks_in_names_do_not_break_tables():
    """A newline inside a label becomes a blank in every format."""
    table = Table("", (labels("", ["a\nb"]), numbers("n", ["1"])))
    for render in (render_text, render_markdown, render_latex, render_html):
        assert "a b" in render(Document("", (table,)))


def test_nothing_is_lost_below_a_fold():
    """Every cell of a folded table is printed once, its label in every part."""
    columns = [numbers(f"c{j:02}", [f"{j}.0", f"{j}.5"]) for j in range(20)]
    table = Table("", (labels("", ["first", "second"]), *columns), foldable=True)
    text = render_text(Document("", (table,)), width=40)
    assert max(map(len, text.split("\n"))) <= 40
    assert [text.count(f"c{j:02}") for j in range(20)] == [1] * 20
    assert text.count("first") == text.count("second") > 1


def test_tables_are_rectangular():
    """Columns of different length are refused when the table is made."""
    with pytest.raises(ValueError, match="differ in length"):
        Table("", (numbers("a", ["1"]), numbers("b", ["1", "2"])))
    with pytest.raises(ValueError, match="differ in length"):
        Table("", (Column("a", ("1",), in_text=numbers("a", ["1", "2"])),))


def test_a_column_may_be_narrower_in_plain_text():
    """What stands in for a column is shown in plain text and nowhere else."""
    column = Column("Intercept", ("long",), in_text=Column("Int", ("l",)))
    document = Document("", (Table("", (labels("", ["a"]), column)),))
    assert render_text(document) == "  Int\na   l"
    for render in (render_markdown, render_latex, render_html):
        assert "Intercept" in render(document) and "long" in render(document)
