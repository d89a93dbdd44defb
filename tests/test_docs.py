"""The documentation is a program: every block runs, and prints what the page says.

A page is run from top to bottom in one namespace. What is compared:

* ``python`` blocks with ``>>>`` are doctests.
* Other ``python`` blocks are executed; if a ``text`` block follows at once, it is their output.
* In ``sh`` blocks, lines that call ``ranef`` go through the command line; again a ``text`` block
  that follows at once is the output. Other shell lines are for readers.

Lines must agree except for spaces at their ends. A decimal number may differ by one unit in its
last place, because optimisers stop where they stop; ``...`` stands for anything.
"""

from __future__ import annotations

import ast
import doctest
import inspect
import io
import re
import shlex
import warnings
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

import ranef
from ranef import __main__ as command_line
from ranef.design.functions import CONSTANTS, FUNCTIONS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.glob("**/*.md")), ROOT / "README.md"]
LANGUAGES = {"python", "text", "sh", "math"}

FENCE = re.compile(r"^```(\w*)\s*$")
LINK = re.compile(r"\]\(([^)\s]+)\)")
NUMBER = re.compile(r"[-+]?\d+\.\d*(?:e[-+]?\d+)?|[-+]?\d+(?:e[-+]?\d+)?")
SHELL_PROMPT = "$ "


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; ``follows`` is the line after its closing fence."""

    language: str
    text: str
    line: int
    follows: int


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    found: list[Block] = []
    language, start, lines = None, 0, []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        fence = FENCE.match(line)
        if language is None and fence:
            language, start, lines = fence[1], number, []
        elif language is not None and line.rstrip() == "```":
            found.append(Block(language, "\n".join(lines) + "\n", start, number + 1))
            language = None
        elif language is not None:
            lines.append(line)
    assert language is None, f"{page.name}: the block in line {start} is never closed"
    return found


def with_output(page: Path) -> Iterator[tuple[Block, str | None]]:
    """Yield every block with the text that follows it at once, or None."""
    lines = page.read_text(encoding="utf-8").splitlines()
    found = blocks(page)
    for block, following in zip_longest(found, found[1:]):
        adjacent = (
            following is not None
            and following.language == "text"
            and not any(line.strip() for line in lines[block.follows - 1 : following.line - 1])
        )
        yield block, following.text if adjacent and following else None


class Checker(doctest.OutputChecker):
    """Compares line by line, decimal numbers within one unit of their last place."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        """Tell whether two outputs agree."""
        want, got = _without_trailing_spaces(want), _without_trailing_spaces(got)
        return super().check_output(want, _adopt_numbers(want, got), optionflags)


def _without_trailing_spaces(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.split("\n"))


def _adopt_numbers(want: str, got: str) -> str:
    """Replace the numbers of ``got`` by those of ``want`` that they agree with."""
    wanted, seen = NUMBER.findall(want), NUMBER.findall(got)
    if len(wanted) != len(seen):
        return got
    numbers = iter(wanted)

    def adopt(match: re.Match[str]) -> str:
        number = next(numbers)
        return number if _close(number, match[0]) else match[0]

    return NUMBER.sub(adopt, got)


def _close(want: str, got: str) -> bool:
    if "." not in want or len(want) != len(got):
        return want == got
    mantissa, _, exponent = want.partition("e")
    decimals = len(mantissa.partition(".")[2])
    unit = 10.0 ** (int(exponent or 0) - decimals)
    return abs(float(want) - float(got)) <= 1.01 * unit


CHECKER = Checker()
FLAGS = doctest.ELLIPSIS


def compare(want: str, got: str, where: str) -> None:
    """Fail with both texts unless they agree."""
    if not CHECKER.check_output(want, got, FLAGS):
        pytest.fail(f"{where} says\n\n{want}\nbut what comes out is\n\n{got}", pytrace=False)


def run_doctest(block: Block, namespace: dict[str, Any], where: str) -> None:
    """Run a block of ``>>>`` lines."""
    test = doctest.DocTestParser().get_doctest(block.text, namespace, where, where, block.line)
    test.globs = namespace  # not a copy: later blocks see the variables
    report: list[str] = []
    runner = doctest.DocTestRunner(CHECKER, verbose=False, optionflags=FLAGS)
    if runner.run(test, out=report.append, clear_globs=False).failed:
        pytest.fail("".join(report), pytrace=False)


def run_python(block: Block, want: str | None, namespace: dict[str, Any], where: str) -> None:
    """Run a block of plain Python and compare what it prints."""
    # blank lines in front give tracebacks the line numbers of the page
    tree = ast.parse("\n" * block.line + block.text, filename=where)
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(compile(tree, where, "exec"), namespace)
    if want is not None:
        compare(want, printed.getvalue(), where)


def run_shell(block: Block, want: str | None, where: str) -> None:
    """Run the lines that call ranef."""
    printed = io.StringIO()
    for line in block.text.splitlines():
        words = shlex.split(line.removeprefix(SHELL_PROMPT), comments=True)
        if words[:1] == ["ranef"]:
            with redirect_stdout(printed):
                assert command_line.main(words[1:]) == 0, f"{where}: {line}"
    if want is not None:
        compare(want, printed.getvalue(), where)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page(page: Path) -> None:
    """All blocks of a page run in order, without warnings, and print what the page says."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block, want in with_output(page):
        where = f"{page.name}, line {block.line}"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            if block.language == "python" and block.text.lstrip().startswith(">>>"):
                run_doctest(block, namespace, where)
            elif block.language == "python":
                run_python(block, want, namespace, where)
            elif block.language == "sh":
                run_shell(block, want, where)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_have_a_language(page: Path) -> None:
    """Nothing escapes the test above because its language is missing or misspelt."""
    strange = [(b.line, b.language) for b in blocks(page) if b.language not in LANGUAGES]
    assert strange == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links(page: Path) -> None:
    """Links to other files and to headings lead somewhere."""
    broken = []
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def anchors(page: Path) -> set[str]:
    """Return the names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


def test_every_page_is_reachable() -> None:
    """The front page links to all others."""
    index = DOCS / "index.md"
    linked = {(DOCS / target).resolve() for target in LINK.findall(index.read_text("utf-8"))}
    assert [p.name for p in PAGES if p.parent == DOCS and p != index and p not in linked] == []


def test_every_example_is_linked() -> None:
    """The front page mentions all scripts."""
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    scripts = [path.name for path in (ROOT / "examples").glob("*.py")]
    assert [name for name in scripts if f"(../examples/{name})" not in text] == []


def mentioned(page: str) -> set[str]:
    """Return the words in `code` of a page; of ``m.VarCorr.cov``, also the parts."""
    text = (DOCS / page).read_text(encoding="utf-8")
    spans = re.findall(r"`([^`\n]+)`", text)
    words = {word for span in spans for word in re.findall(r"[\w.]+", span)}
    return words | {part for word in words for part in word.split(".")}


def test_every_attribute_of_a_model_is_documented() -> None:
    """The table in fitting.md misses no property, field or method."""
    public = [name for name in dir(ranef.LinearMixedModel) if not name.startswith("_")]
    public += [name for name in inspect.signature(ranef.LinearMixedModel).parameters]
    assert sorted(set(public) - mentioned("fitting.md")) == []


def test_every_argument_is_documented() -> None:
    """fitting.md explains all arguments of fit, and all settings of Control."""
    arguments = [*inspect.signature(ranef.fit).parameters, *ranef.Control.__dataclass_fields__]
    assert sorted(set(arguments) - mentioned("fitting.md")) == []


def test_every_function_of_formulas_is_documented() -> None:
    """formula.md lists exactly what a formula may call."""
    assert sorted({*FUNCTIONS, *CONSTANTS} - mentioned("formula.md")) == []


def test_every_error_is_documented() -> None:
    """api.md lists all errors and warnings."""
    errors = [name for name, value in vars(ranef.errors).items() if isinstance(value, type)]
    own = [name for name in errors if getattr(ranef.errors, name).__module__ == "ranef.errors"]
    assert sorted(set(own) - mentioned("api.md")) == []


@pytest.mark.parametrize(
    ("want", "got", "agree"),
    [
        ("a 1.25\n", "a 1.25  \n", True),
        ("a 1.25\n", "a 1.26\n", True),
        ("a 1.25\n", "a 1.27\n", False),
        ("a 1.25\n", "a 1.250\n", False),
        ("a 5\n", "a 6\n", False),
        ("1.5e-05\n", "1.6e-05\n", True),
        ("1.5e-05\n", "1.5e-04\n", False),
        ("a ... c\n", "a 1 2 3 c\n", True),
        ("a\n", "b\n", False),
        ("a\n  b\n", "a\n b\n", False),
    ],
)
def test_the_comparison_itself(want: str, got: str, agree: bool) -> None:
    """The check finds what it is there to find."""
    assert CHECKER.check_output(want, got, FLAGS) is agree
