"""LaTeX of equations: it compiles, whatever the variables are called."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ranef
from explain.classes import MODELS, fitted
from ranef.explain import Equations, equations
from ranef.explain.as_latex import latex_name

# every printable character of ASCII that a column may be called by, and some letters beyond
ODD = [
    "100%", "a_b", "c&d", "#1", "$x$", "{z}", "u^v", "w~", "p\\q", "it's", '"',
    "- + = < > * / : ; , ! ? @ | [ ]", "Größe", "été 1",
]  # fmt: skip


@cache
def odd_model() -> ranef.LinearMixedModel:
    """Fit a model with these names as predictors, group and levels."""
    rng = np.random.default_rng(1)
    n = 400
    frame = pd.DataFrame({name: rng.standard_normal(n) for name in ODD})
    frame["the_group & more"] = rng.integers(0, 10, n)
    frame["a level"] = np.array(["50%", "a_b", "x^2"])[rng.integers(0, 3, n)]
    frame["y_1"] = rng.standard_normal(n) + rng.standard_normal(10)[frame["the_group & more"]]
    terms = " + ".join(f"`{name}`" for name in [*ODD, "a level"])
    return ranef.fit(f"y_1 ~ {terms} + (`100%` | `the_group & more`)", frame)


def everything() -> list[Equations]:
    """Return equations of all models in all styles."""
    models = [*map(fitted, MODELS), odd_model()]
    return [
        equations(model, style, estimates=estimates)
        for model in models
        for style in ("levels", "mixed")
        for estimates in (False, True)
    ]


def test_brackets_and_environments_match() -> None:
    """Braces and environments come in pairs, and so do left and right brackets."""
    for found in everything():
        plain = re.sub(r"\\[{}]", "", found)
        assert plain.count("{") == plain.count("}")
        assert found.count(r"\begin{") == found.count(r"\end{")
        assert found.count(r"\left") == found.count(r"\right")
        assert "$" not in plain.replace(r"\$", "")
        assert "nan" not in found


def test_names_are_spelled_out() -> None:
    """No character of a name is read as markup."""
    assert latex_name("a_b") == r"\mathrm{a\_b}"
    assert latex_name("50 %") == r"\mathrm{50\ \%}"
    assert latex_name("a - b") == r"\mathrm{a\ \text{-}\ b}"
    assert latex_name("two\nlines") == r"\mathrm{two\ lines}"


def test_long_equations_are_broken() -> None:
    """No row is wider than a page; each starts with its alignment mark."""
    for row in equations(fitted("many")).splitlines()[1:-1]:
        assert row.startswith("&")
        assert row.count("_{") < 20


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_compiles(tmp_path: Path) -> None:
    """All of them, in a document that loads amsmath and nothing else."""
    parts = "\n\n".join(everything())
    document = f"\\begin{{document}}\n{parts}\n\\end{{document}}\n"
    (tmp_path / "all.tex").write_text(
        f"\\documentclass{{article}}\\usepackage{{amsmath}}\n{document}", encoding="utf-8"
    )
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "Overfull" not in done.stdout  # no row leaves the page
