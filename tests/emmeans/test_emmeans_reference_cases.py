"""Marginal means and Tukey's comparisons of the reference fits."""

from __future__ import annotations

import numpy as np
import pytest

import bank
import ranef
from emmeans.reference import difference, renamed
from ranef.inference.emmeans import emmeans

METHODS = {
    "satterthwaite": "satterthwaite",
    "kenward_roger": "kenward-roger",
    "asymptotic": "normal",
}
CASES = [case for case in bank.cases() if "emmeans" in case.results]
# theta of the reference fits is good to about 1e-7
TOLERANCE = 1e-6
# the absolute error of R's ptukey, see test_studentized_range.py: for small p it is all of them
OF_PTUKEY = 1e-6


@pytest.mark.parametrize("case", CASES, ids=str)
def test_means_and_pairs(case: bank.Case) -> None:
    """All means, standard errors, df, intervals and p-values, for every kind of df."""
    model = ranef.fit(case.formula, case.frame(), **case.options())
    for block in case.results["emmeans"]:
        for method, ddf in METHODS.items():
            if "means" not in block.get(method, {}):
                continue
            means = emmeans(model, block["specs"], ddf=ddf)
            want = renamed(block[method]["means"])
            got = means.to_frame().rename(columns={"emmean": "estimate"})
            for name in want:
                if name in ("std_error", "estimate", "df", "conf_low", "conf_high"):
                    reference = want[name].fillna(np.inf) if name == "df" else want[name]
                    assert difference(reference, got[name]) < TOLERANCE
                elif name != "row":
                    assert want[name].astype(str).tolist() == got[name].astype(str).tolist()
            pairs = means.pairs()
            want, got, ends = renamed(block[method]["pairs_tukey"]), pairs, pairs.confint()
            assert want["contrast"].tolist() == got["contrast"].tolist()
            for name in ("estimate", "std_error", "statistic"):
                assert difference(want[name], got[name]) < TOLERANCE
            assert np.abs(want["p_value"] - got["p_value"]).max() < OF_PTUKEY
            for name in ("conf_low", "conf_high"):  # qtukey's tolerance is 1e-4
                assert difference(want[name], ends[name]) < 1e-4


def test_unbalanced_machines() -> None:
    """Means of an unbalanced nested design, which are not those of the raw data."""
    data = ranef.datasets.load("machines").drop(index=[1, 2, 5, 19, 20, 21, 32, 46])
    model = ranef.fit("score ~ Machine + (1 | Worker) + (1 | Worker:Machine)", data)
    means = emmeans(model, "Machine")
    assert means["emmean"].round(1).tolist() == [52.2, 60.1, 66.2]
    raw = data.groupby("Machine", observed=True)["score"].mean()
    assert np.abs(raw.to_numpy() - means["emmean"].to_numpy()).max() > 0.5
