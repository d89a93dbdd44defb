"""Names that users chose are shown literally, all of them, and not wider than there is room."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure
from matplotlib.text import Text

import ranef
from ranef import plots
from ranef.plots.labels import in_legend, line_count, plain, shortened, wrapped

Model = ranef.LinearMixedModel
LONG = "very_long_variable_name_for_a_treatment_condition"
LEVELS = ["control condition with words", "treatment condition alpha", "treatment of $5 and $9"]


@pytest.fixture(scope="module")
def model() -> Model:
    """Return a model whose variables and levels have long names and dollar signs."""
    rng = np.random.default_rng(6)
    n, g = 180, np.arange(180) % 12
    data = pd.DataFrame(
        {
            "x": rng.standard_normal(n),
            LONG: rng.choice(LEVELS, n),
            "income": rng.choice(["$10-$20", "$20-$30"], n),
            "g$": [f"a very long label of the school number ${i}$" for i in g],
        }
    )
    data["y$"] = data["x"] * (1 + rng.standard_normal(12)[g]) + rng.standard_normal(12)[g]
    data["y$"] += rng.standard_normal(n)
    return ranef.fit(f"`y$` ~ x + {LONG} + income + (x | `g$`)", data)


PICTURES: dict[str, Callable[[Model], Any]] = {
    "coefficients": plots.coefficients,
    "several models": lambda m: plots.coefficients({"_first": m, "$a$ of $b$": m}),
    "caterpillar": plots.caterpillar,
    "lines": lambda m: plots.lines(m, "x"),
    "lines of a factor": lambda m: plots.lines(m, LONG),
    "panels": lambda m: plots.lines(m, "income", kind="panels"),
    "few panels": lambda m: plots.lines(m, LONG, kind="panels", levels=m.ranef["g$"].index[:3]),
    "residuals": plots.residuals,
    "shrinkage": lambda m: plots.shrinkage(m, label=m.ranef["g$"].index[:1]),
    "dumbbells": lambda m: plots.shrinkage(m, terms="x"),
    "matrices": plots.matrices,
    "means": lambda m: plots.emmeans(m.emmeans(LONG)),
    "contrasts": lambda m: plots.emmeans(m.emmeans(LONG).contrasts("pairwise")),
    "means by": lambda m: plots.emmeans(m.emmeans("income", by=LONG)),
    "zeta": lambda m: plots.zeta(m.profile([f"{LONG}[T.{LEVELS[1]}]", "income[T.$20-$30]"])),
    "bootstrap": lambda m: plots.bootstrap(m.bootstrap(50, seed=1)),
    "surface": lambda m: plots.surface(m, points=5, path=False),
}


def figure_of(drawn: Any) -> Figure:
    """Return the figure of axes, or the figure itself."""
    figure = drawn if isinstance(drawn, Figure) else drawn.figure
    assert isinstance(figure, Figure)
    return figure


def shown(figure: Figure) -> list[Text]:
    """Return the texts of a picture that have letters: names, and no numbers."""
    figure.canvas.draw()
    texts = [text for text in figure.findobj(Text) if text.get_visible()]
    return [text for text in texts if any(letter.isalpha() for letter in text.get_text())]


@pytest.mark.parametrize("name", PICTURES)
def test_no_name_is_read_as_mathematics(model: Model, name: str) -> None:
    """A dollar sign is a dollar sign."""
    for text in shown(figure_of(PICTURES[name](model))):
        if r"\mathdefault" not in text.get_text():  # matplotlib's own numbers
            assert not is_math_text(text.get_text()), text.get_text()


@pytest.mark.parametrize("name", PICTURES)
def test_names_stay_in_the_picture(model: Model, name: str) -> None:
    """No text is cut off at an edge; panels keep at least a third of their share of the width."""
    figure = figure_of(PICTURES[name](model))
    texts = [text for text in shown(figure) if r"\mathdefault" not in text.get_text()]
    width, height = figure.canvas.get_width_height()
    for text in texts:
        box = text.get_window_extent()
        inside = box.x0 > -2 and box.y0 > -2 and box.x1 < width + 2 and box.y1 < height + 2
        assert inside, text.get_text()  # rounding to pixels
    axes = [axis for axis in figure.axes if axis.get_label() != "<colorbar>"]
    across = max(round(axis.get_subplotspec().get_gridspec().ncols) for axis in axes)  # type: ignore[union-attr]
    for axis in axes:
        if name != "matrices":  # which have heights and widths of their own
            assert axis.get_position().width > 0.3 / across


@pytest.mark.parametrize("name", ["panels", "few panels", "means by", "zeta", "caterpillar"])
def test_titles_do_not_overlap(model: Model, name: str) -> None:
    """Titles of panels that stand side by side keep apart."""
    figure = figure_of(PICTURES[name](model))
    figure.canvas.draw()
    boxes = [axis.title.get_window_extent() for axis in figure.axes if axis.get_title()]
    assert len(boxes) > 1
    overlaps = [a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i]]
    assert not any(overlaps)


@pytest.mark.parametrize("name", ["lines of a factor", "few panels"])
def test_levels_on_the_axis_do_not_overlap(model: Model, name: str) -> None:
    """Long levels are broken into lines."""
    figure = figure_of(PICTURES[name](model))
    figure.canvas.draw()
    for axis in figure.axes:
        boxes = [label.get_window_extent() for label in axis.get_xticklabels()]
        assert len(boxes) == 3
        assert all(a.x1 < b.x0 for a, b in pairwise(boxes))


def test_underscores_in_legends(model: Model) -> None:
    """Legends of matplotlib leave out what begins with one."""
    axis: Axes = plots.coefficients({"_first": model, "second": model})
    legend = axis.get_legend()
    assert legend is not None
    assert [text.get_text().strip() for text in legend.get_texts()] == ["_first", "second"]


@pytest.mark.parametrize(
    ("text", "width", "lines", "expected"),
    [
        ("Days", 30, 3, "Days"),
        ("Machine[T.B]", 30, 3, "Machine[T.B]"),
        ("condition[T.treatment with words]", 20, 3, "condition\n[T.treatment with\nwords]"),
        ("a" * 25, 10, 3, "\n".join(["a" * 10, "a" * 10, "a" * 5])),
        ("one two three four", 9, 2, "one two\nth…e four"),
        ("school at the lake", 12, 1, "school …lake"),
        ("", 5, 1, ""),
        (3.5, 5, 1, "3.5"),
        ("$a$", 5, 1, r"\$a\$"),
    ],
)
def test_wrapped(text: object, width: int, lines: int, expected: str) -> None:
    """Lines are broken between words, and the middle is left out where they do not suffice."""
    found = wrapped(text, width, lines)
    assert line_count([found]) <= lines
    assert all(len(line.replace("\\", "")) <= width for line in found.split("\n"))
    assert found == expected


def test_other_forms() -> None:
    """Short names stay as they are."""
    assert (plain("a$b"), shortened("abcdefghij", 5), shortened("abc", 5)) == (
        r"a\$b",
        "abc…j",
        "abc",
    )
    assert (in_legend("_x"), in_legend("x_")) == (" _x", "x_")
