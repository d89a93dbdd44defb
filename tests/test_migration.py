"""The pages for people who come from elsewhere: every line of their tables runs."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ranef

DOCS = Path(__file__).parents[1] / "docs"
CODE = re.compile(r"`([^`]+)`")
CELLS = re.compile(r"(?<!\\)\|")


def lines(page: str) -> list[str]:
    """Return the code in the column ``ranef`` of all tables of a page."""
    found, column = [], None
    for line in (DOCS / page).read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            column = None
            continue
        cells = [cell.strip() for cell in CELLS.split(line)[1:-1]]
        if column is None:
            column = cells.index("ranef") if "ranef" in cells else -1
        elif column >= 0 and not set(line) <= set("|-: "):
            code = CODE.findall(cells[column])
            found += [c.replace("\\|", "|") for c in code if c.startswith(("m.", "m ", "ranef."))]
    return found


def namespace(folder: Path) -> dict[str, Any]:
    """Return what the pages assume."""
    data = ranef.datasets.load("sleepstudy").assign(w=lambda d: 1.0 + d["Days"] % 2)
    f = "Reaction ~ Days + (Days | Subject)"
    m = ranef.fit(f, data)
    m.save(folder / "m.ranef")
    return {
        "ranef": ranef,
        "np": np,
        "data": data,
        "d": data,
        "f": f,
        "m": m,
        "m1": ranef.fit("Reaction ~ Days + (1 | Subject)", data),
        "new": data[:3],
        "y": m.simulate(seed=1)["sim_1"],
        "pastes": ranef.datasets.load("pastes"),
        "penicillin": ranef.datasets.load("penicillin"),
    }


@pytest.mark.parametrize(("page", "least"), [("from-lme4.md", 60), ("from-statsmodels.md", 25)])
def test_every_line_runs(
    page: str, least: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All calls of a page are calls of this version."""
    monkeypatch.chdir(tmp_path)
    names = namespace(tmp_path)
    code = lines(page)
    assert len(code) >= least
    for line in code:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            exec(compile(line, f"{page}: {line}", "exec"), dict(names))


def test_statsmodels_numbers() -> None:
    """What `MixedLM` of statsmodels 0.15.0 says about sleepstudy."""
    m = ranef.fit("Reaction ~ Days + (Days | Subject)", ranef.datasets.load("sleepstudy"))

    # its optimizer stops when the log-likelihood is right to 1e-9, variances to 1e-5
    assert m.loglik == pytest.approx(-871.8141359795748, abs=1e-6)
    assert m.sigma**2 == pytest.approx(654.9404769803164, rel=1e-5)
    np.testing.assert_allclose(
        m.VarCorr.cov["Subject"], [[612.09648689, 9.60459939], [9.60459939, 35.07162273]], rtol=5e-5
    )
    np.testing.assert_allclose(m.std_errors, [6.82458241, 1.5457881], rtol=1e-5)
    np.testing.assert_allclose(m.ranef["Subject"].loc["308"], [2.258584, 9.198969], rtol=2e-5)
    normal = m.coef_table(ddf="normal")[["conf_low", "conf_high"]]
    np.testing.assert_allclose(normal, [[238.029169, 264.781041], [7.437597, 13.496975]], rtol=1e-6)
    ml = m.update(reml=False)
    assert (ml.aic, ml.bic) == pytest.approx((1763.939344464375, 1783.0970855697162), abs=1e-5)


def test_statsmodels_models() -> None:
    """The formulas are the models beside them: log-likelihoods of statsmodels 0.15.0."""
    load = ranef.datasets.load
    for formula, data, loglik in (
        ("Reaction ~ Days + (Days || Subject)", "sleepstudy", -871.8346467908693),
        ("Reaction ~ Days + (0 + Days | Subject)", "sleepstudy", -883.2625137438797),
        ("diameter ~ 1 + (1 | plate) + (1 | sample)", "penicillin", -165.43029455857857),
        ("strength ~ 1 + (1 | batch/cask)", "pastes", -123.4953730449662),
    ):
        assert ranef.fit(formula, load(data)).loglik == pytest.approx(loglik, abs=1e-5)
